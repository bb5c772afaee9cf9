"""Least outstanding: the resource with the fewest open jobs."""

from __future__ import annotations

from bench.replay.face import CHOOSE, Baseline, allowed, load

__all__ = ["LEAST_OUTSTANDING"]


@CHOOSE
def _choose(view, lanes, memory, rng, job, now_s):  # type: ignore[no-untyped-def]
    """Ties to the generator, each with the same chance."""
    best, fewest, ties = -1, 0, 0
    for k in range(lanes.shape[0]):
        if allowed(view, lanes, job, k):
            n = load(lanes, k)
            if best < 0 or n < fewest:
                best, fewest, ties = k, n, 1
            elif n == fewest:
                ties += 1
                if rng.random() * ties < 1.0:
                    best = k
    return best


LEAST_OUTSTANDING = Baseline(
    "least outstanding", "least_conn of nginx and least-request of Envoy over all hosts", _choose
)
