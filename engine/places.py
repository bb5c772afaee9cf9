"""How many jobs at once a resource may serve, and how full it then is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tailwise._core.core import Core
from tailwise.loaded import Belief, Fill, Jobs
from tailwise.types import Resource

__all__ = ["Place"]

LEAST_SLOTS = 1e-3  #: of a resource that is full of others' jobs
MOST_READING = 0.9  #: share of the time that a resource is taken to have read prompts, at most
CLOSE = 1.1  #: factor within which a soft capacity is found: less than what two looks at one world differ by


@dataclass(frozen=True, slots=True)
class Place:
    """A resource that takes jobs. slots: how many at once, others' taken off; fill: as one of so many finds it;
    beliefs: of the kinds of jobs that it can run, by their place among all."""

    slots: float
    fill: Fill
    beliefs: Mapping[int, Belief]

    @classmethod
    def of(cls, core: Core, kinds: Sequence[Jobs], lane: int, resource: Resource) -> Place:
        beliefs = {
            k: Belief.of(core, jobs, lane)
            for k, jobs in enumerate(kinds)
            if lane in core.candidates(jobs.index)
        }
        fill_at = _filling(list(beliefs.values()), lane)
        if resource.max_running is None:
            slots = max(resource.slots - core.foreign(lane)["running"], LEAST_SLOTS)
        else:
            most = float(resource.max_running)
            if resource.kv_tokens is not None and beliefs:
                most = min(
                    most, max(1.0, resource.kv_tokens / max(1.0, *(b.jobs.held for b in beliefs.values())))
                )
            slots = _bearable(list(beliefs.values()), fill_at, most)
        return cls(slots, fill_at(slots), beliefs)


def _filling(beliefs: Sequence[Belief], lane: int) -> Callable[[float], Fill]:
    """How full a resource is by the number n of jobs in service.

    Answers come at n / (seconds that each takes), and each has its own tokens read first, one answer after the other,
    which takes the tokens of the others some of the time: more of it the more come, and so the longer each takes.
    """
    streams = [b for b in beliefs if b.jobs.tokens is not None]
    rate = sum(b.jobs.rate for b in streams)
    reading_s = [b.reading_s for b in streams]
    each_s = sum(b.jobs.rate * s for b, s in zip(streams, reading_s, strict=True)) / rate if streams else 0.0
    here = [b.jobs.rate * float(np.mean(b.jobs.lanes == lane)) for b in streams]
    now = min(sum(r * s for r, s in zip(here, reading_s, strict=True)), MOST_READING)

    def fill_at(n: float) -> Fill:
        running = max(n - 1.0, 0.0)
        if each_s == 0.0:
            return Fill(running)
        looks = [(b.jobs.rate / rate, b.outlook(Fill(running, now, now))) for b in streams]
        first_s = sum(share * float(np.mean(look.first_s)) for share, look in looks)
        rest_s = sum(share * float(np.mean(look.seconds - look.first_s)) for share, look in looks)
        low, high = 0.0, 0.999
        for _ in range(20):  # the flow falls as the share is taken for higher
            middle = 0.5 * (low + high)
            flow = n / (first_s + rest_s * (1.0 - now) / (1.0 - middle))
            low, high = (middle, high) if flow * each_s > middle else (low, middle)
        return Fill(running, low, now)

    return fill_at


def _bearable(beliefs: Sequence[Belief], fill_at: Callable[[float], Fill], most: float) -> float:
    """How many jobs at once a resource with a soft capacity may serve, at most `most`: so many that of each class
    half of what may miss its bounds does, beyond those that do alone there; the other half is for those that wait.
    The tightest class holds for all, as in decisions."""
    n = most
    for belief in beliefs:

        def kept(n: float, belief: Belief = belief) -> float:
            return float(np.mean(belief.outlook(fill_at(n)).on_time))

        enough = kept(1.0) - 0.5 * (1.0 - belief.jobs.qos.on_time)
        if kept(n) >= enough:
            continue
        low, high = 1.0, n
        while high > CLOSE * low:
            middle = math.sqrt(low * high)
            low, high = (middle, high) if kept(middle) >= enough else (low, middle)
        n = low
    return n
