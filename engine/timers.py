"""Things to look at again at a given moment, earliest first; clock-free, like the queues."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Timer", "Timers"]

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Timer(Generic[T]):
    """One thing to look at; None once it came due or was stopped."""

    item: T | None


class Timers(Generic[T]):
    """A heap of moments. A stopped timer keeps its place, but not its item, until it surfaces or most are stopped."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Timer[T]]] = []
        self._n_set = 0
        self._sequence = 0

    def set(self, item: T, at_ns: int) -> Timer[T]:
        """Cost O(log n) amortised."""
        if len(self._heap) > 2 * self._n_set + 64:
            self._heap = [place for place in self._heap if place[-1].item is not None]
            heapq.heapify(self._heap)
        self._sequence += 1
        self._n_set += 1
        timer = Timer(item)
        heapq.heappush(self._heap, (at_ns, self._sequence, timer))
        return timer

    def stop(self, timer: Timer[T] | None) -> None:
        """Nothing happens for one that came due or was stopped already."""
        if timer is not None and timer.item is not None:
            timer.item = None
            self._n_set -= 1

    def next_ns(self) -> int | None:
        """When the next one comes due."""
        while self._heap and self._heap[0][-1].item is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop(self, now_ns: int) -> T | None:
        """The earliest thing whose moment has come, or None."""
        at_ns = self.next_ns()
        if at_ns is None or at_ns > now_ns:
            return None
        timer = heapq.heappop(self._heap)[-1]
        item = timer.item
        self.stop(timer)
        return item

    def __len__(self) -> int:
        return self._n_set
