"""What is predicted for one job on one lane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tailwise._core.reference.belief import Evidence, Posterior
from tailwise._core.reference.encoding import Array
from tailwise._core.reference.wait import NODES, WEIGHTS, service_mean, service_var

LN_LIMIT = 60.0  # of a forecast: beyond e^60 s it is arithmetic, not time


@dataclass(frozen=True)
class Served:
    """A posterior as decisions read it: load slopes floored at 0, what unknown columns are taken to be."""

    belief: Posterior
    column_mean: Array
    column_var: Array


def serve(belief: Posterior, data: Evidence, load_columns: Sequence[bool]) -> Served:
    """load_columns (n_columns,): tracked and reported ones; more load never speeds a job up."""
    first = len(belief.mean) - len(load_columns)
    mean = belief.mean.copy()
    for j, is_load in enumerate(load_columns):
        mean[first + j] = max(mean[first + j], 0.0) if is_load else mean[first + j]
    columns, w = data.X[:, first:], data.w[:, None]
    if data.n > 0:
        centre = np.sum(w * columns, axis=0) / data.n
        var = np.sum(w * (columns - centre) ** 2, axis=0) / data.n
    else:
        centre, var = np.zeros(len(load_columns)), np.ones(len(load_columns))
    return Served(Posterior(mean, belief.covariance, belief.scale2, belief.dof), centre, var)


def forecast_service(served: Served, x: Array) -> tuple[Array, float, float]:
    """(x with unknown columns filled in, m, s)."""
    belief, first = served.belief, len(x) - len(served.column_mean)
    unknown = np.isnan(x[first:])
    x = np.hstack([x[:first], np.where(unknown, served.column_mean, x[first:])])
    extra = float(np.sum((belief.mean[first:] ** 2 * served.column_var)[unknown]))
    m = float(np.clip(belief.mean @ x, -LN_LIMIT, LN_LIMIT))
    return x, m, math.sqrt(belief.scale2 * (1.0 + x @ belief.covariance @ x) + extra)


def student_cdf(t: float, dof: float) -> float:
    """P(T <= t): with t = sqrt(dof) tan(a) the density is cos(a)^(dof - 1), integrated up to 14 widths."""
    angle = min(math.atan(abs(t) / math.sqrt(dof)), 14.0 / math.sqrt(dof))
    inside = 0.5 * angle * float(WEIGHTS @ np.cos(0.5 * angle * (NODES + 1.0)) ** (dof - 1.0))
    scale = math.exp(math.lgamma(0.5 * dof + 0.5) - math.lgamma(0.5 * dof)) / math.sqrt(math.pi)
    return 0.5 + math.copysign(inside * scale, t)


def forecast_total(
    m: float, s: float, dof: float, wait_s: float, wait_var: float, deadline_s: float, available: float
) -> tuple[float, float, float]:
    """(m, s) of ln(wait + service), matched by two moments, and P(on time): the tail is the service's t."""
    mean, var = wait_s + service_mean(m, s), wait_var + service_var(m, s)
    s2 = math.log1p(var / mean**2)
    m_total = math.log(mean) - 0.5 * s2
    p = available * student_cdf((math.log(deadline_s) - m_total) / math.sqrt(s2), dof)
    return m_total, math.sqrt(s2), p
