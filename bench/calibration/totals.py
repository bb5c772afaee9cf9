"""The map on completion times instead: P(on time) of jobs that wait, in the world of tests/world.py."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from bench.calibration.maps import EDGES, RULES, OnTimeTable, PitMap
from tailwise.job import Job
from tests.world import Load, Request, Scenario, World, slow_fail_hang

LOADS = (0.5, 0.8, 0.95, 1.2)
WARM_S = 5.0  # arrivals before that are not judged
NEAR = 1.05  # second deadline over the first: P is far from 1 at both, also where a long queue makes s small
WAYS = ("raw", "map a class", "map a profile", "table")


@dataclass
class Seen:
    """One admitted job: its class and lane, the raw P and its parts, where it fell. cell: see maps.CELLS."""

    qos: str
    lane: int
    arrival_s: float
    availability: float
    raw: float  #: P(on time) / availability
    cell: float
    m: float  #: location, scale and degrees of freedom of ln(completion)
    s: float
    dof: float
    u: float = 1.0  #: of its completion; a job that never completed is later than all
    failed: bool = False
    on_time: bool = False


class Watched(World):
    """Asks for the forecasts of the lane that is going to be chosen before each decision."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.seen: dict[int, Seen] = {}
        self.steps: list[tuple[bool, int]] = []  # (it ended, job)

    def _arrive(self, index: int, load: Load, batch: float) -> None:
        best = self._look(load, batch)
        super()._arrive(index, load, batch)
        if best is not None and best.lane == self.outcomes.lane[index]:
            self.seen[index] = best
            self.steps.append((False, index))

    def _look(self, load: Load, batch: float) -> Seen | None:
        """m and s of ln(completion) follow from P at two deadlines."""
        route = self.engine.route(load.model, load.qos.name)
        left = route.peek((batch,))
        if not left:
            return None
        c = left[0]
        lane = [s.name for s in self.scenario.servers].index(c.resource.name)
        mean_s = c.wait_s + c.service_s
        deviates = []
        for deadline_s in (mean_s, NEAR * mean_s):
            (row,) = route.peek((batch,), mask=1 << lane, deadline_s=deadline_s)
            deviates.append(student.ppf(row.p_on_time / row.availability, row.dof))
        if not 0.0 < deviates[1] - deviates[0] < np.inf:
            return None
        s = float(np.log(NEAR) / (deviates[1] - deviates[0]))
        m = float(np.log(mean_s) - deviates[0] * s)
        cell = float(np.log(load.qos.deadline_s / mean_s) / c.spread)
        raw = c.p_on_time / c.availability
        return Seen(load.qos.name, lane, self.now_ns * 1e-9, c.availability, raw, cell, m, s, c.dof)

    def _write(self, job: Job[Request]) -> None:
        super()._write(job)
        i = job.payload.index
        if i in self.seen:
            one, rows = self.seen[i], self.outcomes
            one.on_time, one.failed = rows.on_time[i], rows.kind[i] == "failed"
            if rows.kind[i] == "completed":
                one.u = float(student.cdf((np.log(rows.completion_s[i]) - one.m) / one.s, one.dof))
            self.steps.append((True, i))


def play(load: float, events: bool, seed: int, duration_s: float) -> Watched:
    events_of = slow_fail_hang(duration_s) if events else ()
    world = Watched(Scenario(load=load, duration_s=duration_s, events=events_of), seed=seed)
    world.run()
    return world


def claims(world: Watched, way: str) -> dict[int, tuple[float, float]]:
    """Of every job seen: what would have been claimed, and the level in the raw forecast that .9 is then read at."""
    maps: dict[object, PitMap] = defaultdict(lambda: PitMap(RULES[0]))
    tables: dict[str, OnTimeTable] = defaultdict(OnTimeTable)
    said = {}
    for ended, i in world.steps:
        one = world.seen[i]
        pit = maps[(one.qos, one.lane) if way == "map a profile" else one.qos]
        if ended and not one.failed:  # availability answers for failures
            pit.tell(one.u, one.u)
            tables[one.qos].tell(one.cell, one.on_time, one.raw)
        elif not ended:
            p, level = one.raw, 0.9
            if way == "table":
                p = tables[one.qos].p(one.cell, one.raw, one.arrival_s)
            elif way != "raw":
                p = float(np.interp(one.raw, EDGES, pit.edges()))
                level = float(np.interp(0.9, pit.edges(), EDGES))
            said[i] = one.availability * p, level
    return said


def figures(world: Watched, said: dict[int, tuple[float, float]], qos: str) -> tuple[float, float, float]:
    """Of one class: mean claim - on-time share, 100 x Brier score, share within the .9 quantile of completion."""
    ended = {i for is_end, i in world.steps if is_end}
    judged = [i for i in said if i in ended and world.seen[i].qos == qos and world.seen[i].arrival_s > WARM_S]
    p = np.array([said[i][0] for i in judged])
    on_time = np.array([world.seen[i].on_time for i in judged])
    within = [world.seen[i].u <= said[i][1] for i in judged]
    return (
        float(p.mean() - on_time.mean()),
        100.0 * float(np.mean((p - on_time) ** 2)),
        float(np.mean(within)),
    )
