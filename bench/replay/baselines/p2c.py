"""Power of two choices: of two resources drawn at random the one with fewer open jobs.

Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, IEEE TPDS 12(10), 2001.
"""

from __future__ import annotations

from bench.replay.compiled import compiled
from bench.replay.face import CHOOSE, Baseline, allowed, load

__all__ = ["P2C", "draw_two"]


@compiled
def draw_two(view, lanes, rng, job):  # type: ignore[no-untyped-def]
    """Two different lanes that may be chosen, in random order; (k, k) when there is one, (-1, -1) without any."""
    n = 0
    for k in range(lanes.shape[0]):
        n += allowed(view, lanes, job, k)
    if n == 0:
        return -1, -1
    first = int(rng.random() * n)
    second = (first + 1 + int(rng.random() * (n - 1))) % n if n > 1 else first
    a, b, i = -1, -1, 0
    for k in range(lanes.shape[0]):
        if allowed(view, lanes, job, k):
            a = k if i == first else a
            b = k if i == second else b
            i += 1
    return a, b


@CHOOSE
def _choose(view, lanes, memory, rng, job, now_s):  # type: ignore[no-untyped-def]
    a, b = draw_two(view, lanes, rng, job)
    if a < 0:
        return -1
    return b if load(lanes, b) < load(lanes, a) else a


P2C = Baseline("power of two", "Mitzenmacher, IEEE TPDS 2001; `least_request` of Envoy", _choose)
