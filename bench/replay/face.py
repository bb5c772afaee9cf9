"""What a policy of the field is to the simulator: compiled functions with one signature each, and what they may see.

A policy is at least `choose`; functions are declared with `@CHOOSE`, `@ENDED`, `@MAY_START` and are handed to the
event loop as first-class functions, so that the loop is compiled once for all of them and cached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from bench.replay.compiled import compiled, compiled_as
from bench.replay.world import World

__all__ = [
    "CHOOSE",
    "ENDED",
    "EVENT",
    "JOB",
    "KINDS",
    "LANE",
    "MAY_START",
    "QUEUE",
    "SERVER",
    "SLOT",
    "Baseline",
    "Truth",
    "View",
    "allowed",
    "ended_unheard",
    "load",
    "starts_always",
    "wait_s",
]

KINDS = ("slow", "fails", "hangs", "absent")
SLOW, FAILS, HANGS, ABSENT = range(4)
JOB = np.dtype(
    [
        ("arrival_s", np.float64),
        ("deadline_s", np.float64),  # from arrival
        ("weight", np.float64),  # what it is worth on time
        ("qos", np.int64),
        ("model", np.int64),
        ("gateway", np.int64),
        ("queue", np.int64),  # in which queue of its lane it waits: its class's, or the only one
        ("expected_s", np.float64),  # WRITTEN by `choose`: the service time it expects where it sends the job
        ("lane", np.int64),  # where it is, or ended; -1 before
        ("start_s", np.float64),  # of service, NaN before
        ("next", np.int64),  # job behind it in its queue, -1 = none
        ("queued", np.bool_),
        ("end", np.int64),  # an End
        ("end_s", np.float64),  # NaN while open
    ],
    align=True,
)
LANE = np.dtype(
    [
        ("slots", np.int64),
        ("slot0", np.int64),  # its slots are slot0 .. slot0 + slots
        ("usable", np.bool_),  # it has joined, and the breaker lets jobs through
        ("open", np.int64),  # own jobs queued or in service there
        ("running", np.int64),  # own jobs in service
        ("others", np.int64),  # jobs of other gateways there, by the last report heard
        ("seen_s", np.float64),  # decayed mean service time of own completed jobs there, 0 = none yet
        ("failures", np.int64),  # in a row
        ("ejected", np.bool_),
        ("probing", np.bool_),
        ("until_s", np.float64),  # end of the backoff
        ("backoff_s", np.float64),
    ],
    align=True,
)
# n: jobs in it; head, tail: -1 = empty
QUEUE = np.dtype(
    [("priority", np.int64), ("n", np.int64), ("head", np.int64), ("tail", np.int64)], align=True
)
# job in service, -1 = free; how and when it will end is the truth's, as events known so far have it
SLOT = np.dtype([("job", np.int64), ("fails", np.bool_), ("end_s", np.float64)], align=True)
SERVER = np.dtype(
    [
        ("running", np.int64),  # jobs of all gateways in service
        ("interference", np.float64),
        ("factor", np.float64),  # of service times that start now
        ("fails", np.bool_),
        ("hangs", np.bool_),
    ],
    align=True,
)
EVENT = np.dtype(
    [("kind", np.int64), ("lane", np.int64), ("start_s", "f8"), ("end_s", "f8"), ("factor", "f8")],
    align=True,
)


class Truth(NamedTuple):
    """What the world knows and no router: the simulator's and the oracle's alone."""

    service_s: NDArray[np.float64]  #: (n, K)
    servers: NDArray[np.void]  #: (K,) SERVER, as they are now
    events: NDArray[np.void]  #: (n_events,) EVENT, kind: an index of KINDS


class View(NamedTuple):
    """What a policy sees beside its own lanes: n jobs, K lanes, Q queues a lane, S slots in all, G gateways. Those of
    jobs hold what is yet to come, too: only the job asked about, and earlier ones of its gateway, are to be read."""

    jobs: NDArray[np.void]  #: (n,) JOB
    x: NDArray[np.float64]  #: (n, n_features)
    runs: NDArray[np.bool_]  #: (n_models, K) whether a resource can run a model
    queues: NDArray[np.void]  #: (K, Q) QUEUE
    slots: NDArray[np.void]  #: (S,) SLOT
    queued_s: NDArray[np.float64]  #: (G, K, Q) sum of expected_s of own queued jobs
    forecast_s: NDArray[np.float64]  #: (n, K) written by `retrain`, NaN = no forecast; (0, K) without one
    mean_s: NDArray[np.float64]  #: (n, K) for the policy that is given the true means
    truth: Truth


def _example() -> View:
    """One of the right types."""
    ff = np.zeros((0, 0))
    return View(
        jobs=np.zeros(0, JOB),
        x=ff,
        runs=np.zeros((0, 0), np.bool_),
        queues=np.zeros((0, 0), QUEUE),
        slots=np.zeros(0, SLOT),
        queued_s=np.zeros((0, 0, 0)),
        forecast_s=ff,
        mean_s=ff,
        truth=Truth(ff, np.zeros(0, SERVER), np.zeros(0, EVENT)),
    )


VIEW = numba.typeof(_example())
LANES = numba.typeof(np.zeros(0, LANE))
MEMORY = types.float64[::1]
RNG = numba.typeof(np.random.default_rng())

#: (view, lanes, memory, rng, job, now_s) -> lane, -1 = refuse. lanes: (K,) LANE as the job's gateway knows them.
CHOOSE_TYPE = types.int64(VIEW, LANES, MEMORY, RNG, types.int64, types.float64)
#: (view, lanes, memory, rng, job, lane, end, service_s, completion_s, now_s): of each job that was placed, once.
#: end: an End; service_s: NaN of a job that never started.
ENDED_TYPE = types.void(
    VIEW,
    LANES,
    MEMORY,
    RNG,
    types.int64,
    types.int64,
    types.int64,
    types.float64,
    types.float64,
    types.float64,
)
#: (view, lanes, memory, rng, job, lane, now_s) -> whether a job that waited may start; else it is dropped.
MAY_START_TYPE = types.boolean(VIEW, LANES, MEMORY, RNG, types.int64, types.int64, types.float64)

CHOOSE = compiled_as(CHOOSE_TYPE)
ENDED = compiled_as(ENDED_TYPE)
MAY_START = compiled_as(MAY_START_TYPE)


@ENDED
def ended_unheard(view, lanes, memory, rng, job, lane, end, service_s, completion_s, now_s):  # type: ignore[no-untyped-def]
    """Of policies that learn nothing."""


@MAY_START
def starts_always(view, lanes, memory, rng, job, lane, now_s):  # type: ignore[no-untyped-def]
    """Of policies without a start test."""
    return True


@dataclass(frozen=True, slots=True)
class Baseline:
    """A policy of the field.

    source: who described it, when and where. n_memory: numbers that it keeps per gateway, given (n_lanes,
    n_models, n_features); they start at 0. retrain: what it does every retrain_s seconds, in Python: (world, view,
    done, now_s), done: jobs that completed so far, by end; it writes view.forecast_s.
    """

    name: str
    source: str
    choose: Callable[..., int]
    ended: Callable[..., None] = ended_unheard
    may_start: Callable[..., bool] = starts_always
    n_memory: Callable[[int, int, int], int] = lambda n_lanes, n_models, n_features: 0
    retrain_s: float = np.inf
    retrain: Callable[[World, View, NDArray[np.int64], float], None] | None = None


@compiled
def allowed(view, lanes, job, lane):  # type: ignore[no-untyped-def]
    """Whether a job may be sent to a lane now."""
    return lanes[lane].usable and view.runs[view.jobs[job].model, lane]


@compiled
def load(lanes, lane):  # type: ignore[no-untyped-def]
    """Jobs queued or in service there, as far as the gateway knows."""
    return lanes[lane].open + lanes[lane].others


@compiled
def wait_s(view, lanes, lane, job, now_s):  # type: ignore[no-untyped-def]
    """Seconds until a job that came now would start: the expected work ahead, poured into the slots of the lane.

    In service: the job's own expected_s less its age, and never less than a tenth of it. Queued: own jobs of queues
    that are served before or with the job's. Jobs of others: each takes as long as own ones were seen to there.
    """
    here = lanes[lane]
    if here.open + here.others < here.slots:
        return 0.0
    gateway, queue = view.jobs[job].gateway, view.jobs[job].queue
    queued = here.others * here.seen_s
    for q in range(view.queues.shape[1]):
        if view.queues[lane, q].priority <= view.queues[lane, queue].priority:
            queued += view.queued_s[gateway, lane, q]
    # the level to which the work fills the slots: those that end later than it take no part
    level, before = np.inf, -1
    while True:
        work, n = queued, here.slots - here.running
        for slot in range(here.slot0, here.slot0 + here.slots):
            other = view.slots[slot].job
            if other >= 0 and view.jobs[other].gateway == gateway:
                expected = view.jobs[other].expected_s
                left = max(expected - (now_s - view.jobs[other].start_s), 0.1 * expected)
                if left < level:
                    work += left
                    n += 1
        if n == before or n == 0:
            return level
        level, before = work / n, n
