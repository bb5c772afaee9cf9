"""Resources that a second dispatcher uses too: what each knows of the other comes by reports that are late.

A discrete-event simulation through the public API, under a manual clock. Same seed: same arrivals of both, same
service times of the n-th job that a resource starts, and same choices of the other dispatcher given the same queues.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np

import tailwise as tw

#: What the dispatcher under test makes of the reports: they go to the engine; nothing; or they are all it knows of
#: queues, its own jobs since then included ("alone", with the true means of service).
Use = Literal["engine", "none", "alone"]

MEAN_S = (0.008, 0.010, 0.012, 0.016, 0.020, 0.030)
SLOTS = (1, 2, 1, 2, 1, 2)
SPREAD = 0.4
DEADLINE_S = 0.06
SAMPLE_S = 0.01
STICKY = 0.33


@dataclass
class Server:
    """First come, first served. jobs: (is ours, arrival, ticket), in service first."""

    mean_s: float
    slots: int
    queue: deque[tuple[float, tw.Ticket | None, bool]] = field(default_factory=deque)
    running: int = 0


def attainment(use: Use, stale_s: float, *, seed: int, load: float = 0.75, jobs: int = 4000) -> float:
    """Share of our jobs (half of all) that end within DEADLINE_S. Reports: every 10 ms, heard stale_s later."""
    return float(np.mean(Shared(use, stale_s, seed, load, jobs).run()))


class Shared:
    """Plays the events of one simulation in order of time."""

    def __init__(self, use: Use, stale_s: float, seed: int, load: float, jobs: int) -> None:
        self.use, self.stale_s = use, stale_s
        self.clock = tw.ManualClock()
        self.engine = tw.Engine(
            [tw.Resource(f"r{i}", slots=n) for i, n in enumerate(SLOTS)],
            [tw.Model("m")],
            [tw.QoS("q", DEADLINE_S, contract="best_effort")],
            profiles=[tw.Profile(f"r{i}", "m", mean_s, SPREAD, 50.0) for i, mean_s in enumerate(MEAN_S)],
            clock=self.clock,
            seed=seed,
            health=None,
            detect_change=False,
        )
        self.route = self.engine.route("m", "q")
        self.servers = [Server(m, n) for m, n in zip(MEAN_S, SLOTS, strict=True)]
        self.services = [
            iter(np.random.default_rng([seed, i]).lognormal(-(SPREAD**2) / 2, SPREAD, 4 * jobs))
            for i in range(6)
        ]
        self.heard = [0] * len(self.servers)
        self.on_time: list[bool] = []
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        rng = np.random.default_rng(seed)
        rate = load * sum(n / m for m, n in zip(MEAN_S, SLOTS, strict=True))
        arrivals = np.cumsum(rng.exponential(1 / rate, 2 * jobs))
        ours, draws = rng.random(2 * jobs) < 0.5, rng.random(2 * jobs)
        for time_s, mine, u in zip(arrivals, ours, draws, strict=True):
            self._at(time_s, partial(self._arrive, mine, u))
        self._last_s = arrivals[-1]
        self._at(0.0, self._sample)

    def run(self) -> list[bool]:
        """Which of our jobs were on time, in the order of their ends."""
        while self._events:
            now_s, _, happen = heapq.heappop(self._events)
            self.clock.set(now_s)
            happen(now_s)
        return self.on_time

    def _at(self, time_s: float, happen: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (time_s, next(self._order), happen))

    def _arrive(self, mine: bool, u: float, now_s: float) -> None:
        ticket = None
        if not mine:
            lane = self._theirs(u, now_s)
        elif self.use == "alone":
            lane = min(
                range(6),
                key=lambda k: max(self.heard[k] - SLOTS[k] + 1, 0) * MEAN_S[k] / SLOTS[k] + MEAN_S[k],
            )
        else:
            ticket = self.route.select(())
            lane = self.engine.lane(ticket.resource.name)
        self.servers[lane].queue.append((now_s, ticket, mine))
        self._start(lane, now_s)

    def _theirs(self, u: float, now_s: float) -> int:
        """The other one has a favourite for half a second, and sends a third of its jobs there; of two that it draws
        the others go to the one with less to do."""
        if u < STICKY:
            return int(now_s / 0.5) * 5 % 6
        jobs = [server.running + len(server.queue) for server in self.servers]
        return min((int(u * 6), int(u * 36) % 6), key=lambda k: jobs[k] * MEAN_S[k] / SLOTS[k])

    def _start(self, lane: int, now_s: float) -> None:
        server = self.servers[lane]
        while server.queue and server.running < server.slots:
            arrival_s, ticket, mine = server.queue.popleft()
            server.running += 1
            service_s = server.mean_s * next(self.services[lane])
            self._at(now_s + service_s, partial(self._end, lane, arrival_s, ticket, mine, service_s))

    def _end(
        self,
        lane: int,
        arrival_s: float,
        ticket: tw.Ticket | None,
        mine: bool,
        service_s: float,
        now_s: float,
    ) -> None:
        self.servers[lane].running -= 1
        if mine:
            self.on_time.append(now_s - arrival_s <= DEADLINE_S)
        if ticket is not None:
            ticket.complete(service_s)
        self._start(lane, now_s)

    def _sample(self, now_s: float) -> None:
        if now_s < self._last_s:
            self._at(now_s + SAMPLE_S, self._sample)
        if self.use != "none":
            counts = [(s.running, len(s.queue)) for s in self.servers]
            self._at(now_s + self.stale_s, partial(self._hear, now_s, counts))

    def _hear(self, sampled_s: float, counts: list[tuple[int, int]], now_s: float) -> None:
        for lane, (running, waiting) in enumerate(counts):
            self.heard[lane] = running + waiting
            if self.use == "engine":
                self.engine.report(f"r{lane}", running=running, waiting=waiting, at=sampled_s)
