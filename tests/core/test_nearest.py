"""Of two signals only who may be the nearest that keeps both bounds is weighed: the choice is as if all were."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tailwise as tw
from tests.paths import PATHS, on_path

ON_TIME = 0.9


def replicas(k: int, seed: int) -> tw.Engine:
    """k replicas that read and write at speeds of their own, with a few jobs on some; every fifth knows nothing."""
    rng = np.random.default_rng(seed)
    model = tw.Model(
        "m",
        features=(tw.Feature("prompt_tokens", typical=512.0),),
        columns=(tw.Column("running", scale=4, tracked="running"),),
        signals=("ttft", "tpot"),
    )
    qos = tw.QoS(
        "q", ttft_s=0.1, tpot_s=0.009, on_time=ON_TIME, contract="best_effort", explore=seed % 2 == 0
    )
    e = tw.Engine(
        [tw.Resource(f"r{i}", slots=1 + i % 3) for i in range(k)],
        [model],
        [qos],
        seed=seed,
        clock=tw.ManualClock(),
    )
    route, speed = e.route("m", "q"), np.log([0.04, 0.008]) + rng.normal(0.0, 0.3, (k, 2))
    for lane in np.flatnonzero(np.arange(k) % 5 < 4):
        for _ in range(20):
            first_s, token_s = np.exp(speed[lane] + rng.normal(0.0, 0.1, 2))
            ticket = route.select((512.0,), mask=1 << int(lane))
            ticket.first(float(first_s))
            ticket.complete(float(first_s + 99 * token_s), tokens=100)
        for _ in range(rng.integers(3)):
            route.select((512.0,), mask=1 << int(lane))
    return e


@pytest.mark.parametrize("k", [1, 5, 17, 40, 100])
@pytest.mark.parametrize("seed", range(6))
def test_the_nearest_that_keeps_both_bounds_is_chosen(k: int, seed: int) -> None:
    """Where no lane is within 1e-4 of the bound, so that float32 and the close look agree."""
    e = replicas(k, seed)
    route, rng = e.route("m", "q"), np.random.default_rng(seed)
    for prompt in rng.uniform(64.0, 4096.0, 20):
        seen = route.peek((prompt,))
        if not seen or min(abs(c.p_raw - ON_TIME) for c in (*seen, *seen.excluded)) < 1e-3:
            continue
        least = min(c.rank_s for c in seen)
        nearest = {c.resource.name for c in seen if c.rank_s <= least * (1 + 2e-4)}
        for path in PATHS:
            with on_path(path):
                ticket = route.select((prompt,))
            assert ticket.resource.name in nearest
            ticket.cancel()
        assert math.isfinite(least)
