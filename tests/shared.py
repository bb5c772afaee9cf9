"""Resources that a second dispatcher uses too: what each knows of the other comes by reports that are late.

A discrete-event simulation through the public API, under a manual clock. Same seed: same arrivals of both, same
service times of the n-th job that a resource starts, and same choices of the other dispatcher given the same queues.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass, field
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
    rng = np.random.default_rng(seed)
    clock = tw.ManualClock()
    engine = tw.Engine(
        [tw.Resource(f"r{i}", slots=n) for i, n in enumerate(SLOTS)],
        [tw.Model("m")],
        [tw.QoS("q", DEADLINE_S, contract="best_effort")],
        profiles=[tw.Profile(f"r{i}", "m", mean_s, SPREAD, 50.0) for i, mean_s in enumerate(MEAN_S)],
        clock=clock,
        seed=seed,
        health=None,
        detect_change=False,
    )
    route = engine.route("m", "q")
    servers = [Server(m, n) for m, n in zip(MEAN_S, SLOTS, strict=True)]
    rate = load * sum(n / m for m, n in zip(MEAN_S, SLOTS, strict=True))
    services = [
        iter(np.random.default_rng([seed, i]).lognormal(-(SPREAD**2) / 2, SPREAD, 4 * jobs)) for i in range(6)
    ]
    heard = [0] * len(servers)
    order = itertools.count()
    events: list[tuple[float, int, str, tuple]] = []

    def at(time_s: float, what: str, *args: object) -> None:
        heapq.heappush(events, (time_s, next(order), what, args))

    arrivals = np.cumsum(rng.exponential(1 / rate, 2 * jobs))
    ours = rng.random(2 * jobs) < 0.5
    draws = rng.random(2 * jobs)
    for time_s, mine, u in zip(arrivals, ours, draws, strict=True):
        at(time_s, "arrival", mine, u)
    at(0.0, "sample")
    on_time: list[bool] = []

    def start(lane: int, now_s: float) -> None:
        server = servers[lane]
        while server.queue and server.running < server.slots:
            arrival_s, ticket, mine = server.queue.popleft()
            server.running += 1
            service_s = server.mean_s * next(services[lane])
            at(now_s + service_s, "end", lane, arrival_s, ticket, mine, service_s)

    while events:
        now_s, _, what, args = heapq.heappop(events)
        clock.set(now_s)
        if what == "arrival":
            mine, u = args
            ticket = None
            if (
                not mine
            ):  # the other one has a favourite for half a second, and sends a third of its jobs there
                pair = int(u * 6), int(u * 36) % 6
                lane = min(
                    pair, key=lambda k: (servers[k].running + len(servers[k].queue)) * MEAN_S[k] / SLOTS[k]
                )
                if u < STICKY:
                    lane = int(now_s / 0.5) * 5 % 6
            elif use == "alone":
                lane = min(
                    range(6), key=lambda k: max(heard[k] - SLOTS[k] + 1, 0) * MEAN_S[k] / SLOTS[k] + MEAN_S[k]
                )
            else:
                ticket = route.select(())
                lane = engine.lane(ticket.resource.name)
            servers[lane].queue.append((now_s, ticket, mine))
            start(lane, now_s)
        elif what == "end":
            lane, arrival_s, ticket, mine, service_s = args
            servers[lane].running -= 1
            if mine:
                on_time.append(now_s - arrival_s <= DEADLINE_S)
            if ticket is not None:
                ticket.complete(service_s)
            start(lane, now_s)
        elif what == "sample":
            if now_s < arrivals[-1]:
                at(now_s + SAMPLE_S, "sample")
            if use != "none":
                at(now_s + stale_s, "report", now_s, [(s.running, len(s.queue)) for s in servers])
        else:
            sampled_s, counts = args
            for lane, (running, waiting) in enumerate(counts):
                heard[lane] = running + waiting
                if use == "engine":
                    engine.report(f"r{lane}", running=running, waiting=waiting, at=sampled_s)
    return float(np.mean(on_time))
