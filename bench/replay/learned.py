"""tailwise itself, replayed: the public engine and its queues' owner under a manual clock, in a Python loop."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

import tailwise as tw
from bench.replay.gateways import Gateways
from bench.replay.outcome import End, Outcome
from bench.replay.servers import NEVER_NS, Servers
from bench.replay.world import World
from tailwise.dispatch import Dispatch
from tailwise.job import Orders, Run
from tailwise.policy import Learned

__all__ = ["CHOOSES_ONLY", "OWNS_QUEUES", "Tailwise"]

SECOND_NS = 1_000_000_000
_ENDS = {
    "completed": int(End.COMPLETED),
    "failed": int(End.FAILED),
    "expired": int(End.EXPIRED),
    "rejected": int(End.REJECTED),
}


@dataclass(frozen=True, slots=True)
class Tailwise:
    """A Player. rules: of the queues; where several gateways share the resources, these queue by themselves, and none
    but expiry is applied. learned: what decides, made of an engine; another one to look on."""

    name: str
    rules: tw.Rules
    learned: Callable[[tw.Engine], Learned] = Learned

    def play(self, world: World, seed: int) -> Outcome:
        return _Replay(world, seed, self.rules, self.learned).run()


#: The rules of engine-owned queues, all of them.
OWNS_QUEUES = Tailwise("tailwise", tw.Rules())
#: Queues by class and expiry as the common layer of the baselines has them: only where a job goes is decided.
CHOOSES_ONLY = Tailwise("tailwise, chooses only", tw.Rules(start_test=False, re_decide=False, hedge=False))


class _Replay:
    """One world under one seed. A job's payload is its index. Lanes are the dispatch's, but where one says so."""

    def __init__(
        self, world: World, seed: int, rules: tw.Rules, learned: Callable[[tw.Engine], Learned] = Learned
    ) -> None:
        self._began_s = time.perf_counter()
        self._world = world
        self._clock = tw.ManualClock()
        self._gateways = Gateways(world, self._clock, seed, learned)
        self._dispatch: Dispatch[int] = Dispatch(
            [0 if lane in self._gateways.absent else r.slots for lane, r in enumerate(world.resources)],
            self._gateways.policy,
            min_share={qos.name: qos.min_share for qos in world.classes},
            rules=rules,
        )
        self._servers: Servers[Run[int]] = Servers(world)
        self._world_lane = list(range(len(world.resources)))  # a resource that joins may take any free lane
        n = len(world)
        self._lane = [-1] * n
        self._end = [int(End.OPEN)] * n
        self._end_s = [np.nan] * n
        self._claim: list[float | None] = [None] * n
        self._orders = itertools.count()
        self._story: list[tuple[int, int, Callable[[], None]]] = []  # a heap, never empty
        self._at(NEVER_NS, lambda: None)
        self._tell()

    def run(self) -> Outcome:
        """Plays all arrivals, and what is left when there are no more."""
        submit, set_clock, gateways, claims = (
            self._dispatch.submit,
            self._clock.set,
            self._gateways,
            self._claim,
        )
        at_ns = 0
        for job, (at_ns, model, qos, x, gateways.deciding) in enumerate(_arrivals(self._world)):
            self._play(at_ns)
            set_clock(at_ns * 1e-9)
            placed, orders = submit(job, model, qos, x, at_ns)
            claims[job] = placed.assignment.p_on_time
            self._carry_out(orders, at_ns)
        while len(self._dispatch):
            at_ns += SECOND_NS
            self._play(at_ns)
        wall_s = time.perf_counter() - self._began_s
        claim = np.array(claims, dtype=np.float64)  # NaN for None
        return Outcome(np.array(self._lane), np.array(self._end), np.array(self._end_s), claim, wall_s)

    def _play(self, until_ns: int) -> None:
        """Whatever happens up to a moment, in order of time."""
        next_due_ns, in_service, story = self._dispatch.next_due_ns, self._servers.in_service, self._story
        while True:
            due_ns, now_ns, told_ns = next_due_ns() or NEVER_NS, in_service[0][0], story[0][0]
            is_due = due_ns <= now_ns
            if is_due:
                now_ns = due_ns
            if told_ns <= now_ns:
                if told_ns > until_ns:
                    return
                self._clock.set(told_ns * 1e-9)
                heapq.heappop(story)[-1]()
                continue
            if now_ns > until_ns:
                return
            self._clock.set(now_ns * 1e-9)
            if is_due:
                orders = self._dispatch.due(now_ns)
            else:
                run, fails = self._servers.end()
                orders = self._dispatch.ended(run, "failed" if fails else "completed", now_ns)
            self._carry_out(orders, now_ns)

    def _carry_out(self, orders: Orders[int], now_ns: int) -> None:
        for run in orders.start:
            self._servers.start(run, run.job.payload, self._world_lane[run.lane], now_ns)
        for job in orders.ended:
            i, last = job.payload, job.last
            assert job.end is not None
            self._end[i] = _ENDS[job.end]
            self._end_s[i] = job.end_ns * 1e-9
            if last is not None:
                self._lane[i] = self._world_lane[last.lane]

    # --- what happens to the resources --------------------------------------------------------------------------

    def _at(self, ns: int, do: Callable[[], None]) -> None:
        heapq.heappush(self._story, (ns, next(self._orders), do))

    def _tell(self) -> None:
        """Writes down when the events of the world begin and end, and when its resources report."""
        for event in self._world.events:
            begin_ns, end_ns = (round(s * 1e9) for s in (event.start_s, event.end_s))
            if event.kind == "absent":
                self._at(end_ns, partial(self._join, event.lane, end_ns))
            else:
                self._at(begin_ns, partial(self._servers.begin, event, begin_ns))
                self._at(end_ns, partial(self._servers.cease, event))
        if self._world.report_every_s > 0.0:
            self._report(0)

    def _join(self, world_lane: int, now_ns: int) -> None:
        resource = self._world.resources[world_lane]
        lane = self._gateways.join(resource)
        self._world_lane[lane] = world_lane
        self._carry_out(self._dispatch.set_slots(lane, resource.slots, now_ns), now_ns)

    def _report(self, now_ns: int) -> None:
        """Every resource counts its jobs, which is heard later. One that hangs says nothing."""
        heard_ns = now_ns + round(self._world.report_age_s * 1e9)
        for lane, resource in enumerate(self._gateways.by_lane):
            world_lane = self._world_lane[lane]
            if resource is not None and not self._servers.hangs[world_lane]:
                n_busy, n_waiting = self._servers.n_busy[world_lane], len(self._dispatch.queued(lane))
                self._at(heard_ns, self._gateways.counted(resource.name, n_busy, n_waiting))
        next_ns = now_ns + round(self._world.report_every_s * 1e9)
        self._at(next_ns, partial(self._report, next_ns))


def _arrivals(world: World) -> Iterator[tuple[int, str, tw.QoS, tuple[float, ...], int]]:
    """(nanoseconds, model, class, features, gateway) of every job, as Python's own numbers."""
    models = [model.name for model in world.models]
    return zip(
        np.rint(world.arrival_s * 1e9).astype(np.int64).tolist(),
        [models[k] for k in world.model.tolist()],
        [world.classes[k] for k in world.qos.tolist()],
        # by column: a list for each job would be walked by the garbage collector again and again
        zip(*world.x.T.tolist(), strict=True) if world.x.shape[1] else itertools.repeat((), len(world)),
        itertools.repeat(0, len(world)) if world.gateway is None else world.gateway.tolist(),
        strict=True,
    )
