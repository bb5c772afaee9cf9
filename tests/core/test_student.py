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
def test_student_p_is_within_2e_4_of_scipy(t: float, dof: float) -> None:
    """Hill's Algorithm 395 states 2e-4 from 4 degrees of freedom on."""
    assert student_p(t, dof) == pytest.approx(stats.t.cdf(t, dof), abs=2e-4)


def test_student_p_is_within_2e_4_of_scipy_on_a_grid() -> None:
    """The worst case lies at few degrees of freedom, where random ones seldom fall."""
    for dof in (4.0, 4.5, 5.0, 6.0, 8.0, 12.0, 30.0, 200.0):
        worst = max(abs(student_p(t, dof) - stats.t.cdf(t, dof)) for t in np.linspace(-12, 12, 481))
        assert worst < 2e-4


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
    """An error of 2e-4 in probability, divided by the least density on the way (at |z| = 3, dof = 4: .0011)."""
    t = student_q(z, dof)
    assert stats.t.cdf(t, dof) == pytest.approx(stats.norm.cdf(z), abs=2e-4)
    assert np.sign(t) == np.sign(z)


@given(t=st.floats(-1e3, 1e3), step=st.floats(1e-3, 10), dof=DOF)
def test_student_p_never_falls(t: float, step: float, dof: float) -> None:
    assert student_p(t + step, dof) >= student_p(t, dof)


@given(t=st.sampled_from([-1e150, -1e70, 0.0, 1e70, 1e150]), dof=DOF)
def test_student_p_is_a_probability_at_any_distance(t: float, dof: float) -> None:
    """A microsecond of service after e^60 s of waiting has a spread of 1e-64 in ln: t reaches 1e67, not more."""
    assert 0.0 <= student_p(t, dof) <= 1.0
