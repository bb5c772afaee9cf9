"""Two signals: the first token, and what follows it."""

from __future__ import annotations

import math

from tailwise._core.reference.forecast import student_cdf
from tailwise._core.reference.wait import moment_spread, service_mean, service_var

Moments = tuple[float, float]  #: mean and variance


def busy(first: Moments, per_token: Moments, tokens: Moments) -> Moments:
    """Start to end: first token + (tokens - 1) x seconds per token, independent."""
    more = max(tokens[0] - 1.0, 0.0)
    mean_square = (tokens[1] + more**2) * (per_token[1] + per_token[0] ** 2)
    return first[0] + more * per_token[0], first[1] + mean_square - (more * per_token[0]) ** 2


def moments(m: float, s: float) -> Moments:
    """Of exp of (m, s)."""
    return service_mean(m, s), service_var(m, s)


def occupation(busy: Moments) -> tuple[float, float]:
    """(m, s) of the lognormal that the wait of others sees: its mean, its spread at most 1."""
    s = moment_spread(math.sqrt(math.log1p(busy[1] / busy[0] ** 2)))
    return math.log(busy[0]) - 0.5 * s**2, s


def p_within(time: Moments, bound_s: float, dof: float) -> float:
    """P(time <= bound_s): a lognormal of the same moments with the tail of a t."""
    s = math.sqrt(math.log1p(time[1] / time[0] ** 2))
    m = math.log(time[0]) - 0.5 * s**2
    return student_cdf((math.log(bound_s) - m) / s, dof)


def p_all(holds: list[float], available: float) -> float:
    """P(every bound holds), at least: 1 - the sum of what each misses."""
    return available * max(0.0, 1.0 - sum(1.0 - p for p in holds))


def harm(
    n_there: int, first_s: float, first_alone_s: float, token_s: float, token_fuller_s: float, tokens: float
) -> float:
    """Seconds that the jobs already there lose by one more, all medians: each while its own tokens are read (the time
    to the first token less that without own tokens), and over the half of its answer before it as the batch grows."""
    return n_there * (first_s - first_alone_s + 0.5 * tokens * (token_fuller_s - token_s))
