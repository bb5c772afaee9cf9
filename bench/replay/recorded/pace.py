"""What worlds from recorded files share: a trace at another pace, the load it makes, and what goes wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.replay.drawn import capacity
from bench.replay.world import Event

__all__ = ["at_pace", "service_noise", "troubles", "well_rate"]

Floats = NDArray[np.float64]
_GROUPS = 12  # of jobs alike enough to be one row of the linear program


def at_pace(
    arrival_s: Floats, rate_per_s: float, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.int64]]:
    """(n,) arrival times from 0 and (n,) the rows that they are of: the whole trace once, from a random row on and
    round its end, its clock scaled so that it has this rate. Bursts stay bursts."""
    n = len(arrival_s)
    rows = (np.arange(n) + int(rng.integers(n))) % n
    gaps = np.diff(arrival_s, append=arrival_s[-1] + arrival_s[-1] / (n - 1))[rows]
    times = np.concatenate(([0.0], np.cumsum(gaps[:-1]))) * n / (gaps.sum() * rate_per_s)
    return times, rows


def well_rate(mean_s: Floats, slots: NDArray[np.int64], interference: Floats) -> float:
    """Jobs a second that the well fleet serves at most with all its slots in use, each job where that serves most.

    mean_s (n, K): of jobs like those to come; they count in `_GROUPS` groups of alike size and the lanes they run on.
    """
    kinds, kind = np.unique(np.isfinite(mean_s), axis=0, return_inverse=True)
    work = np.where(np.isfinite(mean_s), mean_s, np.nan)
    order = np.lexsort((np.nanmean(work, axis=1), kind.ravel()))
    parts = [
        part for k in range(len(kinds)) for part in np.array_split(order[kind.ravel()[order] == k], _GROUPS)
    ]
    parts = [part for part in parts if len(part)]
    seconds = np.array([mean_s[part].mean(axis=0) for part in parts])
    shares = np.array([len(part) for part in parts]) / len(mean_s)
    return capacity(seconds * (1.0 + interference * (slots - 1)), shares, slots)


def service_noise(sigma: float, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Factors of mean 1, ln of which has this spread, each (job, resource) its own."""
    return np.exp(sigma * rng.standard_normal(shape) - 0.5 * sigma**2)


def troubles(n_lanes: int, duration_s: float, rng: np.random.Generator) -> tuple[Event, ...]:
    """Of three resources one is three times slower for a fifth of the time, one fails fast and one hangs for a
    tenth each, in turn; of a smaller fleet one has more than one of these fates."""
    slows, fails, hangs = (int(k) for k in np.resize(rng.permutation(n_lanes), 3))
    t = duration_s / 10.0
    return (
        Event("slow", slows, 2.0 * t, 4.0 * t, 3.0),
        Event("fails", fails, 5.0 * t, 6.0 * t),
        Event("hangs", hangs, 7.0 * t, 8.0 * t),
    )
