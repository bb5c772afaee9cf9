"""What serving waiting jobs together is worth. `python -m bench.together [SEEDS]`

One model, or several, on one or two resources with a slot each; a run of n items takes 8 ms + .4 ms n, or where
items are dear 8 ms + 2 ms n, times a lognormal of sd .1. Three classes. Load is in shares of what the resources serve
one by one. Same seed, same arrivals, whatever is decided.
"""

from __future__ import annotations

import heapq
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

import tailwise as tw
from tailwise.dispatch import Dispatch
from tailwise.job import Job, Orders, Run
from tailwise.policy import Assignment, Learned

SECOND = 1_000_000_000
FIXED_S, SIGMA = 0.008, 0.1
CLASSES = (
    tw.QoS("interactive", 0.05, on_time=0.95, priority=0),
    tw.QoS("standard", 0.2, on_time=0.9, priority=1),
    tw.QoS("batch", 2.0, on_time=0.8, priority=2),
)
SHARES = (0.5, 0.3, 0.2)
ITEMS = tw.Feature("items", typical=4, knee=True)
MAX_ITEMS, DURATION_S, WARM_S = 64, 30.0, 5.0


class Filling(Learned):
    """tailwise, but for how large a batch may grow: as many as fit, whoever is late by it."""

    def service_within_s(
        self, assignment: Assignment, features: tuple[float, ...], probability: float
    ) -> float:
        return 0.0


@dataclass(frozen=True)
class Scene:
    """load: of what the resources serve one by one. Each job is of one of n_models, alike but for their names."""

    n_resources: int
    each_s: float
    load: float
    n_models: int = 1

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return self.load * self.n_resources / (FIXED_S + self.each_s)

    def __str__(self) -> str:
        models = "" if self.n_models == 1 else f", {self.n_models} models"
        return f"{self.n_resources}, {1e3 * self.each_s:g} ms an item, {self.load:.0%}{models}"


SCENES = (
    *(Scene(n, 0.0004, load) for n in (1, 2) for load in (0.8, 1.2, 2.0, 6.0)),
    *(Scene(n, 0.002, load) for n in (1, 2) for load in (0.8, 1.2, 2.0, 4.0)),
    *(Scene(1, 0.002, load, n) for n in (2, 3) for load in (1.2, 2.0, 3.0)),
)


@dataclass(frozen=True)
class Way:
    name: str
    batching: tw.Batching | None
    policy: type[Learned] = Learned


WAYS = (
    Way("one by one", None),
    Way("together", tw.Batching(MAX_ITEMS)),
    Way("together, as many as fit", tw.Batching(MAX_ITEMS), Filling),
    Way("together, held 2 ms", tw.Batching(MAX_ITEMS, 0.002)),
    Way("together, held 5 ms", tw.Batching(MAX_ITEMS, 0.005)),
    Way("together, held 10 ms", tw.Batching(MAX_ITEMS, 0.010)),
)


@dataclass
class Outcome:
    """Of jobs that arrived after the first seconds."""

    offered: list[int] = field(default_factory=lambda: [0] * len(CLASSES))
    on_time: list[int] = field(default_factory=lambda: [0] * len(CLASSES))
    interactive_s: list[float] = field(default_factory=list)
    runs: int = 0
    jobs: int = 0

    @property
    def goodput(self) -> float:
        return 100.0 * sum(self.on_time) / sum(self.offered)

    @property
    def missed(self) -> float:
        return 100.0 * (1.0 - self.on_time[0] / self.offered[0])

    @property
    def p99_ms(self) -> float:
        return float(1e3 * np.quantile(self.interactive_s, 0.99))

    @property
    def size(self) -> float:
        return self.jobs / self.runs


