"""The table of a class's claims: what became of jobs with forecasts like this one."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tailwise._core.reference.forecast import student_cdf

Table = NDArray[np.float64]

SHAPE = (12, 8)  #: along u and h
BEND, LEAST_U, MOST_U = 3.0, -3.0, 16.0
TAU_S, FLOOR = 8.0, 64.0
CLASS_PRIOR, CELL_PRIOR = 8.0, 1.0


def spreads_left(left_s: float, wait_s: float, service_s: float, spread: float) -> float:
    """u: by how many spreads of the service the time left exceeds wait and service; service_s is its mean."""
    s = min(spread, 1.0)
    return (math.log(left_s / (wait_s + service_s)) + s * s / 2) / spread if left_s > 0.0 else -math.inf


def bend(u: float) -> float:
    return math.copysign(1.0, u) if math.isinf(u) else u / (BEND + abs(u))


def place(u: float, h: float) -> tuple[float, float]:
    """In cells along both axes."""
    at = (bend(u) - bend(LEAST_U)) / (bend(MOST_U) - bend(LEAST_U))
    return (SHAPE[0] - 1) * min(max(at, 0.0), 1.0), (SHAPE[1] - 1) * min(max(h, 0.0), 1.0)


def shares(at: tuple[float, float]) -> Table:
    """Bilinear weights of the cells about a place: a hat of width one on each axis."""
    hats = [np.maximum(0.0, 1.0 - np.abs(np.arange(n) - x)) for n, x in zip(SHAPE, at, strict=True)]
    return np.outer(*hats)


def kept_claims(settled: float, age_s: float) -> float:
    """What time alone leaves of a class's counts."""
    keep = math.exp(-max(age_s, 0.0) / TAU_S)
    return max(keep, min(1.0, FLOOR / settled)) if settled > 0.0 else 1.0


def rising(v: NDArray[np.float64], w: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest values that do not fall, in least squares weighted by w: the largest over starts up to k of the
    least mean over ends from k on."""
    n = len(v)

    def mean(i: int, j: int) -> float:
        return float(np.average(v[i : j + 1], weights=w[i : j + 1]))

    return np.array([max(min(mean(i, j) for j in range(k, n)) for i in range(k + 1)) for k in range(n)])


def claim_values(settled: Table, raw: Table, on_time: Table) -> Table:
    """P(on time | available) by cell. A cell leans on its row, a row on its own raw P less what that of the whole
    class is wrong by; then pooled to fall along h, and to rise along u, and where that undid the former the middle
    of the envelopes."""
    shift = (on_time.sum() - raw.sum()) / (settled.sum() + CLASS_PRIOR)
    bent = np.linspace(bend(LEAST_U), bend(MOST_U), SHAPE[0])
    unseen = np.array([student_cdf(BEND * b / (1.0 - abs(b)), 12.0) for b in bent])
    row = (raw.sum(1) + unseen) / (settled.sum(1) + 1.0) + shift
    row = (on_time.sum(1) + CELL_PRIOR * np.clip(row, 0.0, 1.0)) / (settled.sum(1) + CELL_PRIOR)
    v = (on_time + CELL_PRIOR * row[:, None]) / (settled + CELL_PRIOR)
    w = settled + 1e-3
    v = np.array([-rising(-values, weights) for values, weights in zip(v, w, strict=True)])
    v = np.array([rising(values, weights) for values, weights in zip(v.T, w.T, strict=True)]).T
    above = np.maximum.accumulate(v[:, ::-1], axis=1)[:, ::-1]
    below = np.minimum.accumulate(v, axis=1)
    return np.minimum((above + below) / 2, 1.0)


def claim_counts(
    reports: Iterable[tuple[float, tuple[float, float], float, float, bool]], start_s: float
) -> tuple[Table, Table, Table]:
    """(settled, raw, on_time) by cell as of the last rebuild, and what was reported since. reports in order:
    (second, place, raw P, availability, on time); a rebuild comes with the 64th report, or a second after the
    last."""
    settled, raw, on_time = (np.zeros(SHAPE) for _ in range(3))
    built_s, n_new = start_s, 0
    for at_s, at, p, availability, met in reports:
        share = shares(at)
        settled, raw, on_time = settled + share * availability, raw + share * p, on_time + share * met
        n_new += 1
        if n_new >= 64 or at_s - built_s > 1.0:
            keep = kept_claims(settled.sum(), at_s - built_s)
            settled, raw, on_time = settled * keep, raw * keep, on_time * keep
            built_s, n_new = at_s, 0
    return settled, raw, on_time


def last_rebuild(
    reports: Iterable[tuple[float, tuple[float, float], float, float, bool]], start_s: float
) -> int:
    """After how many reports the values were worked out last."""
    built_s, n_new, last = start_s, 0, 0
    for n, (at_s, *_) in enumerate(reports, 1):
        n_new += 1
        if n_new >= 64 or at_s - built_s > 1.0:
            built_s, n_new, last = at_s, 0, n
    return last
