"""What jobs that are served together take of what each would take alone."""

from __future__ import annotations

from collections.abc import Sequence

KEPT = 0.95  #: weight of a run against the next


def joint_share(runs: Sequence[tuple[float, float]]) -> float:
    """Of its own service, what a queued job makes those behind it wait, at most 1. runs: of one profile since jobs
    of its model were first joined, the latest last: (seconds, sum of what its jobs were forecast to take alone)."""
    weights = [KEPT**age for age in reversed(range(len(runs)))]
    run_s = sum(w * run for w, (run, _) in zip(weights, runs, strict=True))
    alone_s = sum(w * alone for w, (_, alone) in zip(weights, runs, strict=True))
    return min(run_s / alone_s, 1.0) if runs else 1.0
