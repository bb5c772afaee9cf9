"""What is ahead of a job."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

NODES, WEIGHTS = np.polynomial.legendre.leggauss(400)  # quadrature on [-1, 1]


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

    The first end of the running jobs (at once while a slot is free) plus what is queued and served before it (all
    of it where jobs are served in order) and ours beyond the slots, spread over the slots.
    """
    parts = [(service_mean(m, s), service_var(m, s)) for p, m, s in queued if in_order or p <= level]
    mean = math.fsum(mean for mean, _ in parts) / slots
    var = math.fsum(var for _, var in parts) / slots**2
    if len(running) < slots:
        return mean, var
    left = [residual(*job) for job in running]
    first, first_var = first_end(left)
    over = (len(running) - slots) * math.fsum(mean for mean, _ in left) / len(running)
    return mean + first + over / slots, var + first_var


def first_end(left: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Of jobs with these (mean, variance) of seconds left: (sum of mean^-2)^-1/2, and its variance to first order."""
    first = math.fsum(mean**-2 for mean, _ in left) ** -0.5
    return first, math.fsum((first / mean) ** 6 * var for mean, var in left)


def soft_wait(
    running: Sequence[Job], n_queued: int, most: int, held: float, queued_tokens: float, limit: float
) -> tuple[float, float]:
    """Mean and variance of the wait on a soft capacity of `most` jobs and `limit` tokens (0 = not limited).

    held, queued_tokens: of the running and of the queued jobs. Jobs end every mean residual / running seconds; as
    many of them are waited for as are ahead in the queue, or as hold what the running and queued ones have too much.
    """
    if len(running) < most and (limit == 0 or held < limit):
        return 0.0, 0.0
    step = math.fsum(residual(*job)[0] for job in running) / len(running) ** 2
    excess = n_queued + 1.0
    if limit and held > 0:
        excess = max(excess, 1.0 + (held + queued_tokens - limit) / (held / len(running)))
    return excess * step, excess * step**2
