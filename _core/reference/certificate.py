"""Adaptive conformal inference: the error level of the next bound, from what became of those before it."""

from __future__ import annotations

import math
from statistics import NormalDist


def step(target: float) -> float:
    """eta of a class whose jobs may miss their bound in a share `target`."""
    return min(0.02, 0.5 * target)


def error_level(target: float, eta: float, missed: list[bool]) -> float:
    """alpha <- alpha + eta (target - err) from alpha = target, err in the order of the reports; never clipped."""
    alpha = target
    for err in missed:
        alpha += eta * (target - err)
    return alpha


def level_z(alpha: float) -> float:
    """Normal deviate of the bound at an error level: endless at <= 0, zero seconds at >= 1."""
    if alpha <= 0.0:
        return math.inf
    return NormalDist().inv_cdf(1.0 - alpha) if alpha < 1.0 else -math.inf


def guaranteed_gap(target: float, eta: float, n: int, most_open: int) -> float:
    """|mean err - target| after n reports never exceeds this, for any latencies."""
    return (max(target, 1.0 - target) + eta * (1 + most_open)) / (n * eta)


def end_of_job(ends: list[tuple[str, float]]) -> tuple[str, float]:
    """Of a job with several tickets, whose ends (how, seconds since the first decision) are in order: the first
    result, or else the last end."""
    return next((end for end in ends if end[0] == "complete"), ends[-1])
