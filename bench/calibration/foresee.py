"""Plays a log of service times through an engine and keeps what it forecast of each job, one step ahead."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

import tailwise as tw


@dataclass(frozen=True)
class Row:
    """One job: what was known when it started, and how long it took. told_s: when that was heard of, >= at_s."""

    at_s: float
    told_s: float
    seconds: float
    x: tuple[float, ...]
    resource: str = "r0"
    model: str = "m"
    reported: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Log:
    """resources, models: as declared to the engine; rows in order of at_s."""

    name: str
    resources: tuple[tw.Resource, ...]
    models: tuple[tw.Model, ...]
    rows: list[Row]

    def told_after(self, seconds: float) -> Log:
        """The same jobs, each heard of so long after its start, whatever it took."""
        return replace(self, rows=[replace(row, told_s=row.at_s + seconds) for row in self.rows])


@dataclass(frozen=True)
class Asked:
    """Job k starts: its forecast is needed."""

    k: int


@dataclass(frozen=True)
class Told:
    """Job k has ended."""

    k: int


@dataclass(frozen=True)
class Alarm:
    """A resource was found to have changed."""

    resource: str


@dataclass(frozen=True)
class Foreseen:
    """What the engine said of one log, (n,) each: m, s, dof of ln(seconds) when the job started; y, what it became;
    u_then: where y fell in that forecast, in [0, 1]; u_now: and in the forecast that the profile makes of the same
    row just before it learns y. x: encoded rows (d,); profile: (resource, model) of each; steps: everything in order
    of time."""

    name: str
    m: NDArray[np.float64]
    s: NDArray[np.float64]
    dof: NDArray[np.float64]
    y: NDArray[np.float64]
    u_then: NDArray[np.float64]
    u_now: NDArray[np.float64]
    x: list[NDArray[np.float64]]
    profile: list[tuple[str, str]]
    steps: list[Asked | Told | Alarm]


def foresee(log: Log) -> Foreseen:
    """peek for the forecast, observe for the job, complete with its recorded seconds."""
    clock = tw.ManualClock()
    engine = tw.Engine(
        log.resources,
        log.models,
        [tw.QoS("any", deadline_s=1e6, on_time=0.9)],
        clock=clock,
        seed=0,
        max_tickets=1 << 16,
    )
    routes = {model.name: engine.route(model.name, "any") for model in log.models}
    lanes = {resource.name: lane for lane, resource in enumerate(log.resources)}
    indices = {model.name: index for index, model in enumerate(log.models)}
    y = np.log([row.seconds for row in log.rows])
    m, s, dof, t_now, dof_now = (np.empty(len(y)) for _ in range(5))
    x: list[NDArray[np.float64]] = []
    steps: list[Asked | Told | Alarm] = []
    jobs: list[tuple[float, int, tw.Ticket]] = []
    alarms = dict.fromkeys(lanes, 0)

    def end_one() -> None:
        told_s, k, ticket = heapq.heappop(jobs)
        row = log.rows[k]
        clock.set(told_s)
        # no public call takes an encoded row, and the columns have moved on since
        posterior = engine._core.posterior(indices[row.model], lanes[row.resource])
        t_now[k], dof_now[k] = _deviate(posterior, ticket.features, y[k]), posterior["dof"]
        ticket.complete(row.seconds)
        steps.append(Told(k))
        if engine.alarms(row.resource) > alarms[row.resource]:
            alarms[row.resource] = engine.alarms(row.resource)
            steps.append(Alarm(row.resource))

    for k, row in enumerate(log.rows):
        while jobs and jobs[0][0] <= row.at_s:
            end_one()
        clock.set(row.at_s)
        if row.reported:
            engine.report(row.resource, **row.reported)
        route = routes[row.model]
        (forecast,) = route.peek(row.x, mask=1 << lanes[row.resource])
        m[k], s[k], dof[k] = forecast.ln_service, forecast.spread, forecast.dof
        x.append(forecast.features)
        steps.append(Asked(k))
        heapq.heappush(jobs, (row.told_s, k, route.observe(row.resource, row.x)))
    while jobs:
        end_one()
    u_then, u_now = student.cdf((y - m) / s, dof), student.cdf(t_now, dof_now)
    profile = [(row.resource, row.model) for row in log.rows]
    return Foreseen(log.name, m, s, dof, y, u_then, u_now, x, profile, steps)


def _deviate(posterior: dict[str, Any], x: NDArray[np.float64], y: float) -> float:
    """(y - m) / s of an encoded row x (d,) in a posterior (see Core.posterior)."""
    factor = np.zeros((len(x), len(x)))
    factor[np.tril_indices(len(x))] = posterior["factor"]
    s2 = float(posterior["scale2"]) * (1.0 + float(np.sum((factor @ x) ** 2)))
    return float(y - posterior["mean"] @ x) / math.sqrt(s2)
