"""The queues of all lanes: linked lists in arrays, one a lane and class, each in order of arrival, which within a
class is that of the deadlines."""

from __future__ import annotations

import numpy as np

from bench.replay.compiled import compiled

__all__ = ["due_s", "first", "put", "take"]


@compiled
def due_s(job):  # type: ignore[no-untyped-def]
    """When the deadline of a job record comes, on the clock."""
    return job.arrival_s + job.deadline_s


@compiled
def put(view, which, lane):  # type: ignore[no-untyped-def]
    """Queues the newest job: it is the last of its class."""
    job = view.jobs[which]
    queue = view.queues[lane, job.queue]
    job.lane, job.queued = lane, True
    queue.n += 1
    view.queued_s[job.gateway, lane, job.queue] += job.expected_s
    if queue.tail < 0:
        queue.head = which
    else:
        view.jobs[queue.tail].next = which
    queue.tail = which


@compiled
def take(view, which):  # type: ignore[no-untyped-def]
    """Takes the head of a queue out: of a class it is the oldest that starts, and that expires."""
    job = view.jobs[which]
    queue = view.queues[job.lane, job.queue]
    queue.head = job.next
    queue.n -= 1
    if queue.head < 0:
        queue.tail = -1
    job.next, job.queued = -1, False
    view.queued_s[job.gateway, job.lane, job.queue] -= job.expected_s
    if queue.head < 0:
        view.queued_s[:, job.lane, job.queue] = 0.0  # so that rounding does not add up


@compiled
def first(view, lane):  # type: ignore[no-untyped-def]
    """The job that should start next on a lane: by priority, then deadline, then arrival; -1 = none waits."""
    best, best_priority, best_due_s = -1, 0, np.inf
    for q in range(view.queues.shape[1]):
        which, priority = view.queues[lane, q].head, view.queues[lane, q].priority
        if which < 0:
            continue
        at_s = due_s(view.jobs[which])
        sooner = at_s < best_due_s or (at_s == best_due_s and which < best)
        if best < 0 or priority < best_priority or (priority == best_priority and sooner):
            best, best_priority, best_due_s = which, priority, at_s
    return best
