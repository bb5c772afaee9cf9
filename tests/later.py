"""What happens at moments of a manual clock, in order of time."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import tailwise as tw


class Later:
    """Ends of jobs that are still to come; those of one moment in the order in which they were said."""

    def __init__(self, clock: tw.ManualClock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._n = 0

    def at(self, seconds: float, do: Callable[[], object]) -> None:
        self._n += 1
        heapq.heappush(self._due, (seconds, self._n, do))

    def until(self, seconds: float) -> None:
        """Does what was due by then, each at its own moment; then it is that time."""
        while self._due and self._due[0][0] <= seconds:
            moment_s, _, do = heapq.heappop(self._due)
            self._clock.set(moment_s)
            do()
        self._clock.set(seconds)
