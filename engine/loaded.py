"""What jobs would take on resources that are as full as they may be, and how likely they would then be on time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailwise._core.core import Core
from tailwise.numbered import columns_of, features_of, prompt_of
from tailwise.qos import QoS
from tailwise.types import Model

__all__ = ["Belief", "Fill", "Jobs", "Lognormal", "Outlook", "normal_cdf"]

Array = NDArray[np.float64]

N_LEARNED = 8  #: results from which on a profile is known, as in decisions


@dataclass(frozen=True, slots=True)
class Lognormal:
    """ln of n times, or numbers of tokens: location and scale."""

    m: Array
    s: Array

    @classmethod
    def like(cls, mean: Array, var: Array) -> Lognormal:
        """Of these moments."""
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


@dataclass(frozen=True)
class Jobs:
    """Some jobs of one model and class, for all that come like them: n of the `rate` that come in a second.

    x: encoded, (n, n_request). left_s, tpot_s (n,): what bounds the first token, or the end where the class bounds no
    first token, and seconds per token. tokens: of the answers, where the model has two signals. own (n,): tokens that
    each had to have read where it went. lanes (n,): where it went; -1 = nowhere.
    """

    model: Model
    index: int
    qos: QoS
    rate: float
    x: Array
    left_s: Array
    tpot_s: Array
    tokens: Lognormal | None
    own: Array | None
    lanes: NDArray[np.int64]

    @cached_property
    def held(self) -> float:
        """Tokens in the cache of a job in service, in the mean: its prompt and half of its answer."""
        answer = 0.0 if self.tokens is None else 0.5 * self.tokens.mean
        at = prompt_of(self.model)
        if not at:
            return float(np.mean(answer))
        before, feature = features_of(self.model)[: at - 1], features_of(self.model)[at - 1]
        z = self.x[:, at + sum(f.knee for f in before)]
        return float(np.mean((feature.typical * np.exp(z) if feature.typical else np.expm1(z)) + answer))


@dataclass(frozen=True, slots=True)
class Fill:
    """How full a resource is. running: jobs in service that a job finds there. reading: share of the time in which it
    reads prompts; reading_then: the same when the profile was learned. The rest is left for the tokens of answers,
    and what is there to be read grows as reading / (1 - reading)."""

    running: float
    reading: float = 0.0
    reading_then: float = 0.0

    @property
    def slower(self) -> float:
        """Factor on seconds per token."""
        return (1.0 - self.reading_then) / (1.0 - self.reading)


@dataclass(frozen=True, slots=True)
class Outlook:
    """Of n jobs on one resource, without a wait. first_s: expected to what left_s bounds; seconds: to the end;
    on_time: P(all bounds hold)."""

    first_s: Array
    seconds: Array
    on_time: Array


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of some jobs on one resource, as of one moment."""

    jobs: Jobs
    available: float
    known: bool  #: by results there, or a given profile, and not by what holds of any
    column_mean: tuple[float, ...]  #: encoded, of the jobs that ran there
    signals: tuple[tuple[Array, Array, float], ...]  #: mean, factor and scale^2 of ln(seconds)

    @classmethod
    def of(cls, core: Core, jobs: Jobs, lane: int) -> Belief:
        """By the served copies (see `Core.served`): what decisions read."""
        served = [core.served(jobs.index, lane, s) for s in range(len(jobs.model.signals))]
        return cls(
            jobs=jobs,
            available=1.0 / float(served[0]["inv_availability"]),
            known=all(float(of["dof"]) >= 4.0 + N_LEARNED for of in served),
            column_mean=tuple(map(float, served[0]["column_mean"])),
            signals=tuple(map(_posterior, served)),
        )

    def outlook(self, fill: Fill) -> Outlook:
        jobs, x = self.jobs, self._rows(fill, self.jobs.own)
        first = self._time(0, x)
        if jobs.tokens is None:
            return Outlook(first.mean, first.mean, self.available * first.within(jobs.left_s))
        pace = self._time(1, x)
        pace = Lognormal(pace.m + math.log(fill.slower), pace.s)
        more = np.maximum(jobs.tokens.mean - 1.0, 0.0)
        whole = first.mean + more * pace.mean
        square = (jobs.tokens.var + more**2) * (pace.var + pace.mean**2) - (more * pace.mean) ** 2
        missed, first_s, end_s = 1.0 - pace.within(jobs.tpot_s), whole, jobs.left_s
        if jobs.qos.ttft_s < math.inf:
            missed += 1.0 - first.within(jobs.left_s)
            first_s, end_s = first.mean, jobs.left_s + (jobs.qos.deadline_s - jobs.qos.ttft_s)
        missed += 1.0 - Lognormal.like(whole, first.var + square).within(end_s)
        return Outlook(first_s, whole, self.available * np.maximum(0.0, 1.0 - missed))

    @property
    def reading_s(self) -> float:
        """Seconds that reading a job's own tokens takes, in the mean: twice what half of them add to the time to the
        first token. 0 where no column tells."""
        own = self.jobs.own
        if self.jobs.tokens is None or own is None:
            return 0.0
        half_s, all_s = (self._time(0, self._rows(Fill(0.0), k * own)).mean for k in (0.5, 1.0))
        return max(2.0 * float(np.mean(all_s - half_s)), 0.0)

    def _time(self, signal: int, x: Array) -> Lognormal:
        mean, factor, scale2 = self.signals[signal]
        return Lognormal(x @ mean, np.sqrt(scale2 * (1.0 + np.sum((x @ factor.T) ** 2, axis=1))))

    def _rows(self, fill: Fill, own: Array | None) -> Array:
        """Encoded rows (n, d), columns as on a resource so full: those that count jobs say so, tokens in the cache
        are their prompts and half of their answers, tokens to be read the job's own and those that wait to be. Of all
        else the mean of the jobs that ran there."""
        jobs, n = self.jobs, len(self.jobs.x)
        columns, z = columns_of(jobs.model), []
        for (_, scale, *_), column, mean in zip(columns, jobs.model.columns, self.column_mean, strict=True):
            value = np.full(n, max(math.expm1(mean), 0.0) * scale if math.isfinite(mean) else 0.0)
            if column.tracked in ("running", "in_flight"):
                value = np.full(n, fill.running)
            elif column.tracked == "waiting":
                value = np.zeros(n)
            elif column.tracked == "kv_tokens":
                value = np.full(n, fill.running * jobs.held)
            elif column.tracked == "prefill_tokens" and own is not None:
                value = own + fill.reading / (1.0 - fill.reading) * float(np.mean(own))
            z.append(np.minimum(np.log1p(value / scale), 6.0))
        terms = []
        for (*_, square, factor), column_z in zip(columns, z, strict=True):
            terms += [column_z**2] if square else []
            terms += [column_z * jobs.x[:, factor]] if factor else []
        return np.column_stack([jobs.x, *z, *terms]) if z else jobs.x


def _posterior(served: Mapping[str, Any]) -> tuple[Array, Array, float]:
    mean = np.asarray(served["mean"], dtype=np.float64)
    factor = np.zeros((len(mean), len(mean)))
    factor[np.tril_indices(len(mean))] = served["factor"]
    return mean, factor, float(served["scale2"])


def normal_cdf(z: Array) -> Array:
    """P(N <= z), within 1.5e-7 (Abramowitz, Stegun 1964, 7.1.26): numpy has no erf."""
    t = 1.0 / (1.0 + 0.3275911 / math.sqrt(2.0) * np.abs(z))
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    with np.errstate(under="ignore"):
        tail = 0.5 * series * np.exp(-0.5 * z**2)
    return np.where(z < 0.0, tail, 1.0 - tail)
