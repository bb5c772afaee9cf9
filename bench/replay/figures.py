"""The figures of one replay: what every job of a world became, in numbers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bench.replay.events import event_figures
from bench.replay.outcome import End, Outcome
from bench.replay.world import World

__all__ = ["class_figures", "expected_calibration_error", "figures", "held_to", "world_sums"]

#: Equal bins of the claim, as where the error was defined (Guo et al. 2017, "On calibration of modern neural
#: networks", whose experiments have M = 15).
_N_BINS = 15


def figures(world: World, outcome: Outcome) -> dict[str, float]:
    """Of the whole run.

    weighted_goodput_per_s, goodput_per_s: on-time jobs by QoS.weight, and plain, over the seconds of arrivals.
    on_time: on-time jobs / offered jobs, any class. claim_error, ece: as of a class, over all of them.
    dead_share, recovery_s, return_s: see events.py; NaN without such events.
    """
    on_time = outcome.on_time(world)
    weight = np.array([q.weight for q in world.classes])[world.qos]
    duration_s = float(world.arrival_s[-1])
    return {
        "weighted_goodput_per_s": float(weight[on_time].sum()) / duration_s,
        "goodput_per_s": float(on_time.sum()) / duration_s,
        "on_time": float(on_time.mean()),
        **_calibration(outcome.claim, on_time, outcome.end),
        **event_figures(world, outcome),
    }


def class_figures(world: World, outcome: Outcome) -> dict[str, dict[str, float]]:
    """By class, the most urgent first.

    on_time: attainment, on-time jobs / offered jobs. unanswered: share of offered jobs that never completed
    (rejected, expired, failed, open). p50_s, p99_s, p999_s: quantiles of completion over the jobs that completed,
    late ones included, as load generators and papers print them; what a policy gains there by not answering
    shows in `unanswered`. claim_error: mean claim - share on time, over the jobs that were let in with a claim;
    ece: expected calibration error of the same.
    """
    on_time, completion_s = outcome.on_time(world), outcome.completion_s(world)
    result = {}
    for c, q in enumerate(world.classes):
        of_class = world.qos == c
        result[q.name] = {"deadline_s": q.deadline_s} | _one_class(
            completion_s[of_class], on_time[of_class], outcome.claim[of_class], outcome.end[of_class]
        )
    return result


def _one_class(
    completion_s: NDArray[np.float64],
    on_time: NDArray[np.bool_],
    claim: NDArray[np.float64],
    end: NDArray[np.int64],
) -> dict[str, float]:
    n = len(on_time)
    done_s = completion_s[end == End.COMPLETED]
    p50_s, p99_s, p999_s = np.quantile(done_s, [0.5, 0.99, 0.999]) if len(done_s) else [math.nan] * 3
    return {
        "offered": float(n),
        "on_time": float(on_time.mean()) if n else math.nan,
        "unanswered": 1.0 - len(done_s) / n if n else math.nan,
        "p50_s": float(p50_s),
        "p99_s": float(p99_s),
        "p999_s": float(p999_s),
        **_calibration(claim, on_time, end),
    }


def _calibration(
    claim: NDArray[np.float64], on_time: NDArray[np.bool_], end: NDArray[np.int64]
) -> dict[str, float]:
    told = held_to(claim, end)
    claim, kept = claim[told], on_time[told]
    error = float(claim.mean() - kept.mean()) if len(claim) else math.nan
    return {"claim_error": error, "ece": expected_calibration_error(claim, kept)}


def held_to(claim: NDArray[np.float64], end: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) whose claim can be held against what came: a refused job shows nothing of it, and an open one not yet."""
    return ~np.isnan(claim) & (end != End.REJECTED) & (end != End.OPEN)


def expected_calibration_error(claim: NDArray[np.float64], kept: NDArray[np.bool_]) -> float:
    """Mean over the jobs of |mean claim - share kept| of their bin; NaN without a job. claim: in [0, 1]."""
    if not len(claim):
        return math.nan
    bins = np.minimum((claim * _N_BINS).astype(int), _N_BINS - 1)
    gap = np.bincount(bins, claim, _N_BINS) - np.bincount(bins, kept, _N_BINS)
    return float(np.abs(gap).sum() / len(claim))


def world_sums(world: World) -> dict[str, float]:
    """A few sums that tell two worlds apart."""
    best_s = world.service_s.min(axis=1)
    return {
        "jobs": float(len(world)),
        "arrivals_s": float(world.arrival_s.sum()),
        "best_service_s": float(best_s[np.isfinite(best_s)].sum()),
    }
