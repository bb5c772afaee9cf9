"""The queues of everyone who queues: one per resource, by priority, then earliest deadline; expiry by the clock.

No thread, no lock, no clock reading: the owner passes `now_ns` and holds its own lock. Executor, gateway and
replay all run on this file.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["Queued", "Queues"]

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Queued(Generic[T]):
    """A job's place in a queue. `open` turns False, and the job is let go, once it was taken, expired or removed."""

    job: T | None
    lane: int
    priority: int
    deadline_ns: int
    open: bool = field(default=True)


class Queues(Generic[T]):
    """Queues and free slots of every resource.

    A job leaves exactly once: taken by `take`, returned by `expire`, or removed by `remove`. Heaps keep a dead
    entry until it surfaces, so each operation costs O(log n) amortised.
    """

    def __init__(self, slots: Sequence[int]) -> None:
        """slots: jobs that each resource serves at once, by lane."""
        self._free = list(slots)
        self._ready: list[list[tuple[int, int, int, Queued[T]]]] = [[] for _ in slots]
        self._expiry: list[tuple[int, int, Queued[T]]] = []
        self._length = [0] * len(slots)
        self._sequence = 0

    def put(self, job: T, lane: int, priority: int, deadline_ns: int) -> Queued[T]:
        """Queues a job; equal priority and deadline keep their order of arrival."""
        self._sequence += 1
        entry = Queued(job, lane, priority, deadline_ns)
        heapq.heappush(self._ready[lane], (priority, deadline_ns, self._sequence, entry))
        if (
            len(self._expiry) > 2 * len(self) + 64
        ):  # mostly places of jobs that left: their deadlines may be far
            self._expiry = [place for place in self._expiry if place[-1].open]
            heapq.heapify(self._expiry)
        heapq.heappush(self._expiry, (deadline_ns, self._sequence, entry))
        self._length[lane] += 1
        return entry

    def take(self, lane: int, now_ns: int) -> T | None:
        """The job to start now on a free slot of `lane` (which it then occupies), or None.

        A job whose deadline has come is left for `expire`: an answer nobody waits for is not worth a slot.
        """
        ready = self._ready[lane]
        while self._free[lane] > 0 and ready:
            entry = heapq.heappop(ready)[-1]
            if entry.open and entry.deadline_ns > now_ns:
                self._free[lane] -= 1
                return self._leave(entry)
        return None

    def release(self, lane: int) -> None:
        """A started job of `lane` has ended: its slot is free."""
        self._free[lane] += 1

    def remove(self, entry: Queued[T]) -> bool:
        """Takes a queued job out (cancelled, or moved elsewhere); False when it has left already."""
        if not entry.open:
            return False
        self._leave(entry)
        return True

    def expire(self, now_ns: int) -> list[T]:
        """Takes out every queued job whose deadline has come, earliest first."""
        expired = []
        while self._expiry and self._expiry[0][0] <= now_ns:
            entry = heapq.heappop(self._expiry)[-1]
            if entry.open:
                expired.append(self._leave(entry))
        return expired

    def clear(self) -> list[T]:
        """Takes out everything that is queued."""
        jobs = [self._leave(entry) for _, _, entry in self._expiry if entry.open]
        self._expiry.clear()
        return jobs

    def next_expiry_ns(self) -> int | None:
        """When `expire` has work next; None while nothing is queued."""
        while self._expiry and not self._expiry[0][-1].open:
            heapq.heappop(self._expiry)
        return self._expiry[0][0] if self._expiry else None

    def length(self, lane: int) -> int:
        """Jobs queued on a resource."""
        return self._length[lane]

    def __len__(self) -> int:
        return sum(self._length)

    def _leave(self, entry: Queued[T]) -> T:
        job = entry.job
        assert job is not None
        entry.open, entry.job = False, None
        self._length[entry.lane] -= 1
        return job
