"""Jobs that others put on a resource, from what it reports."""

from __future__ import annotations

import math
from collections.abc import Sequence

WORTH = 8.0  # mean services after which a report counts 1 / e

Stay = tuple[float, float | None, float | None]  #: of one own job: arrival, start, end; None = not yet


def own_at(stays: Sequence[Stay], at_s: float) -> tuple[int, int]:
    """(running, waiting) own jobs on a first come, first served resource at a moment."""
    there = [(start, end) for arrival, start, end in stays if arrival <= at_s and (end is None or end > at_s)]
    running = sum(start is not None and start <= at_s for start, _ in there)
    return running, len(there) - running


def foreign(running: float, waiting: float, own: tuple[int, int]) -> tuple[float, float]:
    """Others' (running, waiting) where both are reported: together the surplus over ours together."""
    surplus = max(running + waiting - sum(own), 0.0)
    others_running = min(max(running - own[0], 0.0), surplus)
    return others_running, surplus - others_running


def foreign_ahead(
    jobs: tuple[float, float], age_s: float, services_s: Sequence[float], slots: int, own_running: int
) -> tuple[float, float]:
    """(wait mean, variance) others' jobs add on a lane whose slots our own jobs fill, or of which they have none.

    jobs: (running, waiting) as reported age_s ago, each still there with probability exp(-age / (WORTH mean)).
    services_s: own services, of which theirs are taken to be more. A running one is met in its middle.
    """
    mean = math.fsum(services_s) / len(services_s)
    square = math.fsum(s * s for s in services_s) / len(services_s)
    worth = math.exp(-age_s / (WORTH * mean))
    left = square / (2.0 * mean)
    busy = min(max(own_running + jobs[0] * worth - slots + 1.0, 0.0), 1.0)
    over = min(max(own_running + jobs[0] * worth - slots, 0.0), jobs[0] * worth)
    first = left / math.sqrt(slots - own_running) if own_running < slots else 0.0
    total = slots * busy * first + over * left + jobs[1] * worth * mean
    var = jobs[0] * worth * (left**2 + (1 - worth) * left**2)
    var += jobs[1] * worth * (square - mean**2 + (1 - worth) * mean**2)
    return total / slots, var / slots**2
