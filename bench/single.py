"""Single calls of select: quantiles and a histogram, whose tail a median of passes does not show."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.subject import N_REQUESTS, Subject

__all__ = ["Single", "clock_ns", "single_calls"]

#: Bins a decade: each reaches a quarter further than the last.
N_BINS = 10
_BAR = 60


@dataclass(frozen=True, slots=True)
class Single:
    """Nanoseconds a call, the clock's own time taken off."""

    k: int
    n: int
    clock: float
    p50: float
    p99: float
    p999: float
    most: float
    #: [from, to, how many] of each bin that holds any
    histogram: list[tuple[float, float, int]]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        """A bar a bin, as long as the logarithm of how many it holds: one call in the tail is seen, too."""
        title = (
            f"select at K = {self.k}, {self.n} single calls, ns (the clock's own {self.clock:.0f} taken off): "
            f"p50 {self.p50:.0f}, p99 {self.p99:.0f}, p99.9 {self.p999:.0f}, max {self.most:.0f}"
        )
        unit = _BAR / np.log2(1 + self.n)
        rows = (
            f"{low:9.0f} .. {high:<9.0f}{count:7d}  {'#' * max(1, round(unit * np.log2(1 + count)))}"
            for low, high, count in self.histogram
        )
        return "\n".join([title, *rows])


def single_calls(subject: Subject, n: int) -> Single:
    """n calls; each ticket is cancelled before the next."""
    clock = time.perf_counter_ns
    own = clock_ns()
    select, tuples = subject.route.select, subject.tuples
    times = np.empty(n)
    for i in range(n):
        x = tuples[i % N_REQUESTS]
        begin_ns = clock()
        ticket = select(x)
        times[i] = clock() - begin_ns
        ticket.cancel()
    times = np.maximum(times - own, 1.0)
    p50, p99, p999 = map(float, np.quantile(times, [0.5, 0.99, 0.999]))
    return Single(subject.n_resources, n, own, p50, p99, p999, float(times.max()), _histogram(times))


def clock_ns(clock: Callable[[], int] = time.perf_counter_ns) -> float:
    """What the clock itself adds to the time of a single call."""
    return float(np.median([-clock() + clock() for _ in range(2000)]))


def _histogram(times: NDArray[np.float64]) -> list[tuple[float, float, int]]:
    bins, counts = np.unique(np.floor(N_BINS * np.log10(times)), return_counts=True)
    return [
        (float(10 ** (b / N_BINS)), float(10 ** ((b + 1) / N_BINS)), int(count))
        for b, count in zip(bins, counts, strict=True)
    ]
