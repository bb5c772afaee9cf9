"""Things to look at again at a given moment, earliest first; clock-free, like the queues."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

__all__ = ["Timers"]

T = TypeVar("T")


class Timers(Generic[T]):
    """A heap of moments. A stopped timer keeps its place, but not its item, until it surfaces or most are stopped."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int]] = []  # (moment, number)
        self._items: dict[int, T] = {}  # by number, of those that are set
        self._n_ever = 0

    def set(self, item: T, at_ns: int) -> int:
        """Returns the timer's number, by which it is stopped. Cost O(log n) amortised."""
        if len(self._heap) > 2 * len(self._items) + 64:
            self._heap = [place for place in self._heap if place[1] in self._items]
            heapq.heapify(self._heap)
        self._n_ever += 1
        self._items[self._n_ever] = item
        heapq.heappush(self._heap, (at_ns, self._n_ever))
        return self._n_ever

    def stop(self, timer: int | None) -> None:
        """Nothing happens for one that came due or was stopped already."""
        if timer is not None:
            self._items.pop(timer, None)

    def next_ns(self) -> int | None:
        """When the next one comes due."""
        heap, items = self._heap, self._items
        while heap and heap[0][1] not in items:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def pop(self, now_ns: int) -> T | None:
        """The earliest thing whose moment has come, or None."""
        at_ns = self.next_ns()
        if at_ns is None or at_ns > now_ns:
            return None
        return self._items.pop(heapq.heappop(self._heap)[1])

    def __len__(self) -> int:
        return len(self._items)
