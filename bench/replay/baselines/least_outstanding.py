"""Least outstanding: the resource with the fewest open jobs."""

from __future__ import annotations

from bench.replay.baselines.candidates import least_loaded
from bench.replay.face import CHOOSE, Baseline

__all__ = ["LEAST_OUTSTANDING"]


@CHOOSE
def _choose(view, lanes, memory, rng, job, now_s):  # type: ignore[no-untyped-def]
    return least_loaded(view, lanes, rng, job)


LEAST_OUTSTANDING = Baseline(
    "least outstanding", "least_conn of nginx and least-request of Envoy over all hosts", _choose
)
