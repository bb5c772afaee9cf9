"""The event loop: jobs arrive, are placed by a policy, wait, are served and end. Compiled once for all policies.

Simultaneous events: ends, then what the world changes, deadlines, load reports, arrivals. A deadline is kept by a job
that ends at that very moment.
"""

from __future__ import annotations

import numpy as np
from numba import types

from bench.replay.compiled import compiled, compiled_as
from bench.replay.face import ABSENT, CHOOSE_TYPE, ENDED_TYPE, FAILS, HANGS, MAY_START_TYPE, RNG, SLOW, VIEW
from bench.replay.heap import heapify
from bench.replay.queues import due_s
from bench.replay.serving import arrive, drop, end_next
from bench.replay.state import STATE
from bench.replay.world import PATIENCE_S

__all__ = ["play"]

_POLICY = (
    types.FunctionType(CHOOSE_TYPE),
    types.FunctionType(ENDED_TYPE),
    types.FunctionType(MAY_START_TYPE),
)
_SIGNATURE = types.void(VIEW, STATE, types.float64[:, ::1], RNG, *_POLICY, types.float64)


@compiled
def _change(view, state, now_s):  # type: ignore[no-untyped-def]
    """An event of the world begins or ends."""
    cursor = state.cursor[0]
    change = state.changes[cursor.change]
    cursor.change += 1
    event = view.truth.events[change.event]
    server, begins = view.truth.servers[event.lane], change.begins
    if event.kind == SLOW:
        server.factor = server.factor * event.factor if begins else server.factor / event.factor
    elif event.kind == FAILS:
        server.fails = begins
    elif event.kind == ABSENT:
        for g in range(state.lanes.shape[0]):
            state.lanes[g, event.lane].usable = not begins
    elif event.kind == HANGS:
        server.hangs = begins
        if begins:  # nobody will hear of those in service: their callers give them up
            for i in range(cursor.n_running):
                slot = view.slots[state.heap[i].slot]
                if view.jobs[slot.job].lane == event.lane:
                    slot.fails = True
                    slot.end_s = max(view.jobs[slot.job].start_s + PATIENCE_S, now_s)
                    state.heap[i].at_s = slot.end_s
            heapify(state.heap, cursor.n_running)


@compiled
def _report(state):  # type: ignore[no-untyped-def]
    """The resources write down how many jobs of each gateway they have."""
    cursor = state.cursor[0]
    into = state.reports[cursor.report % state.reports.shape[0]]
    cursor.report += 1
    for g in range(into.shape[0]):
        for k in range(into.shape[1]):
            into[g, k] = state.lanes[g, k].open


@compiled
def _hear(state):  # type: ignore[no-untyped-def]
    """Each gateway hears of the others' jobs, as they were; its own it knows."""
    cursor = state.cursor[0]
    report = state.reports[cursor.heard % state.reports.shape[0]]
    cursor.heard += 1
    for k in range(report.shape[1]):
        total = report[:, k].sum()
        for g in range(report.shape[0]):
            state.lanes[g, k].others = total - report[g, k]


@compiled_as(_SIGNATURE)
def play(view, state, memory, rng, choose, ended, may_start, until_s):  # type: ignore[no-untyped-def]
    """Plays all that happens before until_s; can be called again with a later one. memory: (G, n_memory)."""
    cursor = state.cursor[0]
    n, n_due, n_changes = view.jobs.shape[0], state.by_deadline.shape[0], state.changes.shape[0]
    policy = (choose, ended, may_start)
    while True:
        end_s = state.heap[0].at_s if cursor.n_running else np.inf
        change_s = state.changes[cursor.change].at_s if cursor.change < n_changes else np.inf
        deadline_s = report_s = heard_s = arrival_s = np.inf
        if cursor.deadline < n_due:
            deadline_s = due_s(view.jobs[state.by_deadline[cursor.deadline]])
        if cursor.arrival < n:
            arrival_s = view.jobs[cursor.arrival].arrival_s
            if cursor.report_every_s < np.inf:
                report_s = cursor.report * cursor.report_every_s
                heard_s = cursor.heard * cursor.report_every_s + cursor.report_age_s
        if min(end_s, deadline_s, arrival_s) == np.inf:
            return
        now_s = min(end_s, change_s, deadline_s, report_s, heard_s, arrival_s)
        if now_s >= until_s:
            return
        if end_s == now_s:
            end_next(view, state, memory, rng, policy, now_s)
        elif change_s == now_s:
            _change(view, state, now_s)
        elif deadline_s == now_s:
            which = state.by_deadline[cursor.deadline]
            cursor.deadline += 1
            if view.jobs[which].queued:
                drop(view, state, memory, rng, policy, which, now_s)
        elif report_s == now_s:
            _report(state)
        elif heard_s == now_s:
            _hear(state)
        else:
            arrive(view, state, memory, rng, policy, now_s)
