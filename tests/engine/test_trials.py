"""What is not known yet is tried, and what fails is not tried for ever."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw


def engine(k: int, *, slots: int = 1, seed: int = 1, profiles: tuple[tw.Profile, ...] = ()) -> tw.Engine:
    return tw.Engine(
        [tw.Resource(f"r{i}", slots=slots) for i in range(k)],
        [tw.Model("m", ("n",))],
        [tw.QoS("q", 1.0, contract="best_effort")],
        profiles=profiles,
        clock=tw.ManualClock(),
        seed=seed,
    )


@given(
    k=st.integers(2, 70),
    seed=st.integers(0, 2**32 - 1),
    first_s=st.floats(1e-9, 1e6),
    others_s=st.floats(1e-9, 1e6),
    n=st.floats(0, 1e9),
)
def test_every_resource_is_tried_within_as_many_decisions_as_there_are_resources(
    k: int, seed: int, first_s: float, others_s: float, n: float
) -> None:
    """Arrivals one at a time, the first answer as fast as can be: nobody starves behind it."""
    route = engine(k, seed=seed).route("m", "q")
    seen = set()
    for step in range(k):
        ticket = route.select((n,))
        seen.add(ticket.resource.name)
        ticket.complete(first_s if step == 0 else others_s)
    assert len(seen) == k


def test_a_resource_that_fails_counts_as_tried() -> None:
    route = engine(5).route("m", "q")
    seen = set()
    for _ in range(5):
        ticket = route.select((1.0,))
        seen.add(ticket.resource.name)
        ticket.fail()
    assert len(seen) == 5


def test_a_busy_untried_resource_is_not_favoured() -> None:
    """One trial at a time: nobody knows how long it takes, so the next job does not queue behind it."""
    route = engine(2).route("m", "q")
    first = route.select((1.0,), mask=1)
    first.complete(0.01)
    trial = route.select((1.0,))
    assert trial.resource.name == "r1"
    after = route.select((1.0,))
    assert after.resource.name == "r0"
    trial.cancel()
    after.cancel()


def test_a_given_profile_is_not_tried_for_the_sake_of_trying() -> None:
    """Somebody measured it: known to be slow is known."""
    profiles = (tw.Profile("r0", "m", 0.01), tw.Profile("r1", "m", 1.0))
    route = engine(2, profiles=profiles).route("m", "q")
    for _ in range(20):
        with route.select((1.0,)) as ticket:
            assert ticket.resource.name == "r0"


@pytest.mark.parametrize("times_faster", [1.0, 1.1, 1.5, 3.0])
def test_a_resource_that_only_fails_is_left_after_a_bounded_number_of_failures(times_faster: float) -> None:
    """Its cost is service (100 + f) / 99 after f failures, the other's never above service x 100 / 99. Believed
    `times_faster`, it is passed over from 100 + f > 100 times_faster on: f <= 100 (times_faster - 1) + 1, two more
    for ties within 1e-4. Both profiles are given with a weight that no result moves, at features where no slope
    acts (n = 0)."""
    profiles = (tw.Profile("r0", "m", 0.1 / times_faster, weight=1e9), tw.Profile("r1", "m", 0.1, weight=1e9))
    route = engine(2, profiles=profiles).route("m", "q")
    failures = 0
    for _ in range(1000):
        ticket = route.select((0.0,))
        if ticket.resource.name == "r0":
            failures += 1
            ticket.fail()
        else:
            ticket.complete(0.1)
    assert (times_faster > 1.0) <= failures <= 100 * (times_faster - 1) + 3


@pytest.mark.parametrize("k", [2, 5, 20])
def test_failing_fast_does_not_look_fast(k: int) -> None:
    """One of k equal resources fails every job at once, a thousand jobs come one at a time. It is believed to be
    what the others are, within the shrinkage of one result towards 1 s: ln 0.1 (1 / 60) / (61 / 60) = 4%, so it
    gets at most 4% x 100 + 3 = 7 jobs, and not a share that grows with time."""
    route, rng = engine(k).route("m", "q"), np.random.default_rng(2)
    failures = []
    for step in range(1000):
        ticket = route.select((1.0,))
        if ticket.resource.name == "r0":
            failures.append(step)
            ticket.fail()
        else:
            ticket.complete(0.1 * float(np.exp(rng.normal(0, 0.01))))
    assert 1 <= len(failures) <= 7
