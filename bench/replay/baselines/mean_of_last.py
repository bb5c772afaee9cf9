"""Least mean of the last ten times to an answer of each (resource, model).

LiteLLM's latency-based routing (litellm/router_strategy/lowest_latency.py): lists of ten (max_latency_list_size),
random among those within lowest_latency_buffer (0 by default) of the least mean; a deployment without a result
counts as 0, so it is tried; a time-out counts as 1000 s, another failure not at all. Once a list is full, that code
replaces its last entry for ever; here the oldest goes, as its documentation means.
"""

from __future__ import annotations

import numpy as np

from bench.replay.baselines.candidates import lesser
from bench.replay.compiled import compiled
from bench.replay.face import CHOOSE, ENDED, Baseline, allowed
from bench.replay.outcome import End
from bench.replay.world import PATIENCE_S

__all__ = ["MEAN_OF_LAST"]

_LAST = 10
_BUFFER = 0.0
_TIMED_OUT_S = 1000.0
_COUNT, _TIMES, _SIZE = 0, 1, 1 + _LAST  # of a profile, in memory: results so far, the last ten
_COMPLETED, _EXPIRED, _FAILED = int(End.COMPLETED), int(End.EXPIRED), int(End.FAILED)


@compiled
def _mean(memory, profile):  # type: ignore[no-untyped-def]
    at = _SIZE * profile
    n = min(int(memory[at + _COUNT]), _LAST)
    total = 0.0
    for i in range(n):
        total += memory[at + _TIMES + i]
    return total / n if n else 0.0


@CHOOSE
def _choose(view, lanes, memory, rng, job, now_s):  # type: ignore[no-untyped-def]
    model, n_lanes = view.jobs[job].model, lanes.shape[0]
    least = np.inf
    for k in range(n_lanes):
        if allowed(view, lanes, job, k):
            least = min(least, _mean(memory, model * n_lanes + k))
    near = (1.0 + _BUFFER) * least
    best, least, ties = -1, np.inf, 0
    for k in range(n_lanes):
        if allowed(view, lanes, job, k):
            mean = _mean(memory, model * n_lanes + k)
            best, least, ties = lesser(rng, best, least, ties, k, max(mean, near))
    return best


@ENDED
def _ended(view, lanes, memory, rng, job, lane, end, service_s, completion_s, now_s):  # type: ignore[no-untyped-def]
    timed_out = end == _EXPIRED or (end == _FAILED and completion_s >= PATIENCE_S)
    if end != _COMPLETED and not timed_out:
        return
    at = _SIZE * (view.jobs[job].model * lanes.shape[0] + lane)
    memory[at + _TIMES + int(memory[at + _COUNT]) % _LAST] = _TIMED_OUT_S if timed_out else completion_s
    memory[at + _COUNT] += 1.0


MEAN_OF_LAST = Baseline(
    "mean of last 10",
    "LiteLLM latency-based routing (https://docs.litellm.ai/docs/routing)",
    _choose,
    _ended,
    n_memory=lambda n_lanes, n_models, n_features: _SIZE * n_lanes * n_models,
)
