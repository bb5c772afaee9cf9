"""Student-t probabilities of the kernels against scipy and against reference.py."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tailwise._core import reference
from tailwise._core.core import student_p, student_q

# 2 a0 = 4 is the least that the core ever has.
DOF = st.floats(4.0, 1e7)


@given(t=st.floats(-1e6, 1e6), dof=DOF)
def test_student_p_is_within_2e_6_of_scipy(t: float, dof: float) -> None:
    """Hill's Algorithm 395, whose error is largest at few degrees of freedom: 1.1e-6 at 4, measured."""
    assert student_p(t, dof) == pytest.approx(stats.t.cdf(t, dof), abs=2e-6)


@pytest.mark.parametrize(
    ("dof", "error"), [(4, 2e-6), (5, 3e-7), (6, 6e-8), (8, 6e-9), (12, 3e-10), (30, 1e-11)]
)
def test_the_error_of_student_p_falls_with_the_degrees_of_freedom(dof: float, error: float) -> None:
    """Twice the errors measured on this grid; a wrong coefficient is 50 times off at dof 8."""
    t = np.linspace(-12, 12, 481)
    assert np.max(np.abs([student_p(v, dof) for v in t] - stats.t.cdf(t, dof))) < error


@given(t=st.floats(-50, 50), dof=DOF)
def test_the_reference_integral_is_scipys(t: float, dof: float) -> None:
    """Gauss-Legendre with 200 nodes over at most 14 widths leaves rounding and lgamma: 1e-9 up to dof 1e7."""
    assert reference.student_cdf(t, dof) == pytest.approx(stats.t.cdf(t, dof), abs=1e-8)


@given(z=st.floats(-5, 5), dof=DOF)
def test_student_q_is_the_inverse_of_student_p(z: float, dof: float) -> None:
    """Newton stops at steps of 1e-10 in t; the density of z is below 0.4, and differences cost 1e-6 of a step."""
    assert student_p(student_q(z, dof), dof) == pytest.approx(stats.norm.cdf(z), abs=1e-8)


@given(z=st.floats(-3, 3), dof=DOF)
def test_student_q_is_near_scipys_quantile(z: float, dof: float) -> None:
    """It inverts student_p, so its probability is off by student_p's 2e-6."""
    t = student_q(z, dof)
    assert stats.t.cdf(t, dof) == pytest.approx(stats.norm.cdf(z), abs=2e-6)
    assert np.sign(t) == np.sign(z)


@given(t=st.floats(-1e3, 1e3), step=st.floats(1e-3, 10), dof=DOF)
def test_student_p_never_falls(t: float, step: float, dof: float) -> None:
    assert student_p(t + step, dof) >= student_p(t, dof)


@given(t=st.sampled_from([-1e150, -1e70, 0.0, 1e70, 1e150]), dof=DOF)
def test_student_p_is_a_probability_at_any_distance(t: float, dof: float) -> None:
    """A microsecond of service after e^60 s of waiting has a spread of 1e-64 in ln: t reaches 1e67, not more."""
    assert 0.0 <= student_p(t, dof) <= 1.0


@given(t=st.floats(1e-6, 40.0), dof=DOF)
def test_a_t_lies_further_out_than_its_normal_deviate(t: float, dof: float) -> None:
    """By 1e-5 of it the certificate (misses_bound) tells that a job has kept its bound, and works no deviate out.
    1e-12: what either probability is rounded to."""
    assert student_p(t, dof) <= stats.norm.cdf(t * (1.0 + 1e-5)) + 1e-12
