"""The same requests and outcomes for whoever chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.peers.peer import Request, Result, encode
from bench.subject import N_REQUESTS, Subject

__all__ = ["Job", "Scene", "Take"]

Job = tuple[Request, list[float]]  #: a request, and its seconds on each lane
Take = Callable[[int], Iterator[Job]]  #: the next so many

#: Results of each lane before the first choice, dealt out evenly.
N_WARM = 100
NOISE = 0.1  #: of ln(seconds), as in bench.subject


class Scene:
    """K lanes, each with the speed and the slopes that the subject's engine has learned of it."""

    def __init__(self, k: int) -> None:
        self.subject = Subject(k)

    @property
    def k(self) -> int:
        return self.subject.n_resources

    @cached_property
    def ln_seconds(self) -> NDArray[np.float64]:
        """What request i takes on each lane [N_REQUESTS, k], without noise."""
        X = np.array([encode(x) for x in self.subject.tuples])
        return X @ self.subject.arrays["mean"][: self.k].T.astype(np.float64)

    @cached_property
    def seconds(self) -> list[list[float]]:
        """What request i takes on each lane [N_REQUESTS, k]: one draw, the same for everybody."""
        noise = np.random.default_rng(self.k).normal(0.0, NOISE, self.ln_seconds.shape)
        drawn: list[list[float]] = np.exp(self.ln_seconds + noise).tolist()
        return drawn

    def history(self) -> list[Result]:
        """N_WARM results of each lane."""
        rng = np.random.default_rng(self.k + 1)
        results: list[Result] = []
        for n in range(N_WARM):
            noise = rng.normal(0.0, NOISE, self.k)
            i = n % N_REQUESTS
            results += [
                (lane, self.subject.tuples[i], float(s))
                for lane, s in enumerate(np.exp(self.ln_seconds[i] + noise))
            ]
        return results

    def stream(self) -> Take:
        """The requests in the same order, over and over."""
        position = 0

        def take(n: int) -> Iterator[Job]:
            nonlocal position
            for _ in range(n):
                i = position % N_REQUESTS
                position += 1
                yield self.subject.tuples[i], self.seconds[i]

        return take
