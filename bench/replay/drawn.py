"""Worlds drawn from a seed: the fleet, its jobs, their times and what goes wrong. Nothing here is chosen by a policy.

    ln service_s[job, lane] = kind[lane] + model + affinity[lane, model]
                              + slope[kind, model] ln batch + size_slope ln size + SIGMA noise + outlier

A log-linear world suits a log-linear belief; what other shapes cost is seen on the recorded ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

import tailwise as tw
from bench.replay.arrivals import Stream, draw_arrivals, repeat_arrivals
from bench.replay.world import Event, World

__all__ = ["CLASSES", "Grid", "capacity", "draw_grid", "draw_published"]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of device. factor: of the service time; slots: of its resources, in turn; slope: of ln batch."""

    name: str
    factor: float
    slots: tuple[int, ...]
    slope: float


# of every 8 resources 3 are of the first kind, 3 of the second, 2 of the third: bought in three different years
_KINDS = (
    _Kind("gpu-new", 1.0, (1, 2, 2), 0.6),
    _Kind("gpu-old", 2.0, (1, 2, 1), 0.65),
    _Kind("cpu", 3.0, (4, 3), 0.75),
)
_KIND_OF = (0, 1, 2, 0, 1, 0, 1, 2)
_MODELS_S = (0.0075, 0.013, 0.022, 0.035)  # median service on the first kind at batch 4 and size 1
_SHARES = (0.35, 0.30, 0.20, 0.15)  # of the jobs, by model
CLASSES = (
    tw.QoS("interactive", 0.1, on_time=0.95, priority=0),
    tw.QoS("standard", 0.5, on_time=0.9, priority=1),
    tw.QoS("batch", 3.0, on_time=0.8, priority=2),
)
_CLASS_SHARES = (0.5, 0.3, 0.2)
_BATCHES = ((1, 4), (1, 8), (8, 32))  # by class, inclusive: who waits for an answer sends little at once
_TYPICAL_BATCH = 4.0
_SIZE_SLOPE, _SIZE_SPREAD = 0.5, 0.4  # of ln size, a second number that a request carries (pixels, tokens)
_AFFINITY = 0.25  # sd: which resource is best depends on the model
SIGMA = 0.2  # of what the features do not tell
OUTLIERS, OUTLIER_FACTOR, OUTLIER_SPREAD = 0.01, 8.0, 0.3  # share; median and sd of ln of how much longer
_SOLVED = 512  # resources of a linear program that takes a second
INTERFERENCE = 0.08  # for each other job in service on the same resource


@dataclass(frozen=True, slots=True)
class Grid:
    """What may be asked of a drawn world. load: of the capacity of the well fleet, each job where it is best; beyond
    512 resources that of the first 512 counts for all (4096 of seed 101: 1% more than they have).
    tied: outliers belong to the job and are the same on every resource, so that no copy of it is faster."""

    load: float
    events: bool = False
    stream: Stream = "poisson"
    tied: bool = False
    n_gateways: int = 1
    report_every_s: float = 0.0
    report_age_s: float = 0.0
    n_resources: int = 8
    duration_s: float = 60.0
    slower: float = 1.0  #: all service times and deadlines are so many times as long
    known: bool = False  #: eight results of every profile were seen before


@dataclass(frozen=True, slots=True)
class _Fleet:
    """K resources as drawn. kind: index of its kind, slots, slope: of ln batch, (K,); ln_profile: (K, n_models)."""

    kind: NDArray[np.int64]
    slots: NDArray[np.int64]
    slope: NDArray[np.float64]
    ln_profile: NDArray[np.float64]

    @classmethod
    def draw(cls, n_resources: int, rng: np.random.Generator, slower: float = 1.0) -> _Fleet:
        kind = np.array([_KIND_OF[k % len(_KIND_OF)] for k in range(n_resources)])
        ln_factor = np.log([k.factor for k in _KINDS])[kind]
        affinity = rng.normal(0.0, _AFFINITY, (n_resources, len(_MODELS_S)))
        slope = np.array([k.slope for k in _KINDS])[kind]
        ln_profile = np.log(_MODELS_S) + ln_factor[:, None] + affinity + np.log(slower)
        return cls(kind, _slots(kind), slope, ln_profile)

    def first(self, n: int) -> _Fleet:
        """Without all but its first n resources."""
        return _Fleet(self.kind[:n], self.slots[:n], self.slope[:n], self.ln_profile[:n])

    def ln_service(self, jobs: _Jobs) -> NDArray[np.float64]:
        """(n, K) its median, in ln."""
        ln_batch, ln_size = np.log(jobs.x[:, 0] / _TYPICAL_BATCH), np.log(jobs.x[:, 1])
        return self.ln_profile.T[jobs.model] + ln_batch[:, None] * self.slope + _SIZE_SLOPE * ln_size[:, None]


