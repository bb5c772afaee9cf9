"""Static true means with tracked wait: the least expected completion where every mean is given and never learned.

Clockwork (Gujarati et al., OSDI 2020) schedules on measured, predictable execution times and drops what cannot be in
time. Its workers are given work just before they are free; here a job is sent when it arrives, to where it is
expected to end first, with the mean as the time.
"""

from __future__ import annotations

import numpy as np

from bench.replay.baselines.candidates import lesser
from bench.replay.face import CHOOSE, MAY_START, Baseline, allowed, wait_s

__all__ = ["TRUE_MEANS"]


@CHOOSE
def _choose(view, lanes, memory, rng, job, now_s):  # type: ignore[no-untyped-def]
    best, least_s, ties = -1, np.inf, 0
    for k in range(lanes.shape[0]):
        if allowed(view, lanes, job, k):
            completion_s = wait_s(view, lanes, k, job, now_s) + view.mean_s[job, k]
            best, least_s, ties = lesser(rng, best, least_s, ties, k, completion_s)
    if best >= 0:
        view.jobs[job].expected_s = view.mean_s[job, best]
    return best


@MAY_START
def _may_start(view, lanes, memory, rng, job, lane, now_s):  # type: ignore[no-untyped-def]
    return now_s + view.jobs[job].expected_s <= view.jobs[job].arrival_s + view.jobs[job].deadline_s


TRUE_MEANS = Baseline(
    "true means",
    "after Clockwork, OSDI 2020 (https://www.usenix.org/conference/osdi20/presentation/gujarati)",
    _choose,
    may_start=_may_start,
)
