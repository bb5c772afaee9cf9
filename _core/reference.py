"""The mathematics of the core in plain NumPy, under the kernels' names: the specification they are tested against.

Slow, stateless, float64, written from rows of data instead of sums. Tests and benches use it; it is never a
fallback. Seconds everywhere; x (d,) is encoded, x[0] = 1; `spread` s and location m are of ln(seconds).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FEATURE_LIMIT = 16.0
COLUMN_LIMIT = 6.0
LN_LIMIT = 60.0  # of a forecast: beyond e^60 s it is arithmetic, not time
LEAST_N = 8.0  # the clock alone never takes a profile below this many observations
TIE = 1e-4  # relative: costs this close are equal
NODES, WEIGHTS = np.polynomial.legendre.leggauss(400)  # quadrature on [-1, 1]


# --- encoding ---------------------------------------------------------------------------------------------


def encode_features(u: Sequence[float], typical: Sequence[float], knee: Sequence[bool]) -> Array:
    """x = (1, then per feature ln(u / typical) or ln(1 + u), then ln cosh of it where there is a knee)."""
    x = [1.0]
    for value, usual, bends in zip(u, typical, knee, strict=True):
        z = math.log(value) - math.log(usual) if usual > 0 else math.log1p(value)
        x.append(z)
        if bends:
            x.append(float(np.logaddexp(z, -z)) - math.log(2.0))
    return np.clip(x, -FEATURE_LIMIT, FEATURE_LIMIT)


def encode_column(value: float, scale: float) -> float:
    """ln(1 + value / scale), at most 6; NaN (unknown) stays NaN."""
    return min(math.log1p(value / scale), COLUMN_LIMIT) if not math.isnan(value) else value


# --- belief -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evidence:
    """Completions of one profile: features X (n, d), y = ln(seconds) (n,), weights w (n,)."""

    X: Array
    y: Array
    w: Array

    @classmethod
    def none(cls, d: int) -> Evidence:
        return cls(np.empty((0, d)), np.empty(0), np.empty(0))

    @property
    def n(self) -> float:
        """Effective number of completions."""
        return float(self.w.sum())


@dataclass(frozen=True)
class Prior:
    """Normal-inverse-gamma: precision l0 (d,) in units of 1 / sigma^2, mean mu0 (d,), shape a0, rate beta0."""

    l0: Array
    mu0: Array
    a0: float = 2.0
    beta0: float = 0.18


@dataclass(frozen=True)
class Posterior:
    """y | x ~ Student-t(dof), location mean'x, scale^2 = scale2 (1 + x' covariance x)."""

    mean: Array
    covariance: Array
    scale2: float
    dof: float


def kept(n: float, age_s: float, tau_s: float) -> float:
    """Weight factor after age_s. A clock that went back fades nothing; decay stops at LEAST_N."""
    if age_s <= 0.0 or n <= LEAST_N:
        return 1.0
    return max(math.exp(-age_s / tau_s), LEAST_N / n)


def fade(data: Evidence, age_s: float, tau_s: float) -> Evidence:
    """The same rows, their weights age_s later."""
    return Evidence(data.X, data.y, data.w * kept(data.n, age_s, tau_s))


def observe(data: Evidence, x: Array, y: float) -> Evidence:
    """One completion more, weight 1."""
    return Evidence(np.vstack([data.X, x]), np.append(data.y, y), np.append(data.w, 1.0))


def merge(parts: Sequence[Evidence], d: int) -> Evidence:
    """What several profiles saw together."""
    parts = [Evidence.none(d), *parts]
    return Evidence(
        np.vstack([p.X for p in parts]), np.hstack([p.y for p in parts]), np.hstack([p.w for p in parts])
    )


def posterior(data: Evidence, prior: Prior) -> Posterior:
    """The closed form, as least squares with d more rows: the prior says l0_i (mean_i - mu0_i)^2."""
    root_w, root_l0 = np.sqrt(data.w), np.sqrt(prior.l0)
    rows = np.vstack([root_w[:, None] * data.X, np.diag(root_l0)])
    targets = np.hstack([root_w * data.y, root_l0 * prior.mu0])
    q, r = np.linalg.qr(rows)
    mean = np.linalg.solve(r, q.T @ targets)
    root = np.linalg.inv(r)
    a = prior.a0 + 0.5 * data.n
    beta = prior.beta0 + 0.5 * float(np.sum((targets - rows @ mean) ** 2))
    return Posterior(mean, root @ root.T, beta / a, 2.0 * a)


def vague(d: int, n_columns: int) -> Prior:
    """Nothing known: one second, sd of the intercept sqrt(60) sigma; variances 3 for features, 1 for columns."""
    return Prior(np.array([1 / 60] + [1 / 3] * (d - n_columns - 1) + [1.0] * n_columns), np.zeros(d))


def pooled_mean(others: Sequence[Evidence], d: int, n_columns: int) -> Array:
    """What the model does on all other resources together."""
    return posterior(merge(others, d), vague(d, n_columns)).mean


def prior_of(
    others: Sequence[Evidence], d: int, n_columns: int, given: tuple[float, float, float] | None = None
) -> Prior:
    """Vague; else the pooled mean, intercept variance 4; the user's (ln median, spread, weight) above both."""
    prior = vague(d, n_columns)
    if any(o.n > 0 for o in others):
        prior = Prior(np.array([0.25, *prior.l0[1:]]), pooled_mean(others, d, n_columns))
    if given is None:
        return prior
    ln_median, spread, weight = given
    a0 = 2.0 + 0.5 * weight
    return Prior(np.array([weight, *prior.l0[1:]]), np.array([ln_median, *prior.mu0[1:]]), a0, a0 * spread**2)


