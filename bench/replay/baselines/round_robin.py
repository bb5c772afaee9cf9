"""Round robin: each resource in turn, those that cannot run the job passed over."""

from __future__ import annotations

from bench.replay.face import CHOOSE, Baseline, allowed

__all__ = ["ROUND_ROBIN"]


@CHOOSE
def _choose(view, lanes, memory, rng, job, now_s):  # type: ignore[no-untyped-def]
    """memory[0]: where the next turn begins."""
    n_lanes = lanes.shape[0]
    for i in range(n_lanes):
        k = (int(memory[0]) + i) % n_lanes
        if allowed(view, lanes, job, k):
            memory[0] = k + 1
            return k
    return -1


ROUND_ROBIN = Baseline("round robin", "the default of nginx and Envoy", _choose, n_memory=lambda *sizes: 1)