@dataclass(frozen=True, slots=True)
class _Jobs:
    """What is asked for: qos, model (n,), x (n, 2)."""

    qos: NDArray[np.int64]
    model: NDArray[np.int64]
    x: NDArray[np.float64]

    @classmethod
    def draw(cls, n: int, rng: np.random.Generator) -> _Jobs:
        qos = rng.choice(len(CLASSES), n, p=_CLASS_SHARES)
        model = rng.choice(len(_MODELS_S), n, p=_SHARES)
        low, high = np.array(_BATCHES)[qos].T
        x = np.stack((rng.integers(low, high + 1), np.exp(rng.normal(0.0, _SIZE_SPREAD, n))), axis=1)
        return cls(qos, model, x)

    def __getitem__(self, which: slice) -> _Jobs:
        return _Jobs(self.qos[which], self.model[which], self.x[which])


def draw_grid(grid: Grid, seed: int, trace_s: NDArray[np.float64] | None = None) -> World:
    """The world of a seed: the same fleet and, but for their number, the same kind of jobs at every load.

    trace_s (n,): recorded arrival times, rising from 0, whose gaps take the place of grid.stream's.
    """
    # one generator a concern: a change of one leaves the others as they were
    fleet_rng, when, what, noise, trouble, sample = (np.random.default_rng([seed, i]) for i in range(6))
    fleet = _Fleet.draw(grid.n_resources, fleet_rng, grid.slower)
    mean_outlier = 1.0 + OUTLIERS * (OUTLIER_FACTOR * np.exp(0.5 * OUTLIER_SPREAD**2) - 1.0)
    mean = np.exp(0.5 * SIGMA**2) * mean_outlier
    known = fleet.first(_SOLVED)
    capacity_per_s = _capacity(known, mean, _Jobs.draw(50_000, sample))
    rate = grid.load * capacity_per_s * (len(fleet.kind) / len(known.kind))
    if trace_s is None:
        arrival_s = draw_arrivals(grid.stream, rate, grid.duration_s, when)
    else:
        arrival_s = repeat_arrivals(trace_s, rate, grid.duration_s, when)
    n = len(arrival_s)
    jobs = _Jobs.draw(n, what)
    service_s, mean_s = _times(grid, fleet, jobs, noise)
    features = (tw.Feature("batch", _TYPICAL_BATCH), tw.Feature("size", 1.0))
    names = [_KINDS[i].name for i in fleet.kind]
    return World(
        classes=tuple(replace(qos, deadline_s=qos.deadline_s * grid.slower) for qos in CLASSES),
        models=tuple(tw.Model(f"model-{m}", features=features) for m in range(len(_MODELS_S))),
        resources=tuple(
            tw.Resource(f"{name}-{k}", slots=int(fleet.slots[k]), kind=name) for k, name in enumerate(names)
        ),
        arrival_s=arrival_s,
        qos=jobs.qos,
        model=jobs.model,
        x=jobs.x,
        service_s=service_s,
        mean_s=mean_s * mean,
        interference=np.full(grid.n_resources, INTERFERENCE),
        events=_troubles(grid, trouble) if grid.events else (),
        gateway=what.integers(grid.n_gateways, size=n) if grid.n_gateways > 1 else None,
        report_every_s=grid.report_every_s,
        report_age_s=grid.report_age_s,
        profiles=tuple(_profiles(names, fleet, np.random.default_rng([seed, 6]))) if grid.known else (),
    )


def _profiles(kinds: list[str], fleet: _Fleet, rng: np.random.Generator) -> Iterator[tw.Profile]:
    """Of every resource and model, as wrong as the mean of eight results."""
    ln_s = fleet.ln_profile + SIGMA / np.sqrt(8.0) * rng.standard_normal(fleet.ln_profile.shape)
    for k, of_lane in enumerate(np.exp(ln_s + 0.5 * SIGMA**2).tolist()):
        for m, mean_s in enumerate(of_lane):
            yield tw.Profile(f"{kinds[k]}-{k}", f"model-{m}", mean_s, spread=SIGMA, weight=8.0)


