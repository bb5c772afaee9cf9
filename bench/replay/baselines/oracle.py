"""The oracle: knows every service time and every event, and places each job where it truly ends first.

It knows what each job takes on each resource and what will go wrong there and when; so it knows when each of those in
the queues will start and end, unless more arrive, which it does not foresee. Like all others it starts jobs by
priority, then deadline, sends a job to one queue, and cannot stop one in service. It refuses what can be in time
nowhere, and drops at its turn what others have made late.

Tried on seeds 1-3 and left out: moving those that a newcomer makes late (within .1 point); sparing them when a lane
is chosen (+.1 at 80% and 95% load, -2 and more beyond the capacity, where who is spared costs more than a newcomer);
a price on the time of a slot (-.1 to -.6 up to 95%, +.4 to +2.5 beyond: in overload some goodput is to be had by him
who serves the small and the well-placed first, at the cost of the standard class).
"""

from __future__ import annotations

import numpy as np

from bench.replay.face import CHOOSE, MAY_START, Baseline, allowed
from bench.replay.foresight import N_SCRATCH, foresee_end_s, true_end_s
from bench.replay.queues import due_s

__all__ = ["ORACLE"]


@CHOOSE
def _choose(view, lanes, memory, rng, job, now_s):  # type: ignore[no-untyped-def]
    best, first_s = -1, np.inf
    for k in range(lanes.shape[0]):
        if allowed(view, lanes, job, k):
            end_s = foresee_end_s(view, lanes, k, job, memory, now_s)
            if end_s < first_s:
                best, first_s = k, end_s
    return best


@MAY_START
def _may_start(view, lanes, memory, rng, job, lane, now_s):  # type: ignore[no-untyped-def]
    """Beside it are those in service: its own slot is free."""
    end_s, good = true_end_s(view, job, lane, now_s, view.truth.servers[lane].running)
    return good and end_s <= due_s(view.jobs[job])


ORACLE = Baseline(
    "oracle",
    "list scheduling with the true times and events",
    _choose,
    may_start=_may_start,
    n_memory=lambda *sizes: N_SCRATCH,
)
