"""Readable answers: what is believed of a profile."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailwise._core.core import LIMITS, Core, student_q
from tailwise.errors import InputError
from tailwise.validate import as_number

__all__ = ["LengthSummary", "ProfileSummary"]


@dataclass(frozen=True, slots=True)
class ProfileSummary:
    """What is believed of one (resource, model) at given features."""

    resource: str
    model: str
    source: str  #: "data", "given", "pooled" (the model on other resources) or "unknown"
    n: float  #: effective number of completions, after forgetting
    n_results: int  #: completed and failed, ever
    median_s: float
    mean_s: float
    spread: float  #: scale of ln(seconds)
    dof: float
    availability: float
    throughput_per_s: float  #: items per busy second, one job like this counted in
    load_s: float = 0.0  #: what its next job waits for it to be loaded, see `Engine.unloaded`; 0 = it is

    def quantile(self, probability: float) -> float:
        """Service seconds that are not exceeded with `probability` in (0, 1). Raises InputError."""
        p = as_number(probability)
        if not 0.0 < p < 1.0:
            raise InputError(f"probability={probability!r}: a number in (0, 1) is expected")
        t = student_q(NormalDist().inv_cdf(p), self.dof)
        return _seconds(math.log(self.median_s) + self.spread * t)

    def __str__(self) -> str:
        return (
            f"{self.model} on {self.resource}: median {self.median_s:.4g} s, "
            f"90% within {self.quantile(0.9):.4g} s, 99% within {self.quantile(0.99):.4g} s "
            f"({self.source}, n = {self.n:.1f}, availability {self.availability:.3f})"
        )


@dataclass(frozen=True, slots=True)
class LengthSummary:
    """How long answers of a model are, in tokens: ln(tokens) is a Student-t."""

    model: str
    location: float
    spread: float
    dof: float
    n: float  #: effective number of answers seen; 0 = none, and 128 tokens is a guess

    @property
    def median(self) -> float:
        """Tokens that half of the answers do not exceed."""
        return math.exp(self.location)

    @property
    def mean(self) -> float:
        """Expected tokens, with the spread taken as at most 1, as where waits are worked out."""
        return math.exp(self.location + 0.5 * min(self.spread, 1.0) ** 2)


def occupied_s(core: Core, model: int, lane: int, x: NDArray[np.float64], n_signals: int) -> float:
    """Expected seconds from start to end at encoded features x (d,); of an answer, to its last token."""
    means = []
    for signal in range(n_signals):
        location, spread = _forecast(core.posterior(model, lane, signal), x)
        means.append(_mean_s(location, spread))
    if n_signals == 1:
        return means[0]
    location, spread, *_ = core.length(model, x)
    return means[0] + max(_mean_s(location, spread) - 1.0, 0.0) * means[1]


def _forecast(raw: dict[str, Any], x: NDArray[np.float64]) -> tuple[float, float]:
    """Location and scale of ln(seconds)."""
    mean = np.asarray(raw["mean"])
    d = len(mean)
    factor = np.zeros((d, d))
    factor[_triangle(d)] = raw["factor"]
    return float(mean @ x), math.sqrt(float(raw["scale2"]) * (1.0 + float(np.sum((factor @ x) ** 2))))


@cache
def _triangle(d: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where a packed lower triangle goes: numpy takes longer to say it than all the rest of a summary."""
    rows, columns = np.tril_indices(d)
    return rows, columns


def _mean_s(location: float, spread: float) -> float:
    return _seconds(location + 0.5 * min(spread, 1.0) ** 2)


def summarise(
    resource: str,
    model: str,
    x: NDArray[np.float64],
    raw: dict[str, Any],
    given: bool,
    throughput_per_s: float,
    load_s: float,
) -> ProfileSummary:
    """Evaluates a posterior (see `Core.posterior`) at encoded features x (d,)."""
    location, spread = _forecast(raw, x)
    n = float(raw["n"])
    succeeded, failed = float(raw["succeeded"]), float(raw["failed"])
    source = "data" if n > 0 else "given" if given else "pooled" if raw["n_pool"] > 0 else "unknown"
    return ProfileSummary(
        resource=resource,
        model=model,
        source=source,
        n=n,
        n_results=int(raw["n_results"]),
        median_s=_seconds(location),
        mean_s=_mean_s(location, spread),
        spread=spread,
        dof=float(raw["dof"]),
        availability=(99.0 + succeeded) / (100.0 + succeeded + failed),
        throughput_per_s=throughput_per_s,
        load_s=load_s,
    )


def _seconds(ln: float) -> float:
    """exp, held where the core holds its forecasts: extrapolation far outside the data must not overflow."""
    return math.exp(max(-LIMITS["ln_service"], min(LIMITS["ln_service"], ln)))
