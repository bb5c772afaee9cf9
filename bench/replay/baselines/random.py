"""Random: any resource that can run the model, each with the same chance."""

from __future__ import annotations

from bench.replay.face import CHOOSE, Baseline, allowed

__all__ = ["RANDOM"]


@CHOOSE
def _choose(view, lanes, memory, rng, job, now_s):  # type: ignore[no-untyped-def]
    chosen, n = -1, 0
    for k in range(lanes.shape[0]):
        if allowed(view, lanes, job, k):
            n += 1
            if rng.random() * n < 1.0:
                chosen = k
    return chosen


RANDOM = Baseline("random", "what a load balancer without state does; `random` of nginx and Envoy", _choose)
