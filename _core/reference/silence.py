"""Which resource that nobody has heard of for a while a job is sent to, to see whether it is still slow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["SilentLane", "asked_lane", "results_to_pay"]

SILENT_S, LEAST_RESULTS = 0.5, 110


@dataclass(frozen=True)
class SilentLane:
    """A candidate as a decision sees it. offset_s: added to its cost. silent_s: since its last result or probe.
    on_time: whether the job would be, by what is believed. recovering: its last probe was faster than believed."""

    cost_s: float
    service_s: float
    offset_s: float
    idle: bool
    silent_s: float
    on_time: bool
    recovering: bool = False


def results_to_pay(on_time: bool, required: float, guaranteed: bool) -> float:
    """Of the class since its last probe, the least before the next. required: its on-time probability."""
    if on_time:
        return LEAST_RESULTS
    return math.inf if guaranteed else max(LEAST_RESULTS, 5.0 / (1.0 - required))


def asked_lane(lanes: Sequence[SilentLane], results: int, required: float, guaranteed: bool) -> int | None:
    """The lane that the job is sent to as a probe; None = none, it is decided on as any other."""
    least, fastest = min(v.cost_s for v in lanes), min(v.service_s for v in lanes)
    tie = 1.0 + 1e-4
    passed = [
        k
        for k, v in enumerate(lanes)
        if v.idle and v.cost_s > tie * least and fastest + v.offset_s <= tie * least
    ]
    for k in passed:
        if lanes[k].recovering:
            return k if lanes[k].on_time or not guaranteed else None
    silent = [k for k in passed if lanes[k].silent_s >= SILENT_S]
    if not silent:
        return None
    k = max(silent, key=lambda i: lanes[i].silent_s)
    return k if results >= results_to_pay(lanes[k].on_time, required, guaranteed) else None
