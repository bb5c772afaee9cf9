"""What the resources of a world do with a job that starts there: the truth that nobody who decides is told."""

from __future__ import annotations

import heapq
import itertools
import math
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from bench.replay.world import FAILS_AFTER_S, PATIENCE_S, Event, World

__all__ = ["NEVER_NS", "Servers"]

T = TypeVar("T")

NEVER_NS = 1 << 62
_PATIENCE_NS = round(PATIENCE_S * 1e9)
_FAILS_AFTER_NS = round(FAILS_AFTER_S * 1e9)

#: One job in service, ordered by its end, then by its start: (end_ns, order, start_ns, lane, does it fail, what the
#: owner started). None for the last = nothing ever ends.
_Service: TypeAlias = tuple[int, int, int, int, bool, T | None]


class Servers(Generic[T]):
    """Jobs in service, by the end that each will have. An event changes those that start during it; a hang also
    those in service, which nobody hears of until their callers give them up."""

    def __init__(self, world: World) -> None:
        n_lanes = len(world.resources)
        # one number at a time: (n, K) Python floats would be a lot, and an array's own indexing takes twice as long
        self._service_s = memoryview(np.ascontiguousarray(world.service_s))
        self._interference = world.interference.tolist()
        self._active: list[list[Event]] = [[] for _ in range(n_lanes)]
        self._slowed = [1.0] * n_lanes
        self._fails_ns = [0] * n_lanes  # after which a job that starts now fails; 0 = it does not
        self._orders = itertools.count(1)
        #: A heap, never empty; its first number is when the next job ends.
        self.in_service: list[_Service[T]] = [(NEVER_NS, 0, 0, 0, False, None)]
        self.n_busy = [0] * n_lanes  #: jobs in service, by lane
        self.hangs = [False] * n_lanes

    def start(self, what: T, job: int, lane: int, now_ns: int) -> None:
        """Service of a job begins on a lane."""
        n_others = self.n_busy[lane]
        self.n_busy[lane] = n_others + 1
        fails_ns = self._fails_ns[lane]
        if fails_ns:
            end_ns = now_ns + fails_ns
        else:
            share = 1.0 + self._interference[lane] * n_others
            end_ns = now_ns + round(self._service_s[job, lane] * self._slowed[lane] * share * 1e9)
        heapq.heappush(self.in_service, (end_ns, next(self._orders), now_ns, lane, fails_ns > 0, what))

    def end(self) -> tuple[T, bool]:
        """(what was started, does it fail) of the job that ends next."""
        _, _, _, lane, fails, what = heapq.heappop(self.in_service)
        self.n_busy[lane] -= 1
        assert what is not None
        return what, fails

    def begin(self, event: Event, now_ns: int) -> None:
        """The event sets in."""
        self._active[event.lane].append(event)
        self._feel(event.lane)
        if event.kind == "hangs":
            self.in_service[:] = [_unheard(s, event.lane, now_ns) for s in self.in_service]
            heapq.heapify(self.in_service)

    def cease(self, event: Event) -> None:
        """The event is over."""
        self._active[event.lane].remove(event)
        self._feel(event.lane)

    def _feel(self, lane: int) -> None:
        active = self._active[lane]
        self._slowed[lane] = math.prod(event.factor for event in active if event.kind == "slow")
        fails = any(event.kind == "fails" for event in active)
        self.hangs[lane] = any(event.kind == "hangs" for event in active)
        self._fails_ns[lane] = _PATIENCE_NS if self.hangs[lane] else _FAILS_AFTER_NS if fails else 0


def _unheard(service: _Service[T], hanging: int, now_ns: int) -> _Service[T]:
    _, order, start_ns, lane, _, what = service
    if what is None or lane != hanging:
        return service
    return max(start_ns + _PATIENCE_NS, now_ns), order, start_ns, lane, True, what
