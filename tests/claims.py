"""Claimed P(on time) against observed, per class, in the small world: for the tests and for bench/claims.py."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tests.world import LOADS, Scenario, World, slow_fail_hang

DURATION_S = 60.0
WARM_S = 5.0
#: Jobs that come last find queues that drain, since nobody follows.
LAST_S = DURATION_S - max(load.qos.deadline_s for load in LOADS)


class Gap(NamedTuple):
    """Mean P(on time), by the forecast alone and as claimed, less the on-time share of a class's admitted jobs."""

    raw: float
    claim: float


def gaps(load: float, events: bool, seed: int) -> dict[str, Gap]:
    """By class. events: a server is slow, then one fails, then one hangs, each for a seventh of the time."""
    story = slow_fail_hang(DURATION_S) if events else ()
    rows = World(Scenario(load=load, duration_s=DURATION_S, events=story), seed).run().of(None, WARM_S)
    judged = ~np.isin(rows["kind"], ["rejected", "open"]) & (rows["arrival_s"] < LAST_S)

    def gap(qos: str) -> Gap:
        mine = judged & (rows["qos"] == qos)
        observed = rows["on_time"][mine].mean()
        return Gap(float(rows["raw"][mine].mean() - observed), float(rows["claim"][mine].mean() - observed))

    return {load.qos.name: gap(load.qos.name) for load in LOADS}


def mean_gaps(load: float, events: bool, seeds: range) -> dict[str, Gap]:
    """The same over several worlds."""
    worlds = [gaps(load, events, seed) for seed in seeds]
    return {name: Gap(*np.mean([world[name] for world in worlds], axis=0)) for name in worlds[0]}
