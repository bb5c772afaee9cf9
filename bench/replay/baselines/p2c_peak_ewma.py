"""Power of two choices by peak-sensitive EWMA of the time to an answer, times the open jobs and one.

Twitter Finagle's PeakEwma load metric behind its P2C balancer (finagle-core/.../loadbalancer/PeakEwma.scala): a time
above the average replaces it at once, one below moves it by 1 - exp(-dt / decay); the average also decays while
nobody answers; a resource with open jobs that has never answered counts as slowest. Every end is an answer, a failed
one too: Finagle leaves failures to its failure accrual, which is the breaker of the common layer.
"""

from __future__ import annotations

import math

from bench.replay.baselines.candidates import two_allowed
from bench.replay.compiled import compiled
from bench.replay.face import CHOOSE, ENDED, Baseline, load

__all__ = ["P2C_PEAK_EWMA"]

_DECAY_S = 10.0  # Finagle's default
_PENALTY_S = 1e9  # beyond any time; Finagle's is 2^47 ns, 39 hours
_COST, _STAMP, _SIZE = 0, 1, 2  # of a lane, in memory


@compiled
def _observe(memory, lane, seconds, now_s):  # type: ignore[no-untyped-def]
    at = _SIZE * lane
    kept = math.exp(-max(now_s - memory[at + _STAMP], 0.0) / _DECAY_S)
    if seconds > memory[at + _COST]:
        memory[at + _COST] = seconds
    else:
        memory[at + _COST] = memory[at + _COST] * kept + seconds * (1.0 - kept)
    memory[at + _STAMP] = now_s


@compiled
def _cost(lanes, memory, lane, now_s):  # type: ignore[no-untyped-def]
    _observe(memory, lane, 0.0, now_s)  # reading decays it, as there
    cost, n = memory[_SIZE * lane + _COST], load(lanes, lane)
    if cost == 0.0 and n > 0:
        return _PENALTY_S + n
    return cost * (n + 1)


@CHOOSE
def _choose(view, lanes, memory, rng, job, now_s):  # type: ignore[no-untyped-def]
    a, b = two_allowed(view, lanes, rng, job)
    if a == b:
        return a
    return a if _cost(lanes, memory, a, now_s) <= _cost(lanes, memory, b, now_s) else b


@ENDED
def _ended(view, lanes, memory, rng, job, lane, end, service_s, completion_s, now_s):  # type: ignore[no-untyped-def]
    _observe(memory, lane, completion_s, now_s)


P2C_PEAK_EWMA = Baseline(
    "P2C peak-EWMA",
    "Twitter Finagle, PeakEwma.scala (https://github.com/twitter/finagle)",
    _choose,
    _ended,
    n_memory=lambda n_lanes, n_models, n_features: _SIZE * n_lanes,
)
