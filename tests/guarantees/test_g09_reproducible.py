"""Guarantee 9: same seed, same inputs, same clock: same decisions, bit for bit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tests.guarantees.test_g07_settles_once import STEP, Life

NUMBERS = ("p_on_time", "wait_s", "service_s", "bound_s", "propensity", "regret_s")


def told(ticket: tw.Ticket) -> tuple[object, ...]:
    """Everything that a ticket says, floats by their bits."""
    numbers = [getattr(ticket, name) for name in NUMBERS]
    names = [None if r is None else r.name for r in (ticket.resource, ticket.preferred)]
    return (
        *names,
        ticket.admitted,
        ticket.reason,
        ticket.probe,
        *(None if n is None else n.hex() for n in numbers),
    )


@given(st.lists(STEP.filter(lambda step: step[0] != "refuse"), max_size=70))
def test_the_same_life_twice_is_the_same_bit_for_bit(steps: list[tuple[str, int, int]]) -> None:
    """After every step: the same open tickets, saying the same to the last bit, and the same bytes of state."""
    one, two = Life(), Life()
    for step in steps:
        for life in (one, two):
            life.do(*step)
        assert [told(t) for t in one.open] == [told(t) for t in two.open]
        assert one.engine._core.snapshot() == two.engine._core.snapshot()


def decisions(seed: int) -> list[str]:
    e = tw.Engine(
        [tw.Resource(f"r{i}") for i in range(8)],
        [tw.Model("m")],
        [tw.QoS("q", 1.0, contract="best_effort")],
        clock=tw.ManualClock(),
        seed=seed,
    )
    route = e.route("m", "q")
    held = [route.select(()) for _ in range(24)]
    return [ticket.resource.name for ticket in held]


@given(st.integers(0, 2**64 - 1))
def test_the_seed_is_all_that_chance_depends_on(seed: int) -> None:
    """24 jobs over 8 equal resources: three rounds of ties. Another seed ties alike once in 8!^3."""
    assert decisions(seed) == decisions(seed)
    assert decisions(seed) != decisions(seed ^ 1)
