"""The spread and the P(on time) of all candidates at once, beside the plain forecast of each."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings

import tailwise as tw
from tailwise._core import reference as ref
from tests.paths import PATHS, on_path
from tests.states import SEEDS, SIZES, decided_now


@given(k=SIZES, seed=SEEDS)
@settings(max_examples=60)
def test_every_lane_is_weighed_as_the_reference_forecasts_it(k: int, seed: int) -> None:
    """s^2: products of d = 9 float32 numbers, summed, squared and summed again: 2e-5 relative. E[service] also has m
    in float32. P: ln(left) - ln(total) loses 2^-24 of each logarithm and the error of m, over s_total, and the
    density of t is at most .4; 2e-6 for the kernels' own series."""
    twin, _, u, Z, level = decided_now(k, seed)
    seen = twin.candidates(u, level, Z)
    left_s = twin.routes[level].qos.deadline_s
    on_paths = []
    for path in PATHS:
        with on_path(path):
            on_paths.append(twin.routes[level]._weigh(u, Z))
    for lane in np.flatnonzero(np.isfinite(seen.cost_s)):
        m, s = seen.m[lane], seen.s[lane]
        m_total, s_total, p = ref.forecast_total(
            m, s, seen.dof[lane], seen.wait_s[lane], seen.wait_var[lane], left_s, seen.available[lane]
        )
        slip = (1e-4 + seen.error[lane] + 2.0**-23 * (abs(m_total) + abs(math.log(left_s)))) / s_total
        for weighed in on_paths:
            assert weighed["var"][lane] == pytest.approx(s**2, rel=2e-4)
            assert weighed["mean_s"][lane] == pytest.approx(
                ref.service_mean(m, s), rel=1e-4 + seen.error[lane]
            )
            assert weighed["on_time"][lane] == pytest.approx(p, abs=0.4 * slip + 1e-4)


def test_what_is_known_leaves_the_noise_only() -> None:
    """After n results at one x the mean is known to sigma^2 / n: the part that learning takes away."""
    engine = tw.Engine(
        [tw.Resource("r")], [tw.Model("m")], [tw.QoS("q", 1.0)], clock=tw.ManualClock(), seed=1
    )
    route, rng = engine.route("m", "q"), np.random.default_rng(1)
    before = route._weigh(())
    for _ in range(400):
        route.select(()).complete(float(np.exp(rng.normal(-3, 0.2))))
    after = route._weigh(())
    assert before["model_var"][0] / before["var"][0] == pytest.approx(60 / 61, rel=1e-6)
    assert after["model_var"][0] / after["var"][0] == pytest.approx(
        1 / 401, rel=0.15
    )  # served: an eighth behind
    assert math.sqrt(after["var"][0]) == pytest.approx(0.2, rel=0.15)  # sd of a sample deviation: 3.5%


@pytest.mark.usefixtures("each_path")
@pytest.mark.parametrize("spread", [1e-3, 0.01, 0.1, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("times", [0.5, 0.9, 0.99, 1.0, 1.01, 1.1, 2.0, 10.0])
def test_a_certain_and_an_uncertain_forecast_are_weighed_alike(spread: float, times: float) -> None:
    """Tails included: P of the kernel for all lanes against that of the chosen lane in float64."""
    qos = [tw.QoS("q", 0.1 * times, contract="best_effort")]
    profiles = [tw.Profile("r", "m", 0.1, spread, 50.0)]
    engine = tw.Engine(
        [tw.Resource("r")], [tw.Model("m")], qos, profiles=profiles, clock=tw.ManualClock(), seed=1
    )
    route = engine.route("m", "q")
    # ln 0.1 in float32 is 1.5e-7 off, over s; the rest are the series' 3e-6
    assert route._weigh(())["on_time"][0] == pytest.approx(
        route.select(()).p_raw, abs=5e-6 + 0.4 * 3e-7 / spread
    )
