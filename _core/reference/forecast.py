"""What is predicted for one job on one lane."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tailwise._core.reference.belief import Evidence, Posterior
from tailwise._core.reference.encoding import Array, Context
from tailwise._core.reference.wait import NODES, WEIGHTS, service_mean, service_var

LN_LIMIT = 60.0  # of a forecast: beyond e^60 s it is arithmetic, not time


@dataclass(frozen=True)
class Served:
    """A posterior as decisions read it: load slopes floored at 0, what unknown columns are taken to be."""

    belief: Posterior
    column_mean: Array
    column_var: Array
    context: Context


def serve(belief: Posterior, data: Evidence, context: Context) -> Served:
    """More load never speeds a job up: the mean given that coefficients of load columns, of their squares and
    products that fell below 0 are 0, the steepest first."""
    first, n = len(belief.mean) - context.d, len(context.load)
    is_load = np.array([False] * first + list(context.load))
    for loaded, square, factor in zip(context.load, context.square, context.times, strict=True):
        is_load = np.append(is_load, [loaded] * (square + (factor is not None)))
    mean, cov, left, floored = (
        belief.mean,
        belief.covariance,
        [int(k) for k in np.flatnonzero(is_load)],
        list[int](),
    )
    while left and min(mean[k] for k in left) < 0:
        floored.append(min(left, key=lambda k: mean[k]))
        left.remove(floored[-1])
        block = cov[np.ix_(floored, floored)]
        mean = belief.mean - cov[:, floored] @ np.linalg.solve(block, belief.mean[floored])
        mean[floored] = 0.0
    columns, w = data.X[:, first : first + n], data.w[:, None]
    if data.n > 0:
        centre = np.sum(w * columns, axis=0) / data.n
        var = np.sum(w * (columns - centre) ** 2, axis=0) / data.n
    else:
        centre, var = np.zeros(n), np.ones(n)
    return Served(Posterior(mean, belief.covariance, belief.scale2, belief.dof), centre, var, context)


def forecast_service(served: Served, x: Array) -> tuple[Array, float, float]:
    """x: request and columns, NaN = unknown. Returns (the whole row with unknown columns filled in, m, s).

    A column acts by z (b + b2 z + bx x), a load column never by less than 0; an unknown one adds the square of its
    slope at the mean, b + 2 b2 z + bx x, times its variance.
    """
    belief, context = served.belief, served.context
    first = len(x) - len(context.load)
    m, extra = float(belief.mean[:first] @ x[:first]), 0.0
    z = np.where(np.isnan(x[first:]), served.column_mean, x[first:])
    for j, (plain, square, product) in enumerate(context.parts(belief.mean)):
        factor = context.times[j]
        tilt = plain + (product * x[factor] if factor is not None else 0.0)
        idle = context.load[j] and tilt + square * z[j] < 0.0
        m += 0.0 if idle else z[j] * (tilt + square * z[j])
        if math.isnan(x[first + j]) and not idle:
            extra += (tilt + 2.0 * square * z[j]) ** 2 * served.column_var[j]
    row = context.row(x[:first], z)
    m = min(max(m, -LN_LIMIT), LN_LIMIT)
    return row, m, math.sqrt(belief.scale2 * (1.0 + row @ belief.covariance @ row) + extra)


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
