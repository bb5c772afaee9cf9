"""When jobs arrive: three streams of a given mean rate, from even to bursty, or the gaps of a recorded one."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["CV", "Stream", "draw_arrivals", "repeat_arrivals"]

Stream = Literal["poisson", "gamma", "modulated"]

CV = 3.0  # of the gaps of "gamma": that of the Mooncake chat log is 3.0, that of Azure's LLM log 1.1
SWING = 0.5  # "modulated": the rate is alternately 1.5 and 0.5 times its mean,
SOJOURN_S = (
    2.0  # for an exponential time of this mean in either state: longer than any deadline but that of batch
)


def draw_arrivals(
    stream: Stream, rate: float, duration_s: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(n,) sorted seconds in [0, duration_s). rate: jobs a second, in the mean."""
    if stream == "poisson":
        return _renewals(lambda n: rng.exponential(1.0 / rate, n), rate, duration_s)
    if stream == "gamma":
        shape = CV**-2
        return _renewals(lambda n: rng.gamma(shape, 1.0 / (rate * shape), n), rate, duration_s)
    # a stream of unit rate, run through the inverse of the integrated rate of the two states
    edges = _renewals(lambda n: rng.exponential(SOJOURN_S, n), 1.0 / SOJOURN_S, duration_s)
    edges = np.concatenate(([0.0], edges, [duration_s]))
    high = (np.arange(len(edges) - 1) + rng.integers(2)) % 2 == 0
    expected = np.cumsum(np.diff(edges) * np.where(high, 1.0 + SWING, 1.0 - SWING)) * rate
    unit = _renewals(lambda n: rng.exponential(1.0, n), 1.0, expected[-1])
    return np.interp(unit, np.concatenate(([0.0], expected)), edges)


def repeat_arrivals(
    trace_s: NDArray[np.float64], rate: float, duration_s: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(n,) seconds in [0, duration_s): the gaps of a trace from a random one on, round its end as often as needed,
    its clock scaled so that the whole trace has this rate. Bursts stay bursts. trace_s: two times or more, rising
    from 0."""
    mean_s = trace_s[-1] / (len(trace_s) - 1)
    # the gap round the end is not in the trace: a mean one
    gaps = np.diff(trace_s, append=trace_s[-1] + mean_s) / (mean_s * rate)
    n_rounds = 1 + int(duration_s / gaps.sum())
    times: NDArray[np.float64] = np.cumsum(np.tile(np.roll(gaps, -int(rng.integers(len(gaps)))), n_rounds))
    return times[times < duration_s]


def _renewals(draw_gaps, mean_rate: float, until: float) -> NDArray[np.float64]:  # type: ignore[no-untyped-def]
    """(n,) the sums of drawn gaps that lie before `until`."""
    sums = np.cumsum(draw_gaps(16 + int(until * mean_rate * 1.1)))
    while sums[-1] < until:
        sums = np.concatenate((sums, sums[-1] + np.cumsum(draw_gaps(16 + int(until * mean_rate * 0.1)))))
    return sums[sums < until]
