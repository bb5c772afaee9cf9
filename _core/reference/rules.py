"""The rules of queues that the engine owns: start test, re-decision, hedge."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tailwise._core.reference.wait import residual

__all__ = ["may_start", "mean_residual", "moves"]

End = tuple[float, float, float]  #: m, s of the forecast, then the seconds that the job took


def may_start(n: float, median_s: float, left_s: float, silent_s: float, unprobed_s: float) -> bool:
    """The start test of a job whose turn has come.

    n: effective results of its profile, a given one's weight counted in. silent_s, unprobed_s: seconds since the
    profile last learned anything, and since a job of it last passed as a probe.
    """
    hopeless = n >= 8 and median_s > left_s
    return not hopeless or (silent_s >= 1.0 and unprobed_s >= 1.0)


def moves(here_s: float, best_s: float, bonus: float) -> bool:
    """Whether a queued job leaves for the best other lane, given what each costs without it."""
    return best_s < (1.0 - bonus) * here_s


def mean_residual(ends: Sequence[End], m: float, s: float, age_s: float) -> float:
    """What a running job is expected to take yet. ends: completed jobs of the same resource, oldest first."""
    past = [(mi, si, took) for mi, si, took in ends if math.log(took) > mi + 2 * si]
    weight = [0.99 ** (len(past) - 1 - i) for i in range(len(past))]
    out = [(w, took - math.exp(mi + 2 * si)) for w, (mi, si, took) in zip(weight, past, strict=True)
           if math.log(took) > mi + 4 * si]  # fmt: skip
    body, _ = residual(m, s, age_s)
    if not out:
        return body
    n_out = sum(w for w, _ in out)
    pi = 1.0 if age_s > math.exp(m + 4 * s) else (n_out + 0.5) / (sum(weight) + 1.0)
    return pi * sum(w * excess for w, excess in out) / n_out + (1.0 - pi) * body
