"""What several policies ask: random ones of the resources that a job may go to, the least of several, and what a
server says of itself."""

from __future__ import annotations

import numpy as np

from bench.replay.compiled import compiled
from bench.replay.face import allowed, load

__all__ = ["at_server", "least_loaded", "lesser", "n_allowed", "nth_allowed", "two_allowed"]


@compiled
def n_allowed(view, lanes, job):  # type: ignore[no-untyped-def]
    n = 0
    for k in range(lanes.shape[0]):
        n += allowed(view, lanes, job, k)
    return n


@compiled
def nth_allowed(view, lanes, job, n):  # type: ignore[no-untyped-def]
    """The lane that is the n-th, from 0, of those allowed; -1 = there are not so many."""
    for k in range(lanes.shape[0]):
        if allowed(view, lanes, job, k):
            if n == 0:
                return k
            n -= 1
    return -1


@compiled
def two_allowed(view, lanes, rng, job):  # type: ignore[no-untyped-def]
    """Two different lanes by chance, in chance's order; twice the same where only one is allowed, -1 where none."""
    n = n_allowed(view, lanes, job)
    if n < 2:
        only = nth_allowed(view, lanes, job, 0)
        return only, only
    a = int(rng.random() * n)
    b = int(rng.random() * (n - 1))
    b += b >= a
    return nth_allowed(view, lanes, job, a), nth_allowed(view, lanes, job, b)


@compiled
def lesser(rng, best, least, ties, lane, value):  # type: ignore[no-untyped-def]
    """(best, least, ties) after a look at one more lane, from (-1, inf, 0) on: the least value wins, and of equal
    ones each with the same chance, since the first of them would get all jobs."""
    if value < least:
        return lane, value, 1
    if value == least:
        ties += 1
        if rng.random() * ties < 1.0:
            best = lane
    return best, least, ties


@compiled
def least_loaded(view, lanes, rng, job):  # type: ignore[no-untyped-def]
    """The lane with the fewest open jobs, ties to the generator, each with the same chance; -1 = none is allowed."""
    best, fewest, ties = -1, np.inf, 0
    for k in range(lanes.shape[0]):
        if allowed(view, lanes, job, k):
            best, fewest, ties = lesser(rng, best, fewest, ties, k, float(load(lanes, k)))
    return best


@compiled
def at_server(view, lane):  # type: ignore[no-untyped-def]
    """Jobs of all gateways that a server has in service and in its queues: what it says itself when it is asked."""
    n = view.truth.servers[lane].running
    for q in range(view.queues.shape[1]):
        n += view.queues[lane, q].n
    return n
