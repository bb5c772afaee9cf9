"""Does a resource hang? What is thought of running jobs that are older than they should be."""

from __future__ import annotations

import math

from tailwise._core.reference.forecast import student_cdf
from tailwise._core.reference.wait import residual, service_mean


def overdue_after_s(m: float, s: float, dof: float) -> float:
    """Seconds of service: twice the mean and the 99.9% quantile, by bisection; thirty years are as good as never."""
    low, high = 0.0, 40.0
    while high - low > 1e-9:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if student_cdf(middle, dof) < 0.999 else (low, middle)
    return min(max(2.0 * service_mean(m, s), math.exp(min(m + s * low, 700.0))), 1e9)


def doubt(n_unrefuted: int) -> float:
    """Odds of a hang against chance: even for one overdue job, each further one is another 1 in 250 by chance."""
    return min(250.0 ** (n_unrefuted - 1), 1e6) if n_unrefuted > 0 else 0.0


def remaining(m: float, s: float, elapsed_s: float, overdue: bool) -> float:
    """Seconds that a running job takes yet; an overdue one as long again, at least."""
    left = residual(m, s, elapsed_s)[0]
    return max(left, elapsed_s) if overdue else left
