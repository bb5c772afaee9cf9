"""What another library has to be able to do here, and how one is declared."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Protocol

__all__ = ["TYPICAL", "Entry", "Peer", "Request", "Result", "encode"]

#: A request's features as the caller has them: seven positive numbers.
Request = tuple[float, ...]
#: Lane, request and seconds of a job that ended.
Result = tuple[int, Request, float]

#: Of each feature, as bench.subject declares it to tailwise.
TYPICAL = 4.0


class Peer(Protocol):
    """A router over k lanes, built as make(k, history) from the results that all peers have seen."""

    def choose(self, x: Request) -> int:
        """The lane in [0, k) for a request; what it takes to hand the request to the library is part of it."""

    def learn(self, lane: int, x: Request, seconds: float) -> None:
        """Takes in the result of one job that choose sent to the lane."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One library. name: as in --only and, where it is to be installed, as pip knows it."""

    name: str
    title: str
    module: str  #: looked for before anything of it is imported
    requirement: str  #: what to pip install
    differs: str  #: from a whole decision of tailwise, in one line
    make: Callable[[int, Sequence[Result]], Peer]

    @property
    def installed(self) -> bool:
        return find_spec(self.module) is not None

    @property
    def version(self) -> str:
        try:
            return version(self.name)
        except PackageNotFoundError:
            return "unknown"


def encode(x: Request) -> list[float]:
    """Intercept and ln(feature / typical): the d = 8 numbers in which ln(seconds) is linear."""
    return [1.0, *(math.log(value / TYPICAL) for value in x)]
