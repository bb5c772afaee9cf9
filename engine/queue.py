"""The queues of everyone who queues: one per resource, by priority, then earliest deadline; expiry by the clock.

No thread, no lock, no clock reading: the owner passes `now_ns` and holds its own lock. `Dispatch` stands on it.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tailwise.errors import InputError
from tailwise.share import Shares
from tailwise.validate import is_whole, require

__all__ = ["Queued", "Queues"]

T = TypeVar("T")

#: Places of jobs that left that a heap keeps at most, beside as many as wait.
SPARE = 64


@dataclass(slots=True, eq=False)
class Queued(Generic[T]):
    """A job's place in a queue. Once it was started, expired or removed, `open` is False and the job is let go."""

    job: T | None
    lane: int
    group: int  # index of its class among those with a minimum share; 0 = none
    open: bool = True


_Place = tuple[int, int, int, Queued[T]]


class Queues(Generic[T]):
    """Queues and free slots of every resource.

    A job leaves exactly once: started, returned by `expire`, or removed. Heaps keep a dead entry until it surfaces or
    most are dead, so each operation costs O(log n) amortised, and O(classes with a minimum share) more to start one.
    """

    def __init__(self, slots: Sequence[int], min_share: Mapping[str, float] | None = None) -> None:
        """slots: jobs that each resource serves at once, by lane. min_share: by class, see `QoS`; absent = none."""
        min_share = {name: share for name, share in (min_share or {}).items() if share > 0.0}
        self._groups = {name: group for group, name in enumerate(min_share, 1)}
        self._shares = Shares(list(min_share.values()))
        self._slots: list[int] = []
        self._free: list[int] = []
        self._length: list[int] = []
        self._ready: list[list[list[_Place[T]]]] = []
        self._expiry: list[_Place[T]] = []
        self._sequence = 0
        self._n_waiting = 0
        self.lanes = 0  #: bit set of those with slots
        for lane, n_slots in enumerate(slots):
            self.set_slots(lane, n_slots)

    def set_slots(self, lane: int, n_slots: int) -> None:
        """How many jobs a lane serves at once from now on; those in service go on. Lanes may be added by it.
        Raises InputError, and then changes nothing."""
        for name, value in (("lane", lane), ("n_slots", n_slots)):
            require(is_whole(value, 0), "set_slots", name, value, "an int >= 0", InputError)
        lane, n_slots = int(lane), int(n_slots)  # a shift of NumPy's ends at 64 bits
        while lane >= len(self._slots):
            self._slots.append(0)
            self._free.append(0)
            self._length.append(0)
            self._ready.append([[] for _ in range(1 + len(self._groups))])
            self._shares.add_lane()
        self._free[lane] += n_slots - self._slots[lane]
        self._slots[lane] = n_slots
        bit = 1 << lane
        self.lanes = self.lanes | bit if n_slots else self.lanes & ~bit

    def put(self, job: T, lane: int, priority: int, deadline_ns: int, qos: str = "") -> Queued[T]:
        """Queues a job of class `qos`; equal priority and deadline keep their order of arrival."""
        self._sequence += 1
        entry = Queued(job, lane, self._groups.get(qos, 0))
        places = self._ready[lane][entry.group]
        # mostly places of jobs that left: nothing may start there for long, and their deadlines may be far
        if len(places) > 2 * self._length[lane] + SPARE:
            _compact(places)
        if len(self._expiry) > 2 * self._n_waiting + SPARE:
            _compact(self._expiry)
        heapq.heappush(places, (priority, deadline_ns, self._sequence, entry))
        heapq.heappush(self._expiry, (deadline_ns, self._sequence, 0, entry))
        self._length[lane] += 1
        self._n_waiting += 1
        return entry

    def occupy(self, lane: int, now_ns: int, qos: str = "") -> bool:
        """A job of class `qos` starts without queueing; False where no slot is free or one waits for it: `put` it."""
        if self._free[lane] <= 0 or self.head(lane, now_ns) is not None:
            return False
        if self._groups:
            group = self._groups.get(qos, 0)
            self._shares.started(lane, group, [g == group for g in range(1 + len(self._groups))])
        self._free[lane] -= 1
        return True

    def head(self, lane: int, now_ns: int) -> Queued[T] | None:
        """The place of the job that should start next on a free slot of `lane`; None without a slot or a job.

        A job whose deadline has come is left for `expire`: an answer nobody waits for is not worth a slot.
        """
        if self._free[lane] <= 0 or not self._length[lane]:
            return None
        if not self._groups:
            head = _first(self._ready[lane][0], now_ns)
            return None if head is None else head[-1]
        heads = [_first(places, now_ns) for places in self._ready[lane]]
        owed = self._shares.owed(lane, [head is not None for head in heads])
        if owed:
            return heads[owed][-1]  # type: ignore[index]  # only a group that waits is owed a start
        waiting = [head for head in heads if head is not None]
        return min(waiting)[-1] if waiting else None

    def start(self, entry: Queued[T], now_ns: int) -> T:
        """Takes out the job at the head of its lane, which occupies a slot from now on."""
        lane = entry.lane
        if self._groups:
            waits = [_first(places, now_ns) is not None for places in self._ready[lane]]
            self._shares.started(lane, entry.group, waits)
        self._free[lane] -= 1
        return self._leave(entry)

    def take(self, lane: int, now_ns: int) -> T | None:
        """Starts the job at the head of a lane, or None."""
        entry = self.head(lane, now_ns)
        return None if entry is None else self.start(entry, now_ns)

    def release(self, lane: int) -> None:
        """A started job of `lane` has ended: its slot is free."""
        self._free[lane] += 1

    def remove(self, entry: Queued[T]) -> bool:
        """Takes a queued job out (cancelled, dropped, or moved elsewhere); False when it has left already."""
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
        jobs = [self._leave(place[-1]) for place in self._expiry if place[-1].open]
        self._expiry.clear()
        return jobs

    def next_expiry_ns(self) -> int | None:
        """When `expire` has work next; None while nothing is queued."""
        expiry = self._expiry
        while expiry and not expiry[0][-1].open:
            heapq.heappop(expiry)
        return expiry[0][0] if expiry else None

    def queued(self, lane: int) -> list[T]:
        """The jobs of one queue by priority, then deadline; none of a lane that is not ours. Cost O(n log n)."""
        if lane >= len(self._ready):
            return []
        places = sorted(place for group in self._ready[lane] for place in group if place[-1].open)
        return [place[-1].job for place in places if place[-1].job is not None]

    def length(self, lane: int) -> int:
        """Jobs queued on a resource."""
        return self._length[lane]

    def __len__(self) -> int:
        return self._n_waiting

    def _leave(self, entry: Queued[T]) -> T:
        job = entry.job
        assert job is not None
        entry.open, entry.job = False, None
        self._length[entry.lane] -= 1
        self._n_waiting -= 1
        return job


def _compact(places: list[_Place[T]]) -> None:
    """Drops the places of jobs that left."""
    places[:] = [place for place in places if place[-1].open]
    heapq.heapify(places)


def _first(places: list[_Place[T]], now_ns: int) -> _Place[T] | None:
    """The first place whose job waits and may still start; those before it are let go."""
    while places:
        place = places[0]
        if place[-1].open and place[1] > now_ns:
            return place
        heapq.heappop(places)
    return None
