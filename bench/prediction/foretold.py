"""What was foretold of each row of a log, and how good it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from bench.calibration.foresee import Alarm, Asked, Foreseen, Log, Told

__all__ = ["LEVELS", "P90", "Figures", "by_tailwise", "judge", "knew_something", "late"]

LEVELS = np.array(
    [0.05, 0.5, 0.9, 0.95]
)  #: of the quantiles that are foretold; the outer two are the 90% interval
LOW, MEDIAN, P90, HIGH = range(4)
APART_S = 1e-6  # least time between two rows, so that "n rows late" is exact where rows start together

Step = Asked | Told | Alarm


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one predictor over the rows of a log, cold ones and outliers included."""

    n: int
    pinball: float  #: of the p90 quantile of ln(seconds), x 100
    within_p90: float  #: share of rows at or below it; .90 is right
    within_interval: float  #: share of rows in the 90% interval
    error: float  #: root mean square of ln(seconds) - its median
    mape: float  #: mean |median / seconds - 1|, in %


def late(log: Log, n_rows: int) -> Log:
    """The same jobs, each heard of as soon as n_rows more have started; 0 = before the next one starts."""
    at_s = np.array([row.at_s for row in log.rows])
    at_s = np.maximum.accumulate(at_s - APART_S * np.arange(len(at_s))) + APART_S * np.arange(len(at_s))
    told_s = np.append(at_s[n_rows:], np.full(min(n_rows, len(at_s)), at_s[-1])) + 0.5 * APART_S
    rows = [
        replace(row, at_s=float(a), told_s=float(t)) for row, a, t in zip(log.rows, at_s, told_s, strict=True)
    ]
    return replace(log, rows=rows)


def by_tailwise(f: Foreseen) -> NDArray[np.float64]:
    """(n, LEVELS) quantiles of ln(seconds): m + s x those of a Student t."""
    quantile: NDArray[np.float64] = f.m[:, None] + f.s[:, None] * student.ppf(LEVELS, f.dof[:, None])
    return quantile


def knew_something(steps: Sequence[Step]) -> NDArray[np.bool_]:
    """(n,) whether any result had been heard of when each row started: of the others nobody can say anything."""
    knew, told = [], False
    for step in steps:
        told = told or isinstance(step, Told)
        if isinstance(step, Asked):
            knew.append(told)
    return np.array(knew)


def judge(y: NDArray[np.float64], quantile: NDArray[np.float64]) -> Figures:
    """y (n,) ln(seconds), quantile (n, LEVELS) of it."""
    over = y - quantile[:, P90]
    error = y - quantile[:, MEDIAN]
    inside = (quantile[:, LOW] <= y) & (y <= quantile[:, HIGH])
    return Figures(
        n=len(y),
        pinball=100.0 * float(np.maximum(0.9 * over, -0.1 * over).mean()),
        within_p90=float((over <= 0.0).mean()),
        within_interval=float(inside.mean()),
        error=float(np.sqrt((error**2).mean())),
        mape=100.0 * float(np.abs(np.expm1(-error)).mean()),
    )
