"""The change test of one profile against reference.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref


def engine() -> tw.Engine:
    return tw.Engine(
        [tw.Resource("r")],
        [tw.Model("m", (tw.Feature("u", typical=1.0),))],
        [tw.QoS("q", 1.0, contract="best_effort")],
        clock=tw.ManualClock(),
        tau_s=math.inf,
        seed=1,
    )


STEP = st.tuples(st.floats(-1.5, 1.5), st.sampled_from([0.0, 0.3, 1.0, -1.0, 4.0, -4.0]))


@example(seed=0, steps=[(0.0, -4.0)] * 12)
@example(seed=0, steps=[(0.0, 4.0)] * 12)
@given(seed=st.integers(0, 2**32 - 1), steps=st.lists(STEP, min_size=1, max_size=40))
def test_alarms_follow_the_cusum_of_the_forecasts_of_each_moment(
    seed: int, steps: list[tuple[float, float]]
) -> None:
    """Residuals are of what `peek` forecasts just before a completion, and count from the last alarm or the eighth
    result on; both sides agree on every alarm, and on what it leaves beside the newest result."""
    e, rng = engine(), np.random.default_rng(seed)
    route, residuals, alarms, n = e.route("m", "q"), [], 0, 0.0
    warm = [(float(z), 0.0) for z in rng.normal(0, 0.7, 12)]
    for z, jump in warm + steps:
        (now,) = route.peek((math.exp(z),))
        y = -3.0 + 0.5 * z + jump + float(rng.normal(0, 0.2))
        route.select((math.exp(z),)).complete(math.exp(y))
        if n >= 8.0 - 1e-9:
            residuals.append(ref.residual_now(y, now.ln_service, now.spread, now.dof))
        if (alarm := ref.alarm_after(residuals)) is not None:
            residuals, alarms, n = [], alarms + 1, min(n, alarm[1])
        n += 1.0
        assert e.alarms("r") == alarms
        assert e.profile("r", "m").n == pytest.approx(n)


@pytest.mark.parametrize(("z", "needed"), [(9.0, 4), (-9.0, 4), (2.0, 7), (-2.0, 7), (0.75, None)])
def test_an_alarm_needs_as_many_jobs_as_their_size_says(z: float, needed: int | None) -> None:
    """Each counts its clipped size less .75 towards 8: four of 3 or more, seven of 2 (6 x 1.25 = 7.5), none of
    .75. The reference's own answer, from the definition."""
    zs = [min(max(z, -3.0), 3.0)] * 40
    alarm = ref.alarm_after(zs)
    assert (None if alarm is None else alarm[0]) == needed
