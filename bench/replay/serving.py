"""A job's way through: it arrives, is placed, waits, is served, ends.

policy: the compiled functions (choose, ended, may_start). What is called stands before what calls it, since
all is compiled on import.
"""

from __future__ import annotations

from bench.replay.breaker import heard, let_through, sent
from bench.replay.compiled import compiled
from bench.replay.heap import pop, push
from bench.replay.outcome import End
from bench.replay.queues import first, put, take
from bench.replay.world import FAILS_AFTER_S, PATIENCE_S

__all__ = ["arrive", "drop", "end_next"]

_COMPLETED, _FAILED = int(End.COMPLETED), int(End.FAILED)
_EXPIRED, _REJECTED = int(End.EXPIRED), int(End.REJECTED)
_SEEN_WEIGHT = 0.05  # of the newest service time in seen_s: about the last 20 jobs


@compiled
def _tell(view, state, memory, rng, policy, which, end, now_s):  # type: ignore[no-untyped-def]
    """A placed job has ended: its gateway hears of it."""
    job = view.jobs[which]
    g, lane = job.gateway, job.lane
    job.end, job.end_s = end, now_s
    state.lanes[g, lane].open -= 1
    service_s, completion_s = now_s - job.start_s, now_s - job.arrival_s
    policy[1](view, state.lanes[g], memory[g], rng, which, lane, end, service_s, completion_s, now_s)


@compiled
def drop(view, state, memory, rng, policy, which, now_s):  # type: ignore[no-untyped-def]
    """A job leaves its queue without a start."""
    job = view.jobs[which]
    mine = state.lanes[job.gateway, job.lane]
    take(view, which)
    if mine.probing and mine.open == 1:
        heard(state, job.gateway, job.lane, False, now_s)
    _tell(view, state, memory, rng, policy, which, _EXPIRED, now_s)


@compiled
def _start(view, state, which, lane, now_s):  # type: ignore[no-untyped-def]
    cursor, server, job = state.cursor[0], view.truth.servers[lane], view.jobs[which]
    mine = state.lanes[job.gateway, lane]
    if server.hangs:
        service_s = PATIENCE_S
    elif server.fails:
        service_s = FAILS_AFTER_S
    else:
        alone_s = view.truth.service_s[which, lane]
        service_s = alone_s * (1.0 + server.interference * server.running) * server.factor
    slot = state.free[mine.slot0 + server.running]
    server.running += 1
    mine.running += 1
    job.start_s, job.lane = now_s, lane
    end_s = now_s + service_s
    taken = view.slots[slot]
    taken.job, taken.fails, taken.end_s = which, server.hangs or server.fails, end_s
    push(state.heap, cursor.n_running, end_s, slot)
    cursor.n_running += 1


@compiled
def _place(view, state, which, lane, now_s):  # type: ignore[no-untyped-def]
    """Starts a job at once where a slot is free; else queues it. Nothing ever waits beside a free slot."""
    if view.truth.servers[lane].running < state.lanes[0, lane].slots:
        _start(view, state, which, lane, now_s)
    else:
        put(view, which, lane)


@compiled
def _fill(view, state, memory, rng, policy, lane, now_s):  # type: ignore[no-untyped-def]
    """Starts what waits while slots are free; what fails the start test of its gateway is dropped."""
    while view.truth.servers[lane].running < state.lanes[0, lane].slots:
        which = first(view, lane)
        if which < 0:
            return
        g = view.jobs[which].gateway
        if policy[2](view, state.lanes[g], memory[g], rng, which, lane, now_s):
            take(view, which)
            _start(view, state, which, lane, now_s)
        else:
            drop(view, state, memory, rng, policy, which, now_s)


@compiled
def end_next(view, state, memory, rng, policy, now_s):  # type: ignore[no-untyped-def]
    """The job in service that ends first does so; its slot takes the next one."""
    cursor = state.cursor[0]
    slot = pop(state.heap, cursor.n_running)
    cursor.n_running -= 1
    which, good = view.slots[slot].job, not view.slots[slot].fails
    job = view.jobs[which]
    g, lane = job.gateway, job.lane
    mine, server = state.lanes[g, lane], view.truth.servers[lane]
    server.running -= 1
    mine.running -= 1
    view.slots[slot].job = -1
    state.free[mine.slot0 + server.running] = slot
    if good:
        service_s = now_s - job.start_s
        mine.seen_s += (service_s - mine.seen_s) * (_SEEN_WEIGHT if mine.seen_s > 0.0 else 1.0)
    if cursor.layered:
        heard(state, g, lane, good, now_s)
    _tell(view, state, memory, rng, policy, which, _COMPLETED if good else _FAILED, now_s)
    _fill(view, state, memory, rng, policy, lane, now_s)


@compiled
def arrive(view, state, memory, rng, policy, now_s):  # type: ignore[no-untyped-def]
    """The next job arrives and is placed, or refused."""
    cursor = state.cursor[0]
    which = cursor.arrival
    cursor.arrival += 1
    job = view.jobs[which]
    g = job.gateway
    let_through(state, g, now_s)
    lane = policy[0](view, state.lanes[g], memory[g], rng, which, now_s)
    if lane < 0:
        job.end, job.end_s = _REJECTED, now_s
        return
    state.lanes[g, lane].open += 1
    sent(state, g, lane)
    _place(view, state, which, lane, now_s)
