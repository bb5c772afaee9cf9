"""Guarantee 11, second half: among equals (same statistics, x and offset) an idle lane is never passed over for a
busy one; priority alone can change which resource is chosen, and does where the queue ahead differs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tailwise as tw
from tests.states import SEEDS

LADDER = [tw.QoS(f"level{p}", 5.0, priority=p, contract="best_effort") for p in range(4)]


@given(
    seed=SEEDS,
    k=st.integers(2, 6),
    n=st.integers(0, 20),
    contract=st.sampled_from(["best_effort", "standard", "guaranteed"]),
    objective=st.sampled_from(["completion", "cost", "energy"]),
    deadline_s=st.floats(0.02, 50.0),
)
@settings(max_examples=100)
def test_an_idle_lane_among_busy_equals_is_never_passed_over(
    seed: int, k: int, n: int, contract: str, objective: str, deadline_s: float
) -> None:
    """Whatever the class asks for: same price, same results, one lane idle. A refusal names the idle one, too."""
    rng = np.random.default_rng(seed)
    asked = tw.QoS("asked", deadline_s, 0.9, contract=contract, objective=objective)
    filler = tw.QoS("filler", 100.0, priority=1, contract="best_effort")
    e = tw.Engine(
        [tw.Resource(f"r{i}", cost_per_s=1.0, power_w=5.0, discipline="priority") for i in range(k)],
        [tw.Model("m")],
        [asked, filler],
        profiles=[
            tw.Profile(f"r{i}", "m", 0.15, 0.3, 4.0) for i in range(k)
        ],  # else each is a prior to the others
        clock=tw.ManualClock(),
        seed=seed,
    )
    for ln_s in rng.normal(-2.0, 0.3, n):
        for lane in range(k):
            e.route("m", "filler").select((), mask=1 << lane).complete(math.exp(ln_s))
    idle, busy = int(rng.integers(k)), []
    for lane in set(range(k)) - {idle}:
        for _ in range(int(rng.integers(1, 4))):
            busy.append(e.route("m", "filler").select((), mask=1 << lane))
            if rng.random() < 0.7:
                busy[-1].start()
        if not any(e.load(f"r{lane}")[:1]):
            busy[-1].start()  # a queue in which nothing runs is not busy for a class that goes first
    for _ in range(3):
        ticket = e.route("m", "asked").select(())
        assert ticket.resource.name == f"r{idle}"
        if ticket.admitted:
            ticket.cancel()


@given(
    queued=st.lists(st.integers(0, 3), max_size=20),
    fast_s=st.floats(0.01, 0.1),
    times=st.floats(1.2, 6.0),
    level=st.integers(0, 3),
)
def test_priority_alone_decides_between_a_queue_and_a_slower_idle_resource(
    queued: list[int], fast_s: float, times: float, level: int
) -> None:
    """The fast resource queues jobs of all classes and runs none; the slow one is idle. A job goes to the fast one
    while those of its own class and of higher ones, it itself, and what it makes all that wait there wait for, take
    less than one job on the slow one: ahead + 1 + queued (by medians 1e-3 from the means) < times. Within 1% of that
    both are right."""
    e = tw.Engine(
        [tw.Resource("fast", discipline="priority"), tw.Resource("slow")],
        [tw.Model("m")],
        LADDER,
        profiles=[
            tw.Profile("fast", "m", fast_s, 0.01, 1e6),
            tw.Profile("slow", "m", fast_s * times, 0.01, 1e6),
        ],
        clock=tw.ManualClock(),
        seed=1,
    )
    held = [e.route("m", f"level{p}").select((), mask=1) for p in queued]
    ahead = sum(p <= level for p in queued)
    cost = ahead + 1 + len(queued)
    if abs(cost - times) > 0.01 * times:
        chosen = e.route("m", f"level{level}").select(()).resource.name
        assert chosen == ("fast" if cost < times else "slow")
    assert e.in_flight == len(held)


@pytest.mark.parametrize("objective", ["completion", "cost"])
def test_the_same_job_goes_elsewhere_for_its_priority_alone(objective: str) -> None:
    """Five jobs of level 1 wait at the cheap fast resource: one of level 2 would end after .6 s of .5."""
    qos = [
        tw.QoS(f"level{p}", 0.5, 0.9, priority=p, contract="best_effort", objective=objective)
        for p in range(3)
    ]
    e = tw.Engine(
        [tw.Resource("fast", cost_per_s=1.0, discipline="priority"), tw.Resource("slow", cost_per_s=2.0)],
        [tw.Model("m")],
        qos,
        profiles=[tw.Profile("fast", "m", 0.1, 0.05, 1e6), tw.Profile("slow", "m", 0.3, 0.05, 1e6)],
        clock=tw.ManualClock(),
        seed=1,
    )
    held = [e.route("m", "level1").select((), mask=1) for _ in range(5)]
    assert e.route("m", "level2").select(()).resource.name == "slow"
    assert e.route("m", "level0").select(()).resource.name == "fast"
    assert len(held) == 5
