"""What the resources of a world do with a job that starts there: the truth that nobody who decides is told."""

from __future__ import annotations

import heapq
import math
from typing import Generic, NamedTuple, TypeVar

from bench.replay.world import FAILS_AFTER_S, PATIENCE_S, Event, World

__all__ = ["NEVER_NS", "Servers"]

T = TypeVar("T")

NEVER_NS = 1 << 62
_PATIENCE_NS = round(PATIENCE_S * 1e9)
_FAILS_AFTER_NS = round(FAILS_AFTER_S * 1e9)


class _Service(NamedTuple, Generic[T]):
    """One job in service. It is ordered by its end, then by its start."""

    end_ns: int
    order: int
    start_ns: int
    lane: int
    fails: bool
    what: T | None  #: the owner's; None = nothing ever ends


class Servers(Generic[T]):
    """Jobs in service, by the end that each will have. An event changes those that start during it; a hang also
    those in service, which nobody hears of until their callers give them up."""

    def __init__(self, world: World) -> None:
        n_lanes = len(world.resources)
        self._service_s = world.service_s.item  # one number at a time: (n, K) Python floats would be a lot
        self._interference = world.interference.tolist()
        self._active: list[list[Event]] = [[] for _ in range(n_lanes)]
        self._slowed = [1.0] * n_lanes
        self._fails = [False] * n_lanes
        self._order = 0
        self._in_service: list[_Service[T]] = [
            _Service(NEVER_NS, 0, 0, 0, False, None)
        ]  # a heap, never empty
        self.n_busy = [0] * n_lanes  #: jobs in service, by lane
        self.hangs = [False] * n_lanes

    def start(self, what: T, job: int, lane: int, now_ns: int) -> None:
        """Service of a job begins on a lane."""
        n_others = self.n_busy[lane]
        fails = True
        if self.hangs[lane]:
            took_ns = _PATIENCE_NS
        elif self._fails[lane]:
            took_ns = _FAILS_AFTER_NS
        else:
            fails = False
            share = 1.0 + self._interference[lane] * n_others
            took_ns = round(self._service_s(job, lane) * self._slowed[lane] * share * 1e9)
        self.n_busy[lane] = n_others + 1
        self._order += 1
        service = _Service(now_ns + took_ns, self._order, now_ns, lane, fails, what)
        heapq.heappush(self._in_service, service)

    def next_ns(self) -> int:
        """When the next job ends; NEVER_NS = none does."""
        return self._in_service[0][0]

    def end(self) -> tuple[T, bool]:
        """(what was started, does it fail) of the job that ends next."""
        service = heapq.heappop(self._in_service)
        self.n_busy[service.lane] -= 1
        assert service.what is not None
        return service.what, service.fails

    def begin(self, event: Event, now_ns: int) -> None:
        """The event sets in."""
        self._active[event.lane].append(event)
        self._feel(event.lane)
        if event.kind == "hangs":
            self._in_service = [_unheard(s, now_ns) if s.lane == event.lane else s for s in self._in_service]
            heapq.heapify(self._in_service)

    def cease(self, event: Event) -> None:
        """The event is over."""
        self._active[event.lane].remove(event)
        self._feel(event.lane)

    def _feel(self, lane: int) -> None:
        active = self._active[lane]
        self._slowed[lane] = math.prod(event.factor for event in active if event.kind == "slow")
        self._fails[lane] = any(event.kind == "fails" for event in active)
        self.hangs[lane] = any(event.kind == "hangs" for event in active)


def _unheard(service: _Service[T], now_ns: int) -> _Service[T]:
    if service.what is None:
        return service
    return service._replace(end_ns=max(service.start_ns + _PATIENCE_NS, now_ns), fails=True)
