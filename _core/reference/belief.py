"""What is believed of one profile: the posterior of its latency, its availability."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tailwise._core.reference.encoding import Array

LEAST_N = 8.0  # the clock alone never takes a profile below this many observations


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


def observe(data: Evidence, x: Array, y: float, weight: float = 1.0) -> Evidence:
    """One row more."""
    return Evidence(np.vstack([data.X, x]), np.append(data.y, y), np.append(data.w, weight))


def merge(parts: Sequence[Evidence], d: int) -> Evidence:
    """What several profiles saw together."""
    parts = [Evidence.none(d), *parts]
    return Evidence(
        np.vstack([p.X for p in parts]), np.hstack([p.y for p in parts]), np.hstack([p.w for p in parts])
    )


def posterior(data: Evidence, prior: Prior) -> Posterior:
    """The closed form; in three rounds, noise beyond the prior's makes the prior of the slopes as much tighter."""
    l0 = prior.l0
    for _ in range(3):
        mean = closed_form(data, prior, l0).mean
        residuals = data.y - data.X @ mean
        beta = prior.beta0 + 0.5 * float(data.w @ residuals**2)
        excess = beta / (prior.a0 + 0.5 * data.n) / (prior.beta0 / prior.a0)
        if excess <= 1.0:
            break
        l0 = np.array([prior.l0[0], *(prior.l0[1:] * excess)])
    return closed_form(data, prior, l0)


def closed_form(data: Evidence, prior: Prior, l0: Array) -> Posterior:
    """As least squares with d more rows: the prior says l0_i (mean_i - mu0_i)^2."""
    root_w, root_l0 = np.sqrt(data.w), np.sqrt(l0)
    rows = np.vstack([root_w[:, None] * data.X, np.diag(root_l0)])
    targets = np.hstack([root_w * data.y, root_l0 * prior.mu0])
    q, r = np.linalg.qr(rows)
    mean = np.linalg.solve(r, q.T @ targets)
    root = np.linalg.inv(r)
    a = prior.a0 + 0.5 * data.n
    beta = prior.beta0 + 0.5 * float(np.sum((targets - rows @ mean) ** 2))
    return Posterior(mean, root @ root.T, beta / a, 2.0 * a)


LN_TPOT = math.log(0.03)  # a token's seconds, while none was seen
LN_TOKENS = math.log(128.0)  # an answer's tokens


def vague(d: int, n_context: int, usual: float = 0.0) -> Prior:
    """Nothing known: one second (usual: its ln), sd of the intercept sqrt(60) sigma; variances 3 for features,
    1 for what depends on columns (themselves, squares, products)."""
    return Prior(
        np.array([1 / 60] + [1 / 3] * (d - n_context - 1) + [1.0] * n_context), np.eye(1, d)[0] * usual
    )


def pooled_mean(others: Sequence[Evidence], d: int, n_context: int, usual: float = 0.0) -> Array:
    """What the model does on all other resources together."""
    return posterior(merge(others, d), vague(d, n_context, usual)).mean


def prior_of(
    others: Sequence[Evidence],
    d: int,
    n_context: int,
    given: tuple[float, float, float] | None = None,
    level: tuple[float, float] | None = None,
    usual: float = 0.0,
    slopes: Mapping[int, float] | None = None,
) -> Prior:
    """Vague; else the pooled mean, intercept variance 4, or `expected_level` in its place; the user's
    (ln median, spread, weight) and slopes by index above all."""
    prior = vague(d, n_context, usual)
    if any(o.n > 0 for o in others):
        prior = Prior(np.array([0.25, *prior.l0[1:]]), pooled_mean(others, d, n_context, usual))
        if level is not None:
            prior = Prior(np.array([level[1], *prior.l0[1:]]), np.array([level[0], *prior.mu0[1:]]))
    if given is None:
        return prior
    ln_median, spread, weight = given
    a0 = 2.0 + 0.5 * weight
    l0, mu0 = np.array([weight, *prior.l0[1:]]), np.array([ln_median, *prior.mu0[1:]])
    for i, slope in (slopes or {}).items():
        l0[i], mu0[i] = weight, slope
    return Prior(l0, mu0, a0, a0 * spread**2)


def availability(succeeded: float, failed: float) -> float:
    """Mean of Beta(99 + succeeded, 1 + failed)."""
    return (99.0 + succeeded) / (100.0 + succeeded + failed)
