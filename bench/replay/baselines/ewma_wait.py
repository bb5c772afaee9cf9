"""EWMA of the service time of each (resource, model), and the wait that follows from it: least sum of the two.

What one writes without a library: a smoothed latency a profile and one's own queues counted in seconds of it. Gain
1/8 as TCP's smoothed round-trip time (Jacobson, SIGCOMM 1988; RFC 6298). A profile without a result counts as the
fastest known of its model, so it is tried. Only completed jobs teach.
"""

from __future__ import annotations

import numpy as np

from bench.replay.baselines.candidates import lesser
from bench.replay.compiled import compiled
from bench.replay.face import CHOOSE, ENDED, Baseline, allowed, wait_s
from bench.replay.outcome import End

__all__ = ["EWMA_WAIT"]

_GAIN = 0.125
_COMPLETED = int(End.COMPLETED)


@compiled
def _fastest(lanes, memory, model):  # type: ignore[no-untyped-def]
    """Of the profiles of a model that have a result; 0 = none has."""
    fastest = np.inf
    for k in range(lanes.shape[0]):
        seconds = memory[model * lanes.shape[0] + k]
        if 0.0 < seconds < fastest:
            fastest = seconds
    return 0.0 if fastest == np.inf else fastest


@compiled
def _service_s(memory, profile, unknown_s):  # type: ignore[no-untyped-def]
    return memory[profile] if memory[profile] > 0.0 else unknown_s


@CHOOSE
def _choose(view, lanes, memory, rng, job, now_s):  # type: ignore[no-untyped-def]
    model, n_lanes = view.jobs[job].model, lanes.shape[0]
    unknown_s = _fastest(lanes, memory, model)
    best, least_s, ties = -1, np.inf, 0
    for k in range(n_lanes):
        if allowed(view, lanes, job, k):
            completion_s = wait_s(view, lanes, k, job, now_s) + _service_s(
                memory, model * n_lanes + k, unknown_s
            )
            best, least_s, ties = lesser(rng, best, least_s, ties, k, completion_s)
    if best >= 0:
        view.jobs[job].expected_s = _service_s(memory, model * n_lanes + best, unknown_s)
    return best


@ENDED
def _ended(view, lanes, memory, rng, job, lane, end, service_s, completion_s, now_s):  # type: ignore[no-untyped-def]
    if end == _COMPLETED:
        at = view.jobs[job].model * lanes.shape[0] + lane
        memory[at] = service_s if memory[at] == 0.0 else memory[at] + _GAIN * (service_s - memory[at])


EWMA_WAIT = Baseline(
    "EWMA + wait",
    "a smoothed latency a profile (gain of RFC 6298) with tracked wait",
    _choose,
    _ended,
    n_memory=lambda n_lanes, n_models, n_features: n_lanes * n_models,
)
