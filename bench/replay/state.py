"""Everything that changes while a world is replayed, as arrays: made here, changed by serving.py and queueing.py."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from bench.replay.breaker import BACKOFF_S
from bench.replay.face import EVENT, JOB, KINDS, LANE, QUEUE, SERVER, SLOT, Truth, View
from bench.replay.heap import ENTRY
from bench.replay.outcome import End
from bench.replay.world import World

__all__ = ["STATE", "State", "prepare"]

_CHANGE = np.dtype([("at_s", "f8"), ("event", np.int64), ("begins", np.bool_)], align=True)
_CURSOR = np.dtype(
    [
        ("arrival", np.int64),  # the next job to arrive
        ("deadline", np.int64),  # position in by_deadline
        ("change", np.int64),
        ("report", np.int64),  # the next to be made
        ("heard", np.int64),  # the next to be heard
        ("n_running", np.int64),  # size of the heap
        ("layered", np.bool_),
        ("report_every_s", np.float64),  # inf = never
        ("report_age_s", np.float64),
    ],
    align=True,
)


class State(NamedTuple):
    """n jobs, K lanes, S slots in all, G gateways."""

    cursor: NDArray[np.void]  #: (1,) where in each stream of events we are
    lanes: NDArray[np.void]  #: (G, K) LANE, as each gateway knows them
    n_ejected: NDArray[np.int64]  #: (G,)
    free: NDArray[np.int64]  #: (S,) stacks of free slots, one a lane, at its slots' places
    heap: NDArray[np.void]  #: (S,) ENTRY: slots in service by their end
    by_deadline: NDArray[np.int64]  #: (n,) jobs; empty where late jobs are served
    changes: NDArray[np.void]  #: (2 n_events,) by time
    reports: NDArray[np.int64]  #: (n_under_way, G, K) open jobs of each gateway when a report was made


def prepare(world: World, layered: bool) -> tuple[View, State]:
    """The state before the first arrival. layered: queues by class and deadline, late drop and breaker."""
    n_lanes, slots = len(world.resources), world.slots
    shape = (world.n_gateways, n_lanes)
    queues = np.zeros((n_lanes, len(world.classes) if layered else 1), QUEUE)
    queues["head"] = queues["tail"] = -1
    if layered:
        queues["priority"] = [q.priority for q in world.classes]
    servers = np.zeros(n_lanes, SERVER)
    servers["interference"], servers["factor"] = world.interference, 1.0
    events = np.array(
        [(KINDS.index(e.kind), e.lane, e.start_s, e.end_s, e.factor) for e in world.events], dtype=EVENT
    )
    slot = np.zeros(int(slots.sum()), SLOT)
    slot["job"] = -1
    lanes = np.zeros(shape, LANE)
    lanes["slots"], lanes["usable"], lanes["backoff_s"] = slots, True, BACKOFF_S
    lanes["slot0"] = np.cumsum(slots) - slots
    jobs = _jobs(world, layered)
    due_s = jobs["arrival_s"] + jobs["deadline_s"]
    view = View(
        jobs=jobs,
        x=np.ascontiguousarray(world.x),
        runs=_runs(world),
        queues=queues,
        slots=slot,
        queued_s=np.zeros((*shape, queues.shape[1])),
        forecast_s=np.zeros((0, n_lanes)),
        mean_s=np.ascontiguousarray(world.mean_s),
        truth=Truth(np.ascontiguousarray(world.service_s), servers, events),
    )
    state = State(
        cursor=_cursor(world, layered),
        lanes=lanes,
        n_ejected=np.zeros(world.n_gateways, np.int64),
        free=np.arange(len(slot)),
        heap=np.zeros(len(slot), ENTRY),
        by_deadline=np.argsort(due_s, kind="stable") if layered else np.zeros(0, np.int64),
        changes=_changes(events),
        reports=np.zeros((_under_way(world), *shape), np.int64),
    )
    return view, state


def _jobs(world: World, layered: bool) -> NDArray[np.void]:
    jobs = np.zeros(len(world), JOB)
    jobs["arrival_s"], jobs["deadline_s"] = world.arrival_s, world.deadline_s
    jobs["qos"], jobs["model"] = world.qos, world.model
    jobs["weight"] = np.array([q.weight for q in world.classes])[world.qos]
    jobs["gateway"] = 0 if world.gateway is None else world.gateway
    jobs["queue"] = world.qos if layered else 0
    jobs["lane"] = jobs["next"] = -1
    jobs["start_s"] = jobs["end_s"] = np.nan
    jobs["end"] = int(End.OPEN)
    return jobs


def _cursor(world: World, layered: bool) -> NDArray[np.void]:
    cursor = np.zeros(1, _CURSOR)
    cursor["layered"] = layered
    cursor["report_every_s"] = world.report_every_s or np.inf
    cursor["report_age_s"] = world.report_age_s
    return cursor


def _runs(world: World) -> NDArray[np.bool_]:
    """(n_models, K) whether any job of the model can run there."""
    runs = np.zeros((len(world.models), len(world.resources)), np.bool_)
    for m in range(len(world.models)):
        runs[m] = np.isfinite(world.service_s[world.model == m]).any(axis=0)
    return runs


def _changes(events: NDArray[np.void]) -> NDArray[np.void]:
    """(2 n_events,) beginnings and ends by time; what ends does so before what begins at that moment."""
    rows = [(e["start_s"], i, True) for i, e in enumerate(events)]
    rows += [(e["end_s"], i, False) for i, e in enumerate(events)]
    return np.array(sorted(rows, key=lambda row: (row[0], row[2])), dtype=_CHANGE)


def _under_way(world: World) -> int:
    """Reports that are made and not heard yet, at most."""
    return 2 + int(world.report_age_s / world.report_every_s) if world.report_every_s else 1


STATE = numba.typeof(
    State(
        cursor=np.zeros(1, _CURSOR),
        lanes=np.zeros((0, 0), LANE),
        n_ejected=np.zeros(0, np.int64),
        free=np.zeros(0, np.int64),
        heap=np.zeros(0, ENTRY),
        by_deadline=np.zeros(0, np.int64),
        changes=np.zeros(0, _CHANGE),
        reports=np.zeros((0, 0, 0), np.int64),
    )
)
