"""What will come of the jobs of a lane, by list scheduling with the true times and events: the oracle's arithmetic.

Exact as long as nobody else is sent there. scratch: float64, at least N_SCRATCH long.
"""

from __future__ import annotations

import numpy as np

from bench.replay.compiled import compiled
from bench.replay.face import FAILS, HANGS, SLOW
from bench.replay.queues import due_s
from bench.replay.world import FAILS_AFTER_S, PATIENCE_S

__all__ = ["N_SCRATCH", "foresee_end_s", "true_end_s"]

_MOST_SLOTS = 256  # that a tw.Resource may have
N_SCRATCH = _MOST_SLOTS + 64  # and of queues on a lane


@compiled
def true_end_s(view, which, lane, start_s, n_beside):  # type: ignore[no-untyped-def]
    """(when a job ends that starts then beside n others, whether it completes)."""
    truth = view.truth
    factor, good, lost_s = 1.0, True, np.inf
    for i in range(truth.events.shape[0]):
        event = truth.events[i]
        if event.lane != lane:
            continue
        within = event.start_s <= start_s < event.end_s
        if event.kind == SLOW and within:
            factor *= event.factor
        elif event.kind == FAILS and within:
            good = False
        elif event.kind == HANGS and start_s < event.end_s:
            lost_s = min(lost_s, event.start_s)
    if lost_s <= start_s:
        return start_s + PATIENCE_S, False
    if not good:
        return start_s + FAILS_AFTER_S, False
    alone_s = truth.service_s[which, lane]
    end_s = start_s + alone_s * (1.0 + truth.servers[lane].interference * n_beside) * factor
    if end_s > lost_s:
        return start_s + PATIENCE_S, False
    return end_s, True


@compiled
def _free_at(view, lane, here, scratch, now_s):  # type: ignore[no-untyped-def]
    """Writes when each slot of a lane will be free."""
    for i in range(here.slots):
        slot = view.slots[here.slot0 + i]
        scratch[i] = now_s if slot.job < 0 else slot.end_s
        if slot.job < 0 or slot.fails:
            continue
        for e in range(view.truth.events.shape[0]):  # a hang to come will hold what is then in service
            event = view.truth.events[e]
            if event.kind == HANGS and event.lane == lane and now_s < event.start_s < slot.end_s:
                scratch[i] = view.jobs[slot.job].start_s + PATIENCE_S


@compiled
def foresee_end_s(view, lanes, lane, newcomer, scratch, now_s):  # type: ignore[no-untyped-def]
    """When a job that is sent to a lane now will end, inf where that is not in time.

    All that is served before it is scheduled as it will be; what is not in time by then is dropped at its turn.
    Cost: O(jobs ahead x slots).
    """
    here = lanes[lane]
    _free_at(view, lane, here, scratch, now_s)
    turn = scratch[_MOST_SLOTS:]  # the next job of each queue
    for q in range(view.queues.shape[1]):
        turn[q] = view.queues[lane, q].head
    while True:
        best, best_priority = newcomer, view.queues[lane, view.jobs[newcomer].queue].priority
        best_due_s = due_s(view.jobs[newcomer])
        for q in range(view.queues.shape[1]):
            which, priority = int(turn[q]), view.queues[lane, q].priority
            if which < 0 or priority > best_priority:
                continue
            at_s = due_s(view.jobs[which])
            if priority < best_priority or at_s < best_due_s or (at_s == best_due_s and which < best):
                best, best_priority, best_due_s = which, priority, at_s
        slot = 0
        for i in range(1, here.slots):
            if scratch[i] < scratch[slot]:
                slot = i
        start_s, n_beside = scratch[slot], 0
        for i in range(here.slots):
            n_beside += scratch[i] > start_s
        end_s, good = true_end_s(view, best, lane, start_s, n_beside)
        in_time = good and end_s <= best_due_s
        if best == newcomer:
            return end_s if in_time else np.inf
        turn[view.jobs[best].queue] = view.jobs[best].next
        if in_time:
            scratch[slot] = end_s
