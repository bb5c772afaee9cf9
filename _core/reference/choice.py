"""Which lane, given what is predicted of each."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tailwise._core.reference.encoding import Array

TIE = 1e-4  # relative: costs this close are equal
ENDLESS_S = 1000.0  # a budget as good as none


def favour_untried(
    service_s: Array, candidate: NDArray[np.bool_], untried: NDArray[np.bool_], n_open: NDArray[np.int64]
) -> Array:
    """Median service (K,) with every idle, untried candidate at most 0.98 of the fastest tried one."""
    tried = service_s[candidate & ~untried]
    best = 0.98 * float(tried.min()) if tried.size else math.inf
    return np.where(candidate & untried & (n_open == 0), np.minimum(service_s, best), service_s)


def patience(budget_s: float) -> float:
    """Cube root of the seconds that a job has."""
    return float(np.cbrt(np.clip(budget_s, 1e-6, ENDLESS_S)))


def urgency(budget_s: float, left_s: float, wait_s: float) -> float:
    """What a second costs a job that waits, left_s before its deadline: 1 / patience of what its wait leaves it,
    which is a tenth of its budget at least."""
    return 1.0 / patience(max(left_s - wait_s, 0.1 * budget_s))


def cost(
    wait_s: Array,
    service_s: Array,
    crowd: Array,
    patience: float,
    left_s: float,
    available: Array,
    offset_s: Array,
) -> Array:
    """What a job costs all jobs on each lane, (K,): its wait and service, and its service once more for each of those
    that wait there per slot, by how urgent they are against it: `crowd` is the sum of their urgencies a slot,
    `patience` its own. Ten times that where wait + 2 services exceed the time left; inf = it heeds no deadline. Over
    availability, plus offset; offset +inf = no candidate."""
    seconds = wait_s + service_s * (1.0 + patience * crowd)
    return np.where(is_late(wait_s, service_s, left_s), 10.0, 1.0) * seconds / available + offset_s


def is_late(wait_s: Array, service_s: Array, left_s: float) -> NDArray[np.bool_]:
    """Where a job is not going to be in time: a service of twice the median would be late."""
    return wait_s + 2.0 * service_s > left_s


def choose(cost_s: Array, n_open: NDArray[np.int64]) -> set[int]:
    """The lanes among which the generator draws: least cost, ties within TIE to the fewest open jobs."""
    least = cost_s.min()
    if not math.isfinite(least):
        return set()
    near = np.flatnonzero(cost_s <= least * (1.0 + TIE))
    return {int(lane) for lane in near if n_open[lane] == n_open[near].min()}


def best_among(value: Array, on_time: Array, p: float, cost_s: Array) -> set[int]:
    """The lanes that an objective leaves: the least value, within TIE, of those that end on time with probability p;
    the most likely one where none does. value (K,): what is minimised; cost_s +inf = no candidate."""
    left = np.isfinite(cost_s)
    feasible = left & (on_time >= p)
    if not feasible.any():
        return {int(np.argmax(np.where(left, on_time, -1.0)))} if left.any() else set()
    least = value[feasible].min()
    return {int(lane) for lane in np.flatnonzero(feasible & (value <= least + TIE * abs(least)))}
