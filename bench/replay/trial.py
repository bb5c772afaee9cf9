"""What a contest leaves of one policy on one seed, and what every contest is to the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tailwise.adapters.cli.claims import Claims

__all__ = ["COMPLETION_S", "Contest", "Curves", "Shade", "Trial"]

#: Where a curve of completion times is read, seconds: 100 points a decade, so steps of 2.3%.
COMPLETION_S: NDArray[np.float64] = np.geomspace(1e-3, 1e3, 601)


@dataclass(frozen=True, slots=True)
class Shade:
    """A span of the replay that a plot marks."""

    start_s: float
    end_s: float
    label: str


@dataclass(frozen=True, slots=True)
class Curves:
    """What the page draws. Jobs count in the bin in which they arrived, by the weight of their class."""

    bin_s: float
    offered: NDArray[np.float64]  #: (n_bins,) weight of the jobs offered
    on_time: NDArray[np.float64]  #: (n_bins,) of those on time
    deadline_s: dict[str, float]  #: by class, the most urgent first
    completed: dict[
        str, NDArray[np.float64]
    ]  #: by class, share of offered jobs done within each COMPLETION_S
    claims: dict[str, Claims]  #: by class; empty where the policy tells none
    shades: tuple[Shade, ...] = ()
    awaited: str = "an answer"  #: what `completed` is the time of


@dataclass(frozen=True, slots=True)
class Trial:
    """One policy on one seed. A figure that does not exist (a quantile of nothing) is NaN or left out.

    world tells whether two trials of one seed had the same jobs: a few sums over them.
    """

    policy: str
    seed: int
    figures: dict[str, float]  #: of the whole run; table.py and compare.py know the names
    classes: dict[str, dict[str, float]]  #: by class, the most urgent first
    world: dict[str, float]
    wall_s: float  #: seconds of this machine that the replay took
    curves: Curves | None = None


class Contest(Protocol):
    """A scenario and those who play it, whatever is simulated: what `python -m bench.replay` runs."""

    @property
    def id(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def size(self) -> str:
        """Resources, and seconds or jobs, in words."""
        ...

    @property
    def seeds(self) -> tuple[int, ...]: ...
    @property
    def trace(self) -> str | None: ...
    @property
    def policies(self) -> tuple[str, ...]:
        """Names in the order of the table; the first is the yardstick that all others are held against."""
        ...

    def trials(self, policies: Sequence[str], seed: int, trace: Path | None) -> Iterator[Trial]:
        """Plays the named policies on the same jobs, one after the other. Deterministic in all but wall_s."""
        ...
