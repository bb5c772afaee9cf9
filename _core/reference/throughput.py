"""Items per second of busy time, from the completions themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwise._core.reference.belief import LEAST_N, kept
from tailwise._core.reference.encoding import Array


@dataclass(frozen=True)
class Work:
    """Completions of one profile: items (n,), seconds from start to end (n,), weights (n,)."""

    items: Array
    seconds: Array
    w: Array

    @classmethod
    def none(cls) -> Work:
        return cls(np.empty(0), np.empty(0), np.empty(0))


def fade_work(work: Work, age_s: float, tau_s: float) -> Work:
    """The same completions, age_s later."""
    return Work(work.items, work.seconds, work.w * kept(float(work.w.sum()), age_s, tau_s))


def discount_work(work: Work) -> Work:
    """After an alarm: together worth at most LEAST_N jobs."""
    n = float(work.w.sum())
    return Work(work.items, work.seconds, work.w * min(1.0, LEAST_N / n)) if n > 0 else work


def observe_work(work: Work, items: float, seconds: float) -> Work:
    """One completion more."""
    return Work(np.append(work.items, items), np.append(work.seconds, seconds), np.append(work.w, 1.0))


def throughput(work: Work, items: float, service_s: float) -> float:
    """With the request asked about as one job more."""
    return (float(work.w @ work.items) + items) / (float(work.w @ work.seconds) + service_s)