def _times(
    grid: Grid, fleet: _Fleet, jobs: _Jobs, noise: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n, K) what each job takes on each resource, and its median; drawn in parts that fit the memory beside them."""
    n, n_lanes = len(jobs.qos), grid.n_resources
    service_s, median_s = np.empty((n, n_lanes)), np.empty((n, n_lanes))
    for part in _parts(n, n_lanes):
        ln_s = fleet.ln_service(jobs[part])
        shape = (len(ln_s), 1) if grid.tied else ln_s.shape
        outlier = noise.random(shape) < OUTLIERS
        slower = np.exp(np.where(outlier, noise.normal(np.log(OUTLIER_FACTOR), OUTLIER_SPREAD, shape), 0.0))
        service_s[part] = np.exp(ln_s + SIGMA * noise.standard_normal(ln_s.shape)) * slower
        median_s[part] = np.exp(ln_s)
    return service_s, median_s


def _parts(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Rows of a large array, as many at once as have 2^24 numbers: of 8 resources all."""
    at_once = max(1, 2**24 // n_columns)
    return (slice(k, min(k + at_once, n_rows)) for k in range(0, n_rows, at_once))


def _capacity(fleet: _Fleet, mean: float, jobs: _Jobs) -> float:
    """Jobs a second of this kind that the well fleet serves with every slot busy."""
    n_groups = len(CLASSES) * len(_MODELS_S)
    group = jobs.qos * len(_MODELS_S) + jobs.model  # jobs alike enough to be one row of the linear program
    seconds = _means_by(group, np.exp(fleet.ln_service(jobs)) * mean, n_groups)
    shares = np.bincount(group, minlength=n_groups) / len(group)
    return capacity(seconds * (1.0 + INTERFERENCE * (fleet.slots - 1)), shares, fleet.slots)


def capacity(seconds: NDArray[np.float64], shares: NDArray[np.float64], slots: NDArray[np.int64]) -> float:
    """Jobs a second that a fleet serves at most, each job where that serves most: a linear program.

    seconds (J, K): mean service of a group of jobs on a resource, inf = cannot run there. shares (J,): of the jobs.
    """
    n_groups, n_lanes = seconds.shape
    # the variable rate[j, k] is jobs of group j a second on lane k; the last one is the total
    busy = np.zeros((n_lanes, n_groups * n_lanes + 1))
    mix = np.zeros((n_groups, n_groups * n_lanes + 1))
    able = np.isfinite(seconds)
    for k in range(n_lanes):
        busy[k, k:-1:n_lanes] = np.where(able[:, k], seconds[:, k], 0.0)
    for j in range(n_groups):
        mix[j, j * n_lanes : (j + 1) * n_lanes] = 1.0
        mix[j, -1] = -shares[j]
    goal = np.zeros(n_groups * n_lanes + 1)
    goal[-1] = -1.0
    bounds = [(0.0, None if a else 0.0) for a in able.ravel()] + [(0.0, None)]
    return float(-linprog(goal, A_ub=busy, b_ub=slots, A_eq=mix, b_eq=np.zeros(n_groups), bounds=bounds).fun)


def draw_published(seed: int) -> World:
    """11 backends, 1000 requests a second for 60 s, one backend at 2 s instead of .167 s from t = 15 s for 30 s;
    success = an answer within 1 s. After linkerd's "Beyond Round Robin: Load Balancing for Latency" (Buoyant, 2016:
    round robin 95%, least loaded 99%, peak EWMA 99.9%). Backends there have no queue: here as many slots as can be.
    """
    when, noise, which = (np.random.default_rng([seed, i]) for i in range(3))
    n_lanes, median_s, sd_s = 11, 0.167, 0.005
    arrival_s = draw_arrivals("poisson", 1000.0, 60.0, when)
    n = len(arrival_s)
    return World(
        classes=(tw.QoS("success", 1.0, on_time=0.999),),
        models=(tw.Model("page"),),
        resources=tuple(tw.Resource(f"backend-{k}", slots=256) for k in range(n_lanes)),
        arrival_s=arrival_s,
        qos=np.zeros(n, dtype=np.int64),
        model=np.zeros(n, dtype=np.int64),
        x=np.zeros((n, 0)),
        service_s=np.maximum(noise.normal(median_s, sd_s, (n, n_lanes)), 0.001),
        mean_s=np.full((n, n_lanes), median_s),
        interference=np.zeros(n_lanes),
        events=(Event("slow", int(which.integers(n_lanes)), 15.0, 45.0, 2.0 / median_s),),
    )


def _troubles(grid: Grid, rng: np.random.Generator) -> tuple[Event, ...]:
    """One resource of each fate: slow from the start and recovers, joins late, turns slow, fails fast, hangs."""
    recovers, joins, slows, fails, hangs = (int(k) for k in rng.permutation(grid.n_resources)[:5])
    t = grid.duration_s / 60.0
    return (
        Event("slow", recovers, 0.0, 10.0 * t, 3.0),
        Event("absent", joins, 0.0, 6.0 * t),
        Event("slow", slows, 15.0 * t, 25.0 * t, 3.0),
        Event("fails", fails, 30.0 * t, 36.0 * t),
        Event("hangs", hangs, 42.0 * t, 47.0 * t),
    )


def _slots(kind: NDArray[np.int64]) -> NDArray[np.int64]:
    """(K,) of each resource: those that its kind has, in turn."""
    turn = [int(np.count_nonzero(kind[:k] == i)) for k, i in enumerate(kind)]
    return np.array([_KINDS[i].slots[t % len(_KINDS[i].slots)] for i, t in zip(kind, turn, strict=True)])


def _means_by(group: NDArray[np.int64], values: NDArray[np.float64], n_groups: int) -> NDArray[np.float64]:
    """(n_groups, K) means of (n, K) rows."""
    sums = np.zeros((n_groups, values.shape[1]))
    np.add.at(sums, group, values)
    return sums / np.bincount(group, minlength=n_groups)[:, None]
