"""Guarantee 10, of hanging: a resource that hangs gets at most a small, stated share of the traffic, though it never
reports anything and nobody gives its jobs up."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tailwise as tw
from tests.later import Later

RATE, KNOWN_S, AFTER_S = 100.0, 5.0, 40.0
MEDIAN_S, SPREAD = 0.05, 0.3


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("slots", "faster"), [(2, 1.2), (16, 2.0)])
def test_a_hanging_resource_gets_what_one_horizon_lets_through_and_a_few_probes(
    slots: int, faster: float, seed: int
) -> None:
    """Five resources, 100 jobs/s; from 5 s on none of r0's jobs ever ends, and no breaker helps.

    The first job that hangs is overdue after the 99.9% quantile of its forecast (spread .3 of 60 to 90 results that
    follow a prior: .35 is never exceeded, so 3.4 x .35 above the median, 3.3 times it: 165 ms), and the second one a
    gap later. Until then r0 gets its share: a fifth, or all of the jobs when it is the faster one and has a slot: at
    most 17. Then it is offered to one job after 1, 2, 4 .. s: log2(40) + 1 = 7. Together 24 of 4000, 0.6%
    (measured: 3 and 13).
    """
    clock, rng = tw.ManualClock(), np.random.default_rng(seed)
    e = tw.Engine(
        [tw.Resource(f"r{i}", slots=slots) for i in range(5)],
        [tw.Model("m")],
        [tw.QoS("q", 1.0, contract="best_effort")],
        clock=clock,
        health=None,
        seed=seed,
    )
    route, ends, hung = e.route("m", "q"), Later(clock), []
    for k in range(int(RATE * (KNOWN_S + AFTER_S))):
        now_s = k / RATE
        ends.until(now_s)
        ticket = route.select(())
        service_s = MEDIAN_S * math.exp(SPREAD * rng.standard_normal())
        if ticket.resource.name != "r0":
            ends.at(now_s + service_s, ticket.complete)
        elif now_s < KNOWN_S:
            ends.at(now_s + service_s / faster, ticket.complete)
        else:
            hung.append(ticket)
    assert 1 <= len(hung) <= 24
