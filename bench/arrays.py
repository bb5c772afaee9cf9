"""The same decision in NumPy and in numba: what one would write without this library."""

from __future__ import annotations

import math
from collections.abc import Callable

import numba
import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from bench.subject import DEADLINE_S, PATIENCE, Subject

__all__ = ["Decide", "numba_decide", "numpy_decide"]

Floats = NDArray[np.floating]
Decide = Callable[[Floats], tuple[int, float]]


@register_jitable
def student_cdf(t: float, dof: float) -> float:
    """Hill's Algorithm 395, as in the package."""
    a = dof - 0.5
    b = 48.0 * a * a
    y = a * math.log(1.0 + t * t / dof)
    z = ((((-0.4 * y - 3.3) * y - 24.0) * y - 85.5) / (0.8 * y * y + 100.0 + b) + y + 3.0) / b + 1.0
    z *= math.sqrt(y)
    return 0.5 * math.erfc(-(z if t >= 0.0 else -z) * 0.7071067811865476)


@register_jitable
def p_on_time(m: float, scale2: float, q: float, wait_s: float, dof: float, inv_availability: float) -> float:
    """Moment-matched completion against the deadline, for the chosen lane."""
    s = math.sqrt(scale2 * (1.0 + q))
    bounded = min(s, 1.0)
    mean = math.exp(m + 0.5 * bounded * bounded)
    var = mean * mean * math.expm1(bounded * bounded)
    total = wait_s + mean
    s2 = math.log1p(var / (total * total))
    m_total = math.log(total) - 0.5 * s2
    return student_cdf((math.log(DEADLINE_S) - m_total) / math.sqrt(s2), dof) / inv_availability


def numpy_decide(subject: Subject) -> Decide:
    """Whole-array operations over lanes."""
    a = subject.arrays
    k, d = subject.n_resources, subject.model.d
    n_columns = len(subject.model.columns)
    mean, typical = a["mean"][:k].astype(np.float64), a["typical"]
    wait, inv_slots, inv_availability = a["wait"][:, :k], a["inv_slots"][:k], a["inv_availability"][:k]
    columns, mask, crowd = a["columns"][:, :k], subject.mask_array, a["crowd"][:k]
    factors = np.zeros((k, d, d))
    factors[:, *np.tril_indices(d)] = a["factor"]

    def decide(u: Floats) -> tuple[int, float]:
        X = np.ones((k, d))
        X[:, 1 : d - n_columns] = np.log(u / typical)
        if n_columns:
            given = np.minimum(np.log1p(subject.Z[0] / 512.0), 6.0)  # type: ignore[index]
            Z = np.vstack([columns, given])
            X[:, d - n_columns :] = np.where(np.isnan(Z), a["column_mean"][:, :k], Z).T
        m = np.einsum("kd,kd->k", X, mean)
        waits = (np.maximum(wait[0] + wait[1] * (1.0 - wait[2]), 0.0) + wait[3]) * inv_slots
        service = np.exp(m)
        cost = (waits + service * (1.0 + PATIENCE * crowd)) * inv_availability
        cost = np.where(waits + 2.0 * service > DEADLINE_S, 10.0 * cost, cost)
        if mask is not None:
            cost = np.where(mask, cost, np.inf)
        lane = int(np.argmin(cost))
        q = float(np.sum((factors[lane] @ X[lane]) ** 2))
        return lane, p_on_time(
            float(m[lane]), float(a["scale2"][lane]), q, float(waits[lane]), float(a["dof"][lane]),
            float(inv_availability[lane]),
        )  # fmt: skip

    return decide


def numba_decide(subject: Subject) -> Decide:
    """One compiled loop, float32, lanes innermost as in the package.

    Numba takes about 60 ns to unbox an array argument, so the state is packed: float32 by lane, and float64 by lane.
    What never changes (typical values, sizes) is compiled in.
    """
    a = subject.arrays
    k, d, n_columns = subject.n_resources, subject.model.d, len(subject.model.columns)
    n_request, typical = d - n_columns, a["typical"]
    column, known, scale2 = d, d + n_columns, d + 2 * n_columns
    dof, inv_avail = scale2 + 1, scale2 + 2

    @numba.njit
    def kernel(u, state, line, factors, mask, given):  # type: ignore[no-untyped-def]
        x, m = np.ones(d), state[0].copy()
        for i in range(1, n_request):
            x[i] = math.log(u[i - 1] / typical[i - 1])
        for i in range(1, n_request):
            xi, slope = np.float32(x[i]), state[i]
            for lane in range(k):
                m[lane] += xi * slope[lane]
        for i in range(n_columns):
            for lane in range(k):
                v = state[column + i, lane]
                if i == n_columns - 1:
                    v = np.float32(min(math.log1p(given[0, lane] / 512.0), 6.0))
                v = state[known + i, lane] if math.isnan(v) else v
                m[lane] += v * state[n_request + i, lane]
        residual, rate, since, ahead, inv_slots = line[0], line[1], line[2], line[3], line[4]
        inv_availability, crowd = state[inv_avail], state[inv_avail + 1]
        best, chosen, chosen_wait = np.inf, 0, 0.0
        for lane in range(k):
            left = max(residual[lane] + rate[lane] * (1.0 - since[lane]), 0.0)
            wait = (left + ahead[lane]) * inv_slots[lane]
            service = math.exp(m[lane])
            cost = (wait + service * (1.0 + PATIENCE * crowd[lane])) * inv_availability[lane]
            cost = 10.0 * cost if wait + 2.0 * service > DEADLINE_S else cost
            if mask[lane] and cost < best:
                best, chosen, chosen_wait = cost, lane, wait
        for i in range(n_columns):
            x[n_request + i] = state[column + i, chosen]
            if i == n_columns - 1:
                x[n_request + i] = min(math.log1p(given[0, chosen] / 512.0), 6.0)
        q, f = 0.0, 0
        for i in range(d):
            v = 0.0
            for j in range(i + 1):
                v += factors[chosen, f] * x[j]
                f += 1
            q += v * v
        return chosen, p_on_time(
            m[chosen], state[scale2, chosen], q, chosen_wait, state[dof, chosen], inv_availability[chosen]
        )

    by_lane = [
        a["mean"].T[:, :k],
        np.zeros((n_columns, k)),  # stored columns; the last one is given and stays unread
        a["column_mean"][:n_columns, :k],
        np.stack([a["scale2"], a["dof"], a["inv_availability"], a["crowd"]])[:, :k],
    ]
    if n_columns:
        by_lane[1][:-1] = a["columns"][:, :k]
    state = np.concatenate(by_lane).astype(np.float32)
    line = np.concatenate([a["wait"], a["inv_slots"][None]])[:, :k].copy()
    mask = np.ones(k, dtype=bool) if subject.mask_array is None else subject.mask_array
    given = np.zeros((1, k)) if subject.Z is None else subject.Z
    return lambda u: kernel(u, state, line, a["factor"], mask, given)
