"""`ticket.retry()`: elsewhere, within what is left of the deadline."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw


def engine(k: int = 3, *, seed: int = 1, max_tickets: int = 8) -> tuple[tw.Engine, tw.ManualClock]:
    clock = tw.ManualClock(10.0)
    made = tw.Engine(
        [tw.Resource(f"r{i}") for i in range(k)],
        [tw.Model("m", (tw.Feature("n", typical=2.0),))],
        [tw.QoS("q", 1.0, contract="best_effort")],
        clock=clock,
        seed=seed,
        max_tickets=max_tickets,
        health=None,
    )
    for i in range(k):
        for _ in range(9):
            made.route("m", "q").select((2.0,), mask=1 << i).complete(0.01 * (i + 1))
    return made, clock


@given(k=st.integers(1, 70), seed=st.integers(0, 99), by_hand=st.booleans())
def test_no_resource_is_tried_twice_and_then_none_is_left(k: int, seed: int, by_hand: bool) -> None:
    made, _ = engine(k, seed=seed)
    ticket = made.route("m", "q").select((2.0,))
    tried = set()
    for attempt in range(1, k + 1):
        assert ticket.admitted
        assert ticket.attempt == attempt
        assert ticket.resource.name not in tried
        tried.add(ticket.resource.name)
        if by_hand:
            ticket.fail()
        ticket = ticket.retry()
    assert not ticket.admitted
    assert ticket.reason == "no_resource"
    assert made.in_flight == 0


def test_an_open_ticket_fails_by_it_and_its_place_goes_to_the_next_attempt() -> None:
    made, _ = engine(max_tickets=1)
    first = made.route("m", "q").select((2.0,))
    available = made.profile(first.resource.name, "m").availability
    second = first.retry()
    assert first.settled
    assert made.in_flight == 1
    assert made.profile(first.resource.name, "m").availability < available
    with pytest.raises(tw.TicketError, match="settled"):
        first.fail()
    second.complete(0.02)


def test_what_has_passed_is_gone_from_the_deadline() -> None:
    made, clock = engine()
    ticket = made.route("m", "q").select((2.0,), deadline_s=0.5, arrival_s=9.9)
    clock.advance(0.3)
    second = ticket.retry()
    assert second.left_s == pytest.approx(0.1, abs=1e-9)
    clock.advance(0.2)
    third = second.retry()
    assert not third.admitted
    assert third.reason == "late"
    with pytest.raises(tw.TicketError, match="rejected"):
        third.retry()


def test_a_retry_asks_for_the_same_request() -> None:
    made, _ = engine()
    route = made.route("m", "q")
    first = route.select((7.0,))
    features = first.features
    second = first.retry()
    assert list(second.features) == list(features)
    assert second.service_s == pytest.approx(
        next(c.service_s for c in route.peek((7.0,)) if c.resource is second.resource), rel=1e-6
    )


def test_the_mask_and_retry_after_are_heeded() -> None:
    made, _ = engine()
    ticket = made.route("m", "q").select((2.0,), mask=0b001)
    second = ticket.retry(mask=0b101, retry_after_s=5.0)
    assert second.resource.name == "r2"
    assert made.health("r0").state == "open"


def test_bypass_mode_gives_the_next_one_too() -> None:
    made, _ = engine()
    made.mode("bypass")
    first = made.route("m", "q").select((2.0,), default="r1")
    second = first.retry()
    assert second.admitted
    assert second.resource.name != "r1"
    assert second.attempt == 2
    assert made.in_flight == 0


@pytest.mark.parametrize("bad", [{"mask": -1}, {"retry_after_s": math.nan}, {"Z": [1.0]}])
def test_bad_input_is_refused_and_the_ticket_stays_open(bad: dict) -> None:
    made, _ = engine()
    ticket = made.route("m", "q").select((2.0,))
    before = made._core.snapshot()
    with pytest.raises(tw.InputError):
        ticket.retry(**bad)
    assert made._core.snapshot() == before
    assert not ticket.settled
