"""Jobs of three classes on four resources that only take time: what the dashboard shows when something goes on."""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import tailwise as tw
from tailwise.adapters.entry import Entry
from tailwise.adapters.journal import Journal

__all__ = ["load", "loaded"]

#: Seconds of a usual job on each, and how much faster it gets through a long prompt than the slowest.
SPEED_S = {"h100-0": 0.12, "h100-1": 0.12, "a10-0": 0.36, "cpu-0": 1.6}
#: Jobs a second by class: more than all can serve in time, so that some are refused.
RATE = {"interactive": 22.0, "standard": 17.0, "batch": 11.0}


def engine() -> tw.Engine:
    return tw.Engine(
        [
            tw.Resource("h100-0", slots=4, kind="gpu"),
            tw.Resource("h100-1", slots=4, kind="gpu"),
            tw.Resource("a10-0", slots=4, kind="gpu"),
            tw.Resource("cpu-0", slots=8, kind="cpu"),
        ],
        [
            tw.Model("embed", features=(tw.Feature("tokens", typical=300, knee=True), "images")),
            tw.Model("rerank", features=(tw.Feature("pairs", typical=20),)),
        ],
        [
            tw.QoS("interactive", 0.6, on_time=0.95, priority=0),
            tw.QoS("standard", 1.6, on_time=0.9, priority=1, contract="guaranteed"),
            tw.QoS("batch", 20.0, on_time=0.8, priority=2, contract="best_effort"),
        ],
        seed=1,
    )


class Backends:
    """What each resource does with what it is sent: first come, first served, on its slots. In each minute and a half
    h100-1 is three times slower from the 35th second to the 60th, and a10-0 fails from the 45th to the 80th."""

    def __init__(self, served: tw.Engine, seed: int) -> None:
        self._random = random.Random(seed)
        self._free_s = {r.name: [0.0] * r.slots for r in served.resources}

    def end_s(self, resource: str, now_s: float, at_s: float, size: float) -> float:
        slots = self._free_s[resource]
        speed = SPEED_S[resource] * (0.4 + 0.6 * size)
        if resource == "h100-1" and 35.0 < at_s % 90.0 < 60.0:
            speed *= 3.0
        end = max(now_s, heapq.heappop(slots)) + speed * self._random.lognormvariate(0.0, 0.15)
        heapq.heappush(slots, end)
        return end

    def fails(self, resource: str, at_s: float) -> bool:
        return resource == "a10-0" and 45.0 < at_s % 90.0 < 80.0


def load(journal: Journal, over: threading.Event, seed: int = 1) -> None:
    """Sends and settles jobs until `over`."""
    served, draw, backends = journal.engine, random.Random(seed), Backends(journal.engine, seed)
    routes = {(m.name, q.name): served.route(m.name, q.name) for m in served.models for q in served.qos}
    running: list[tuple[float, int, Entry, bool]] = []
    classes, rates = list(RATE), list(RATE.values())
    start_s = next_s = time.monotonic()
    number = 0
    while not over.is_set():
        now_s = time.monotonic()
        while running and running[0][0] <= now_s:
            _, _, entry, failed = heapq.heappop(running)
            entry.fail() if failed else entry.complete()
        while next_s <= now_s:
            number += 1
            next_s += draw.expovariate(sum(rates))
            size, model = draw.lognormvariate(0.0, 0.8), "embed" if draw.random() < 0.7 else "rerank"
            x = (300.0 * size, float(draw.randrange(4))) if model == "embed" else (20.0 * size,)
            [qos] = draw.choices(classes, rates)
            entry = journal.select(routes[model, qos], x, request_id=f"req-{number:06d}")
            if entry.admitted and entry.resource is not None:
                at_s = now_s - start_s
                failed = backends.fails(entry.resource, at_s)
                end_s = now_s + 0.005 if failed else backends.end_s(entry.resource, now_s, at_s, size)
                heapq.heappush(running, (end_s, number, entry, failed))
        over.wait(min(next_s, running[0][0] if running else next_s) - now_s)
    for _, _, entry, _ in running:
        entry.cancel()


@contextmanager
def loaded() -> Iterator[Journal]:
    """The journal of an engine that is under load for as long as the `with` lasts."""
    journal, over = Journal(engine()), threading.Event()
    thread = threading.Thread(target=load, args=(journal, over), name="load")
    thread.start()
    try:
        yield journal
    finally:
        over.set()
        thread.join()
