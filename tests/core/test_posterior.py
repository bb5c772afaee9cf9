"""What a profile believes: against the closed form of reference.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref
from tests.states import SEEDS, plain_model
from tests.twin import Twin

TWO = (tw.Resource("a"), tw.Resource("b"))
TAU = st.sampled_from([math.inf, 300.0, 20.0])
KNOWN = tw.Profile("a", "m", mean_s=0.2, spread=0.4, weight=5.0)


def play(twin: Twin, rng: np.random.Generator, n: int, reach: float = 3.0, gap_s: float = 40.0) -> None:
    """n completions on random lanes at random times, features normal with sd reach / 3, cut at reach."""
    d_request = len(twin.model.features)
    slopes = rng.normal(0, 0.5, d_request)
    for _ in range(n):
        twin.advance(float(rng.exponential(gap_s)))
        lane = int(rng.integers(len(twin.resources)))
        if twin.model.columns:
            twin.report(lane, **{c.name: float(rng.exponential(2.0)) for c in twin.model.columns})
        z = np.clip(rng.normal(0, reach / 3, d_request), -reach, reach)
        ln_s = -3.0 + lane + slopes @ z + rng.normal(0, 0.2)
        twin.learn(lane, tuple(np.exp(z)), math.exp(ln_s))


def packed(factor: np.ndarray, d: int) -> np.ndarray:
    """F from its packed lower triangle."""
    full = np.zeros((d, d))
    full[np.tril_indices(d)] = factor
    return full


@given(
    seed=SEEDS,
    n=st.integers(0, 60),
    n_features=st.integers(0, 7),
    n_columns=st.integers(0, 4),
    tau_s=TAU,
    profiles=st.sampled_from([(), (KNOWN,)]),
)
def test_posterior_equals_the_closed_form(
    seed: int, n: int, n_features: int, n_columns: int, tau_s: float, profiles: tuple[tw.Profile, ...]
) -> None:
    """Within 1e-9. The kernel solves L = L0 + A by Cholesky: relative error about eps cond(L), and with |x| <= 3,
    n <= 60, d <= 12 cond(L) <= (60 x 12 x 9 + 1) / (1/60) = 4e5, so 1e-10; the data have |y| < 20."""
    twin = Twin(plain_model(n_features, n_columns), TWO, tau_s=tau_s, profiles=profiles)
    play(twin, np.random.default_rng(seed), n)
    d = twin.model.d
    for lane in range(2):
        got, want = twin.engine._core.posterior(0, lane), twin.belief(lane)
        factor = packed(got["factor"], d)
        np.testing.assert_allclose(got["mean"], want.mean, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(factor.T @ factor, want.covariance, rtol=1e-9, atol=1e-9)
        assert got["scale2"] == pytest.approx(want.scale2, rel=1e-9)
        assert got["dof"] == pytest.approx(want.dof, rel=1e-9)
        assert got["n"] == pytest.approx(twin._now(lane).n, rel=1e-9)


@given(seed=SEEDS)
@settings(max_examples=20)
def test_order_of_results_does_not_matter(seed: int) -> None:
    """Sums commute; what differs is the centre y0 (the first result) and rounding, both within the 1e-9 above."""
    rng = np.random.default_rng(seed)
    z, ln_s = rng.normal(0, 1, (40, 3)), rng.normal(-3, 1, 40)
    beliefs = []
    for order in (np.arange(40), rng.permutation(40)):
        twin = Twin(plain_model(3), TWO[:1])
        for i in order:
            twin.learn(0, tuple(np.exp(z[i])), math.exp(ln_s[i]))
        beliefs.append(twin.engine._core.posterior(0, 0))
    for name in ("mean", "factor", "scale2", "dof"):
        np.testing.assert_allclose(beliefs[0][name], beliefs[1][name], rtol=1e-9, atol=1e-9)


@given(seed=SEEDS)
@settings(max_examples=20)
def test_a_cold_profile_believes_what_its_model_does_elsewhere(seed: int) -> None:
    """The mean is the regression over all other resources as one; the spread is the prior's own."""
    twin = Twin(plain_model(3), (*TWO, tw.Resource("cold")))
    rng = np.random.default_rng(seed)
    for _ in range(30):
        z = rng.normal(0, 1, 3)
        twin.learn(int(rng.integers(2)), tuple(np.exp(z)), math.exp(rng.normal(-4, 1)))
    cold = twin.engine._core.posterior(0, 2)
    together = ref.posterior(ref.merge(twin.evidence[:2], 4), ref.vague(4, 0))
    np.testing.assert_allclose(cold["mean"], together.mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(np.diag(packed(cold["factor"], 4)) ** -2, [0.25, 1 / 3, 1 / 3, 1 / 3])
    assert (cold["n"], cold["dof"], cold["scale2"]) == (0.0, 4.0, pytest.approx(0.09))


def test_the_clock_alone_never_takes_a_profile_below_eight_results() -> None:
    twin = Twin(plain_model(1), TWO, tau_s=10.0)
    for k in range(20):
        twin.learn(0, (1.0 + k,), 0.1)
        if k < 5:
            twin.learn(1, (1.0 + k,), 0.1)
    twin.advance(1.0)
    assert twin.engine._core.posterior(0, 0)["n"] == pytest.approx(20 * math.exp(-0.1), rel=1e-12)
    twin.advance(1e6)
    assert twin.engine._core.posterior(0, 0)["n"] == pytest.approx(8.0, rel=1e-12)
    assert twin.engine._core.posterior(0, 1)["n"] == 5.0


def test_failures_never_enter_the_latency_regression() -> None:
    twin = Twin(plain_model(2), TWO)
    play(twin, np.random.default_rng(1), 20)
    before, sums = twin.engine._core.posterior(0, 0), twin.engine._core.sums(0, 0)
    for _ in range(50):
        twin.fail(twin.select((1.0, 1.0), mask=1))
    after = twin.engine._core.posterior(0, 0)
    for name in ("mean", "factor", "scale2", "dof", "n"):
        np.testing.assert_array_equal(before[name], after[name])
    np.testing.assert_array_equal(sums[0], twin.engine._core.sums(0, 0)[0])
    assert after["failed"] == 50.0


def test_availability_fades_also_where_no_traffic_goes() -> None:
    """Ten failures, then nothing: after many tau the counts are down to 8, whoever completes elsewhere."""
    twin = Twin(plain_model(0), TWO, tau_s=10.0)
    for _ in range(80):
        twin.fail(twin.select((), mask=1))
    down = {c.resource.name: c.availability for c in twin.routes[0].peek(())}
    assert down["a"] == pytest.approx(99 / 180, rel=1e-6)
    twin.advance(1e4)
    for _ in range(2):  # each completion looks at one served copy; two profiles
        twin.learn(1, (), 0.1)
    up = {c.resource.name: c.availability for c in twin.routes[0].peek(())}
    assert up["a"] == pytest.approx(99 / 108, rel=1e-6)
    assert twin.engine.profile("a", "m").availability == pytest.approx(99 / 108, rel=1e-6)


def test_a_given_profile_is_believed_before_any_result_and_gives_way_to_data() -> None:
    twin = Twin(plain_model(1), TWO, profiles=[KNOWN])
    given_ = twin.engine._core.posterior(0, 0)
    assert given_["mean"][0] == pytest.approx(KNOWN.ln_median, rel=1e-12)
    assert given_["dof"] == 4.0 + KNOWN.weight
    assert given_["scale2"] == pytest.approx(KNOWN.spread**2, rel=1e-12)
    for _ in range(500):
        twin.learn(0, (1.0,), 2.0)
    assert twin.engine._core.posterior(0, 0)["mean"][0] == pytest.approx(math.log(2.0), abs=0.03)