def availability(succeeded: float, failed: float) -> float:
    """Mean of Beta(99 + succeeded, 1 + failed)."""
    return (99.0 + succeeded) / (100.0 + succeeded + failed)


# --- forecast ---------------------------------------------------------------------------------------------


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


def moment_spread(s: float) -> float:
    """A Student-t has no exponential moment: moments take the spread as at most 1."""
    return min(max(s, 1e-6), 1.0)


def service_mean(m: float, s: float) -> float:
    return math.exp(m + 0.5 * moment_spread(s) ** 2)


def service_var(m: float, s: float) -> float:
    return service_mean(m, s) ** 2 * math.expm1(moment_spread(s) ** 2)


def residual(m: float, s: float, elapsed_s: float) -> tuple[float, float]:
    """Mean and variance of S - elapsed given S > elapsed, ln S ~ N(m, s): quadrature over z = (ln S - m) / s.

    The density is taken relative to its value at the cut, so that no elapsed time is too long.
    """
    s = moment_spread(s)
    if elapsed_s <= 1e-9:
        return service_mean(m, s), service_var(m, s)
    cut = (math.log(elapsed_s) - m) / s
    low = max(cut, -12.0)
    high = 2 * s + math.sqrt(max(low - 2 * s, 0.0) ** 2 + 140.0)
    z = 0.5 * (high - low) * NODES + 0.5 * (high + low)
    density = WEIGHTS * np.exp(-0.5 * (z - low) * (z + low))
    density /= density.sum()
    left = elapsed_s * np.expm1(s * (z - cut))
    mean = float(density @ left)
    return mean, float(density @ (left - mean) ** 2)


Job = tuple[float, float, float]  #: m, s, elapsed seconds
Queued = tuple[int, float, float]  #: level, m, s


def wait(
    running: Sequence[Job], queued: Sequence[Queued], slots: int, level: int, in_order: bool
) -> tuple[float, float]:
    """Mean and variance of the seconds until a job of `level` that arrives now would start.

    What is left of the running jobs (nothing while a slot is free) plus what is queued and served before it (all
    of it where jobs are served in order), spread over the slots.
    """
    parts = [residual(*job) for job in running] if len(running) >= slots else []
    parts += [(service_mean(m, s), service_var(m, s)) for p, m, s in queued if in_order or p <= level]
    return math.fsum(mean for mean, _ in parts) / slots, math.fsum(var for _, var in parts) / slots**2


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


# --- choice -----------------------------------------------------------------------------------------------


def favour_untried(
    service_s: Array, candidate: NDArray[np.bool_], untried: NDArray[np.bool_], n_open: NDArray[np.int64]
) -> Array:
    """Median service (K,) with every idle, untried candidate at most 0.98 of the fastest tried one."""
    tried = service_s[candidate & ~untried]
    best = 0.98 * float(tried.min()) if tried.size else math.inf
    return np.where(candidate & untried & (n_open == 0), np.minimum(service_s, best), service_s)


def cost(wait_s: Array, service_s: Array, available: Array, offset_s: Array) -> Array:
    """(wait + median service) / availability + offset, (K,); offset +inf = no candidate."""
    return (wait_s + service_s) / available + offset_s


def choose(cost_s: Array, n_open: NDArray[np.int64]) -> set[int]:
    """The lanes among which the generator draws: least cost, ties within TIE to the fewest open jobs."""
    least = cost_s.min()
    if not math.isfinite(least):
        return set()
    near = np.flatnonzero(cost_s <= least * (1.0 + TIE))
    return {int(lane) for lane in near if n_open[lane] == n_open[near].min()}
