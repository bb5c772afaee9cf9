"""Whether a resource is still what it was."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

from tailwise._core.reference.forecast import student_cdf

CLIP, DRIFT, THRESHOLD = 3.0, 0.75, 8.0  # standard deviations
LEAST_SPREAD = 0.05


def residual_now(y: float, m: float, s: float, dof: float) -> float:
    """Normal deviate of y = ln(seconds) in a forecast, as far as it counts; spreads below LEAST_SPREAD are noise."""
    t = (y - m) / max(s, LEAST_SPREAD)
    if abs(t) > 60.0:
        return CLIP if t > 0 else -CLIP
    z = NormalDist().inv_cdf(min(max(student_cdf(t, dof), 1e-12), 1.0 - 1e-12))
    return min(max(z, -CLIP), CLIP)


LEAST_N, LEFT_OF_SLOWER = 8.0, 1.0  # results that an alarm leaves; of one that was slower and is faster now


def alarm_after(residuals: Sequence[float]) -> tuple[int, float] | None:
    """How many residuals Page's two-sided CUSUM needs to alarm, the largest excess of any run that ends there, and
    how many results an alarm of its side leaves."""
    for end in range(1, len(residuals) + 1):
        for sign, left in ((1.0, LEAST_N), (-1.0, LEFT_OF_SLOWER)):
            runs = [sum(sign * z - DRIFT for z in residuals[start:end]) for start in range(end)]
            if max(runs) > THRESHOLD:
                return end, left
    return None
