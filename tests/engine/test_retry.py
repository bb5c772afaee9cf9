"""`ticket.retry()`: elsewhere, within what is left of the deadline."""

from __future__ import annotations

import gc
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


def outlived(names: str) -> tuple[tw.Engine, tw.ManualClock]:
    """Profiles of .1 s, known for good: a job of five seconds is better copied."""
    clock = tw.ManualClock(1.0)
    made = tw.Engine(
        [tw.Resource(n, slots=2) for n in names],
        [tw.Model("m")],
        [tw.QoS("q", 10.0, contract="best_effort")],
        profiles=[tw.Profile(n, "m", 0.1, 0.3, 1e6) for n in names],
        clock=clock,
        seed=1,
        health=None,
    )
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


@pytest.mark.parametrize("of_copy", [False, True])
def test_a_retry_goes_where_no_other_ticket_of_its_job_is_open(of_copy: bool) -> None:
    """With two resources there is none: the copy that still runs is all that is left of the job."""
    for names in ("ab", "abc"):
        made, clock = outlived(names)
        first = made.route("m", "q").select((), mask=0b001)
        clock.advance(5.0)
        copy = first.copy(mask=0b010)
        second = (copy if of_copy else first).retry()
        assert second.reason == ("no_resource" if names == "ab" else None)
        if names == "abc":
            assert second.resource.name == "c"
            second.cancel()
        (first if of_copy else copy).complete()
        assert made.in_flight == 0
        assert made._core.certificate(0)["n_open"] == 0


def test_each_copy_of_a_job_goes_elsewhere() -> None:
    made, clock = outlived("abc")
    first = made.route("m", "q").select((), mask=0b001)
    clock.advance(5.0)
    copy = first.copy(mask=0b011)
    assert copy.resource.name == "b"
    assert first.copy(mask=0b011) is None
    another = first.copy()
    assert another.resource.name == "c"
    assert first.copy() is None


class Cycle:
    """Keeps a ticket until the collector comes."""

    def __init__(self, ticket: tw.Ticket) -> None:
        self.ticket = ticket
        self.itself = self


def retry_collected_into(after: int, *, refused: bool) -> tuple[int, tw.Engine]:
    """Retries a job whose copy, and another job, wait for the collector, which comes `after` allocations.

    Returns how many tickets it had freed when retry() returned, and the engine, where all is settled by then.
    """
    made, clock = outlived("ab" if refused else "abc")
    route = made.route("m", "q")
    first = route.select((), mask=0b001)
    clock.advance(5.0)
    Cycle(first.copy(mask=0b010))
    Cycle(route.select((), mask=0b010))
    held = [route.select((), mask=0b010) for _ in range(600)]  # Cython has none left to use again
    gc.set_threshold(gc.get_count()[0] + after, 1000, 1000)
    gc.enable()
    second = first.retry(mask=0b001 if refused else 0b100)
    gc.disable()
    n_freed = made.counters["n_abandoned"]
    assert second.admitted is not refused
    for ticket in [*held, second]:
        if ticket.admitted:
            ticket.fail()
    gc.collect()
    return n_freed, made


@pytest.mark.parametrize("refused", [True, False])
def test_a_copy_that_is_collected_inside_retry_takes_no_promise_with_it(refused: bool) -> None:
    """Each run ends with all jobs settled: a promise that is open still was written to a slot that nobody holds.

    Where in retry() an allocation stands is not known here, so the collector is let in at each of the first four; it
    must have come at one of them.
    """
    threshold, enabled = gc.get_threshold(), gc.isenabled()
    gc.collect()
    gc.disable()
    n_freed = []
    try:
        for after in range(4):
            n, made = retry_collected_into(after, refused=refused)
            n_freed.append(n)
            assert made.in_flight == 0
            assert made._core.certificate(0)["n_open"] == 0
    finally:
        gc.set_threshold(*threshold)
        if enabled:
            gc.enable()
    assert max(n_freed) == 2
