"""Power of two choices: of two resources drawn at random the one with fewer open jobs.

Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, IEEE TPDS 12(10), 2001.
"""

from __future__ import annotations

from bench.replay.baselines.candidates import two_allowed
from bench.replay.face import CHOOSE, Baseline, load

__all__ = ["P2C"]


@CHOOSE
def _choose(view, lanes, memory, rng, job, now_s):  # type: ignore[no-untyped-def]
    a, b = two_allowed(view, lanes, rng, job)
    if a < 0:
        return -1
    return b if load(lanes, b) < load(lanes, a) else a


P2C = Baseline("power of two", "Mitzenmacher, IEEE TPDS 2001; `least_request` of Envoy", _choose)
