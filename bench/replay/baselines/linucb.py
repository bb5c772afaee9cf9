"""LinUCB, disjoint: a ridge regression of ln(1 + time / 1 ms) for each (resource, model), least lower bound chosen.

Li, Chu, Langford, Schapire: "A Contextual-Bandit Approach to Personalized News Article Recommendation", WWW 2010,
algorithm 1, with cost instead of reward: theta'z - alpha sqrt(z' A^-1 z). Context z: 1, ln(1 + u) of each input, and
the open jobs a slot there, without which no wait could be foreseen. A failed job costs its deadline if it failed
sooner; alpha = 1 was better than .3 and 3 on the choosing seeds.
"""

from __future__ import annotations

import math

import numpy as np

from bench.replay.baselines.candidates import lesser
from bench.replay.compiled import compiled
from bench.replay.face import CHOOSE, ENDED, Baseline, allowed, load
from bench.replay.outcome import End

__all__ = ["LINUCB"]

_ALPHA = 1.0
_AT_ONCE_S = 1e-3  # costs nothing: what is unknown counts so, and is tried
_COMPLETED = int(End.COMPLETED)
# Of a profile, in memory: b (d,), then what A^-1 has lost from the identity that it starts as (d, d).


@compiled
def _busy(lanes, lane):  # type: ignore[no-untyped-def]
    """Open jobs a slot."""
    return load(lanes, lane) / lanes[lane].slots


@compiled
def _size(d):  # type: ignore[no-untyped-def]
    return d + d * d


@compiled
def _context(view, job, busy, i):  # type: ignore[no-untyped-def]
    """z[i]; busy: open jobs a slot when the job was sent."""
    if i == 0:
        return 1.0
    if i <= view.x.shape[1]:
        return math.log1p(view.x[job, i - 1])
    return busy


@compiled
def _inverse(memory, at, d, i, j):  # type: ignore[no-untyped-def]
    return (1.0 if i == j else 0.0) - memory[at + d + i * d + j]


@compiled
def lower_bound(view, memory, job, busy, profile):  # type: ignore[no-untyped-def]
    """Of ln(1 + seconds / _AT_ONCE_S)."""
    d = 2 + view.x.shape[1]
    at = profile * _size(d)
    mean, spread = 0.0, 0.0
    for i in range(d):
        row_b, row_z = 0.0, 0.0
        for j in range(d):
            a = _inverse(memory, at, d, i, j)
            row_b += a * memory[at + j]
            row_z += a * _context(view, job, busy, j)
        mean += _context(view, job, busy, i) * row_b
        spread += _context(view, job, busy, i) * row_z
    return mean - _ALPHA * math.sqrt(max(spread, 0.0))


@CHOOSE
def _choose(view, lanes, memory, rng, job, now_s):  # type: ignore[no-untyped-def]
    model, n_lanes = view.jobs[job].model, lanes.shape[0]
    best, least, ties = -1, np.inf, 0
    for k in range(n_lanes):
        if allowed(view, lanes, job, k):
            bound = lower_bound(view, memory, job, _busy(lanes, k), model * n_lanes + k)
            best, least, ties = lesser(rng, best, least, ties, k, bound)
    if best >= 0:
        view.jobs[job].expected_s = _busy(
            lanes, best
        )  # not seconds: kept for `ended`; nobody asks for a wait here
    return best


@ENDED
def _ended(view, lanes, memory, rng, job, lane, end, service_s, completion_s, now_s):  # type: ignore[no-untyped-def]
    """Sherman-Morrison: (A + zz')^-1 = A^-1 - A^-1 z z' A^-1 / (1 + z' A^-1 z)."""
    d, busy = 2 + view.x.shape[1], view.jobs[job].expected_s
    at = (view.jobs[job].model * lanes.shape[0] + lane) * _size(d)
    seconds = completion_s if end == _COMPLETED else max(completion_s, view.jobs[job].deadline_s)
    cost = math.log1p(seconds / _AT_ONCE_S)
    # v = A^-1 z takes the place behind the last profile
    v, norm = memory.shape[0] - d, 1.0
    for i in range(d):
        memory[v + i] = 0.0
        for j in range(d):
            memory[v + i] += _inverse(memory, at, d, i, j) * _context(view, job, busy, j)
        norm += _context(view, job, busy, i) * memory[v + i]
    for i in range(d):
        memory[at + i] += cost * _context(view, job, busy, i)
        for j in range(d):
            memory[at + d + i * d + j] += memory[v + i] * memory[v + j] / norm


def _n_memory(n_lanes: int, n_models: int, n_features: int) -> int:
    d = 2 + n_features
    return n_lanes * n_models * (d + d * d) + d


LINUCB = Baseline(
    "LinUCB", "Li et al., WWW 2010 (https://arxiv.org/abs/1003.0146)", _choose, _ended, n_memory=_n_memory
)