class Play:
    """One way over one stream of arrivals."""

    def __init__(self, way: Way, scene: Scene, seed: int) -> None:
        self.clock, self.scene = tw.ManualClock(), scene
        resources = [tw.Resource(f"r{i}", discipline="priority") for i in range(scene.n_resources)]
        self.models = [f"m{i}" for i in range(scene.n_models)]
        models = [tw.Model(name, features=(ITEMS,), items="items") for name in self.models]
        engine = tw.Engine(resources, models, CLASSES, clock=self.clock, seed=seed)
        self.dispatch: Dispatch[int] = Dispatch(
            [1] * scene.n_resources,
            way.policy(engine),
            batching=None if way.batching is None else dict.fromkeys(self.models, way.batching),
            models=engine.models,
        )
        self.seed, self.out = seed, Outcome()
        self.ends: list[tuple[int, int, Run[int]]] = []
        self.order = itertools.count()

    def run(self) -> Outcome:
        rng = np.random.default_rng([self.seed, 2])
        for index, (at_ns, k) in enumerate(arrivals(self.scene.rate, self.seed)):
            self.play(at_ns)
            model = self.models[rng.integers(len(self.models))]
            _, orders = self.dispatch.submit(index, model, CLASSES[k], (1.0,), at_ns, shape=())
            if at_ns > WARM_S * SECOND:
                self.out.offered[k] += 1
            self.carry_out(orders, at_ns)
        self.play(round((DURATION_S + 10.0) * SECOND))
        return self.out

    def play(self, until_ns: int) -> None:
        while True:
            due_ns = self.dispatch.next_due_ns()
            end_ns = self.ends[0][0] if self.ends else None
            now_ns = min(ns for ns in (due_ns, end_ns, until_ns + 1) if ns is not None)
            if now_ns > until_ns:
                self.clock.set(until_ns / SECOND)
                return
            self.clock.set(now_ns / SECOND)
            if now_ns == due_ns:
                self.carry_out(self.dispatch.due(now_ns), now_ns)
            else:
                for run in heapq.heappop(self.ends)[-1].batch:
                    self.carry_out(self.dispatch.ended(run, "completed", now_ns), now_ns)

    def carry_out(self, orders: Orders[int], now_ns: int) -> None:
        for run in orders.start:
            z = np.random.default_rng([self.seed, 3, run.job.payload]).standard_normal()
            seconds = (FIXED_S + self.scene.each_s * len(run.batch)) * float(np.exp(SIGMA * z))
            heapq.heappush(self.ends, (now_ns + round(seconds * SECOND), next(self.order), run))
            self.out.runs += 1
            self.out.jobs += len(run.batch)
        for job in orders.ended:
            self.write(job)

    def write(self, job: Job[int]) -> None:
        if job.end != "completed" or job.arrival_ns <= WARM_S * SECOND:
            return
        took_s = (job.end_ns - job.arrival_ns) / SECOND
        self.out.on_time[CLASSES.index(job.qos)] += took_s <= job.deadline_s
        if job.qos is CLASSES[0]:
            self.out.interactive_s.append(took_s)


def arrivals(rate: float, seed: int) -> Iterator[tuple[int, int]]:
    """(nanoseconds, class) of a Poisson stream."""
    rng = np.random.default_rng([seed, 1])
    times = np.cumsum(rng.exponential(1.0 / rate, int(rate * DURATION_S * 1.2) + 50))
    times = times[times < DURATION_S]
    return zip(
        (times * SECOND).astype(int).tolist(), rng.choice(3, len(times), p=SHARES).tolist(), strict=True
    )


def figures(way: Way, scene: Scene, seeds: Sequence[int]) -> tuple[float, ...]:
    outs = [Play(way, scene, seed).run() for seed in seeds]
    return tuple(
        float(np.mean([getattr(out, name) for out in outs]))
        for name in ("goodput", "missed", "p99_ms", "size")
    )


def main(n_seeds: int) -> None:
    print("| resources, load | way | goodput, % | interactive missed, % | interactive p99, ms | jobs a run |")
    print("|---|---|---|---|---|---|")
    for scene in SCENES:
        for way in WAYS:
            goodput, missed, p99_ms, size = figures(way, scene, range(n_seeds))
            cells = f"{way.name} | {goodput:.1f} | {missed:.1f} | {p99_ms:.0f} | {size:.2f}"
            print(f"| {scene} | {cells} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
