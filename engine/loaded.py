"""What jobs would take on resources that are as full as they may be, and how likely they would then be on time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailwise._core.core import Core
from tailwise.numbered import columns_of, features_of, prompt_of
from tailwise.qos import QoS
from tailwise.types import Model

__all__ = ["Jobs", "Lognormal", "Outlook", "bearable", "normal_cdf", "outlook"]

Array = NDArray[np.float64]

N_LEARNED = 8  #: results from which on a profile is known, as in decisions


@dataclass(frozen=True, slots=True)
class Lognormal:
    """ln of n times, or numbers of tokens: location and scale."""

    m: Array
    s: Array

    @classmethod
    def of(cls, served: dict[str, NDArray[np.float32]], x: Array) -> Lognormal:
        """By a served copy (see `Core.served`) at x (n, d)."""
        d = x.shape[1]
        factor = np.zeros((d, d))
        factor[np.tril_indices(d)] = served["factor"]
        scale2 = float(served["scale2"])
        return cls(
            x @ served["mean"].astype(float), np.sqrt(scale2 * (1.0 + np.sum((x @ factor.T) ** 2, axis=1)))
        )

    @classmethod
    def like(cls, mean: Array, var: Array) -> Lognormal:
        """A lognormal of these moments."""
        s2 = np.log1p(var / mean**2)
        return cls(np.log(mean) - 0.5 * s2, np.sqrt(s2))

    @property
    def mean(self) -> Array:
        """Its spread at most 1, as wherever waits are worked out."""
        return np.exp(self.m + 0.5 * np.minimum(self.s, 1.0) ** 2)

    @property
    def var(self) -> Array:
        spread: Array = np.minimum(self.s, 1.0)
        return self.mean**2 * np.expm1(spread**2)

    def within(self, bound_s: Array) -> Array:
        """P(time <= bound_s)."""
        with np.errstate(divide="ignore"):  # nothing left: ln 0
            return normal_cdf((np.log(np.maximum(bound_s, 0.0)) - self.m) / self.s)


@dataclass(frozen=True, slots=True)
class Jobs:
    """Some jobs of one model and class, for all that come like them. x: encoded, (n, n_request). left_s, tpot_s: what
    bounds the first token, or the end where the class bounds no first token, and seconds per token, (n,)."""

    model: Model
    index: int
    qos: QoS
    x: Array
    left_s: Array
    tpot_s: Array
    tokens: Lognormal | None  #: of the answers, where the model has two signals

    @property
    def held(self) -> float:
        """Tokens in the cache of a job in service, in the mean: its prompt and half of its answer."""
        tokens = 0.0 if self.tokens is None else 0.5 * self.tokens.mean
        at = prompt_of(self.model)
        if not at:
            return float(np.mean(tokens))
        before, feature = features_of(self.model)[: at - 1], features_of(self.model)[at - 1]
        z = self.x[:, at + sum(f.knee for f in before)]
        return float(np.mean((feature.typical * np.exp(z) if feature.typical else np.expm1(z)) + tokens))


@dataclass(frozen=True, slots=True)
class Outlook:
    """Of n jobs on one resource. seconds: expected from start to end; on_time: P(all bounds hold), without a wait."""

    seconds: Array
    on_time: Array
    known: bool  #: by results there, or a given profile, and not by what holds of any


def outlook(core: Core, jobs: Jobs, lane: int, running: float) -> Outlook:
    """Of jobs that find `running` others in service on a lane."""
    signals = [core.served(jobs.index, lane, s) for s in range(len(jobs.model.signals))]
    known = all(float(served["dof"]) >= 4.0 + N_LEARNED for served in signals)
    available = 1.0 / float(signals[0]["inv_availability"])
    x = _rows(jobs, signals[0], running)
    first = Lognormal.of(signals[0], x)
    if jobs.tokens is None:
        return Outlook(first.mean, available * first.within(jobs.left_s), known)
    per_token = Lognormal.of(signals[1], x)
    more = np.maximum(jobs.tokens.mean - 1.0, 0.0)
    whole = first.mean + more * per_token.mean
    square = (jobs.tokens.var + more**2) * (per_token.var + per_token.mean**2) - (more * per_token.mean) ** 2
    missed = 1.0 - per_token.within(jobs.tpot_s)
    end_s = jobs.left_s
    if jobs.qos.ttft_s < math.inf:
        missed += 1.0 - first.within(jobs.left_s)
        end_s = jobs.left_s + (jobs.qos.deadline_s - jobs.qos.ttft_s)
    missed += 1.0 - Lognormal.like(whole, first.var + square).within(end_s)
    return Outlook(whole, available * np.maximum(0.0, 1.0 - missed), known)


def _rows(jobs: Jobs, served: dict[str, NDArray[np.float32]], running: float) -> Array:
    """Encoded rows (n, d), the columns as with `running` jobs in service: those that count jobs say so, and tokens
    in the cache are their prompts and half of their answers. Of all else the mean of the jobs that ran there."""
    n = len(jobs.x)
    columns, z = columns_of(jobs.model), []
    seen = [float(mean) for mean in served["column_mean"]]
    for (_, scale, _, _, _), column, mean in zip(columns, jobs.model.columns, seen, strict=True):
        value = np.full(n, max(math.expm1(mean), 0.0) * scale if math.isfinite(mean) else 0.0)
        if column.tracked in ("running", "in_flight"):
            value = np.full(n, running)
        elif column.tracked == "waiting":
            value = np.zeros(n)
        elif column.tracked == "kv_tokens":
            value = np.full(n, running * jobs.held)
        z.append(np.minimum(np.log1p(value / scale), 6.0))
    terms = []
    for (_, _, _, square, factor), column_z in zip(columns, z, strict=True):
        terms += [column_z**2] if square else []
        terms += [column_z * jobs.x[:, factor]] if factor else []
    return np.column_stack([jobs.x, *z, *terms]) if z else jobs.x


def normal_cdf(z: Array) -> Array:
    """P(N <= z), within 1.5e-7 (Abramowitz, Stegun 1964, 7.1.26): numpy has no erf."""
    t = 1.0 / (1.0 + 0.3275911 / math.sqrt(2.0) * np.abs(z))
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    with np.errstate(under="ignore"):
        tail = 0.5 * series * np.exp(-0.5 * z**2)
    return np.where(z < 0.0, tail, 1.0 - tail)


def bearable(core: Core, kinds: Sequence[Jobs], lane: int, most: float) -> float:
    """How many jobs at once a resource with a soft capacity may serve, at most `most`, so that of each class half of
    what may miss its bounds does: the other half is for those that wait. A class that misses more of them alone there
    has no say. The bound of the tightest class holds for all, as in decisions."""
    n = most
    for jobs in kinds:
        enough = 0.5 * (1.0 + jobs.qos.on_time)
        low, high = 1.0, n
        if _kept(core, jobs, lane, high) >= enough or _kept(core, jobs, lane, low) < jobs.qos.on_time:
            continue
        while high > 1.05 * low:
            middle = math.sqrt(low * high)
            low, high = (middle, high) if _kept(core, jobs, lane, middle) >= enough else (low, middle)
        n = low
    return n


def _kept(core: Core, jobs: Jobs, lane: int, n: float) -> float:
    return float(np.mean(outlook(core, jobs, lane, n - 1.0).on_time))
