"""Guarantee 2: positive definite and finite after 10^7 updates of any admissible input, including identical,
collinear, zero and denormal features. (Each kind of row 10^7 times, with times of 1e-9 to 1e6 s:
tests/core/test_stability.py.)"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tailwise as tw
from tests.sound import check_below_prior, check_sound

MODEL = tw.Model("m", (tw.Feature("u", typical=1.0, knee=True), "v", "w"))
seconds = st.sampled_from([1e-9, 1e-4, 0.1, 0.125, 10.0, 1e6])
hard = st.one_of(
    st.sampled_from([5e-324, 1e-310, 1e-300, 1.0, 1e300]), st.floats(1e-6, 1e6), st.floats(0.999, 1.001)
)
jobs = st.tuples(hard, hard, st.booleans(), seconds)


def engine(tau_s: float) -> tuple[tw.Engine, tw.ManualClock]:
    clock = tw.ManualClock()
    qos = tw.QoS("q", 1.0, contract="best_effort")
    return tw.Engine([tw.Resource("r")], [MODEL], [qos], clock=clock, tau_s=tau_s, seed=1), clock


@settings(max_examples=150)
@given(
    data=st.lists(jobs, min_size=1, max_size=12),
    times=st.integers(1, 200),
    tau_s=st.sampled_from([0.01, 300.0]),
)
def test_any_admissible_input_leaves_a_finite_positive_definite_posterior(
    data: list[tuple[float, float, bool, float]], times: int, tau_s: float
) -> None:
    made, clock = engine(tau_s)
    route = made.route("m", "q")
    for k in range(times):
        u, v, collinear, service_s = data[k % len(data)]
        clock.advance(1e-3)
        route.select((u, v, v if collinear else 0.0)).complete(service_s)
    check_sound(made._core.posterior(0, 0))
    check_below_prior(made._core.posterior(0, 0))
    for candidate in route.peek((1.0, 0.0, 0.0)):
        assert 0.0 < candidate.spread < math.inf


def exact(X: np.ndarray, y: np.ndarray, w: float, l0: np.ndarray) -> tuple[np.ndarray, float]:
    """(mean, beta - beta0) of the closed form by Gauss's elimination in extended precision (64-bit significand)."""
    wide = np.longdouble
    X, y, l0 = X.astype(wide), y.astype(wide), l0.astype(wide)
    d = X.shape[1]
    table = np.hstack([wide(w) * X.T @ X + np.diag(l0), (wide(w) * X.T @ y)[:, None]])
    for i in range(d):
        table[i] /= table[i, i]
        for j in range(d):
            if j != i:
                table[j] -= table[j, i] * table[i]
    mean = table[:, d]
    excess = (wide(w) * np.sum((y - X @ mean) ** 2) + np.sum(l0 * mean**2)) / 2
    return mean.astype(float), float(excess)


@pytest.mark.long
def test_ten_million_updates_are_the_closed_form_in_extended_precision() -> None:
    """Random rows over and over. Times lie within the prior's noise, so that nothing tightens (served.pxd, fit)."""
    rng = np.random.default_rng(7)
    z = rng.normal(0.0, 1.0, (50, 3))
    ln_s = 0.2 * z[:, 0] + rng.normal(0.0, 0.2, 50)
    raw = [(math.exp(a), math.exp(abs(b)), math.exp(abs(c))) for a, b, c in z]
    made, _ = engine(math.inf)
    made._core.detect_change(False)
    select = made.route("m", "q").select
    for _ in range(200_000):
        for x, y in zip(raw, ln_s, strict=True):
            select(x).complete(math.exp(y))
    X = np.array([made._core.encode(0, x) for x in raw])
    mean, excess = exact(X, np.log(np.exp(ln_s)), 2e5, np.array([1 / 60] + [1 / 3] * 4))
    got = made._core.posterior(0, 0)
    np.testing.assert_allclose(got["mean"], mean, rtol=1e-9, atol=1e-9)
    assert got["scale2"] * got["dof"] / 2 == pytest.approx(0.18 + excess, rel=1e-9)
    check_sound(made._core.posterior(0, 0))
    check_below_prior(made._core.posterior(0, 0))
