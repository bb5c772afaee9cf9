"""What a job teaches that was given up after c seconds: y = ln(seconds) beyond ln c."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import tailwise as tw
from tailwise._core import reference as ref
from tailwise._core.core import student_beyond
from tests.twin import Twin

DOF = st.floats(4.0, 1e5)


@given(t=st.floats(-6.0, 1e4), dof=DOF)
def test_the_moments_of_a_cut_student_t_are_those_of_scipy(t: float, dof: float) -> None:
    """From the density and the tail of scipy by the same identities. The tail comes from Algorithm 395 where
    x >= .9, error 2e-6; from a series cut at 1e-12 elsewhere; from t + 1 / t beyond 20, error 2 / t^4 = 1e-5. The
    variance loses the digits that mean^2 has: t^2 of them."""
    tail = stats.t.sf(t, dof)
    if tail < 1e-280:
        return
    ratio = (1 + t * t / dof) * stats.t.pdf(t, dof) / tail
    mean, var = student_beyond(t, dof)
    assert mean == pytest.approx(dof / (dof - 1) * ratio, rel=1e-5, abs=1e-12)
    want = dof / (dof - 2) * (1 + t * ratio) - (dof / (dof - 1) * ratio) ** 2
    assert var == pytest.approx(want, rel=1e-4, abs=4e-5 * (1 + t * t))
    assert mean >= t
    assert var >= 0


@given(t=st.floats(0.0, 50.0), dof=st.floats(4.0, 300.0))
def test_the_moments_of_a_cut_student_t_are_those_of_its_definition(t: float, dof: float) -> None:
    mean, var = ref.beyond(t, dof)
    got_mean, got_var = student_beyond(t, dof)
    assert got_mean == pytest.approx(mean, rel=1e-5)
    assert got_var == pytest.approx(var, rel=1e-4, abs=4e-5 * (1 + t * t))


@pytest.mark.parametrize("t", [0.0, 1.0, 25.0, 1e3, 1e8])
def test_beyond_a_cut_everything_is_finite_and_later(t: float) -> None:
    for dof in (4.0, 10.0, 1e3, 1e7):
        mean, var = student_beyond(t, dof)
        assert t < mean < 1.5 * t + 2.0
        assert 0.0 <= var < 10.0 + t * t


ACTION = st.tuples(
    st.sampled_from(["complete", "complete", "cancel", "timeout", "fail"]),
    st.floats(-1.5, 4.0),
    st.floats(-1, 1),
)


@given(st.lists(ACTION, max_size=40), st.integers(0, 2**32 - 1))
def test_posterior_with_jobs_given_up_is_that_of_the_record(
    actions: list[tuple[str, float, float]], seed: int
) -> None:
    """Engine beside its plain record: completions, cancels and timeouts at any age; a cut row is two of half a
    weight. The served copy is float32, which moves an expected y by 1e-6 of its size and more of
    its spread: 1e-4 of the posterior's."""
    twin = Twin(
        tw.Model("m", (tw.Feature("u", typical=1.0),)), (tw.Resource("a"), tw.Resource("b")), tau_s=50.0
    )
    rng = np.random.default_rng(seed)
    for action, ln_age, z in actions:
        lane = int(rng.integers(2))
        job = twin.select((math.exp(z),), mask=1 << lane)
        twin.advance(0.05 * math.exp(ln_age))
        if action == "complete":
            twin.complete(job, 0.05 * math.exp(ln_age))
        else:
            getattr(twin, action)(job)
        for r in range(2):
            want, got = twin.belief(r), twin.engine._core.posterior(0, r)
            np.testing.assert_allclose(got["mean"], want.mean, rtol=1e-4, atol=1e-4)
            assert got["scale2"] == pytest.approx(want.scale2, rel=1e-3)
            assert got["dof"] == pytest.approx(want.dof)
            kept = ref.kept(twin.counts[r].sum(), twin.now_s - twin.seen_s[r], twin.tau_s)
            np.testing.assert_allclose([got["succeeded"], got["failed"]], twin.counts[r] * kept, atol=1e-9)
