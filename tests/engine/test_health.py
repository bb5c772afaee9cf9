"""The breaker of a resource: what opens it, for how long, what closes it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import tailwise as tw
from tests.engine.breaker import engine, fail, pick, state, wait_out


def test_three_failures_in_a_row_open_the_breaker_and_a_success_between_starts_the_count_again() -> None:
    e, _ = engine()
    fail(e, 0, 2)
    e.route("m", "patient").select((), mask=1).complete(1.0)
    fail(e, 0, 2)
    assert state(e) == "closed"
    assert e.health("r0").failures == 2
    fail(e, 0)
    assert state(e) == "open"
    assert e._core.take_disturbed() == 1
    assert state(e, "r1") == "closed"


def test_a_low_share_of_successes_opens_the_breaker_without_a_row_of_failures() -> None:
    """Two of three fail: the decayed share of successes falls to 1/3 from 1. After k rounds it is about
    1/3 + 2/3 x .95^3k, under 1/2 for 3k > ln(1/4) / ln(.95) = 27: within 10 rounds, and not before the 7th."""
    e, _ = engine()
    rounds = 0
    while state(e) == "closed":
        rounds += 1
        e.route("m", "patient").select((), mask=1).complete(1.0)
        fail(e, 0, 2)
    assert 7 <= rounds <= 10


def test_two_resources_that_are_due_at_once_get_one_probe_each() -> None:
    e, clock = engine(6)
    for lane in (0, 2):
        fail(e, lane, 3)
    clock.set(max(e.health(name).until_s or 0.0 for name in ("r0", "r2")))
    tickets = [pick(e) for _ in range(3)]
    assert {t.resource.name for t in tickets[:2]} == {"r0", "r2"}
    assert [t.probe for t in tickets] == [True, True, False]
    assert tickets[2].resource.name not in ("r0", "r2")


def test_a_resource_that_is_out_gets_nothing_before_its_backoff_ends() -> None:
    e, clock = engine()
    fail(e, 1, 3)
    until_s = e.health("r1").until_s
    assert until_s is not None
    assert 1.0 <= until_s <= 1.5
    for k in range(1000):
        clock.set(until_s * k / 1000)
        ticket = pick(e)
        assert ticket.resource.name != "r1"
        ticket.complete(0.1)


def test_exactly_one_job_probes_and_its_success_closes_the_breaker() -> None:
    e, clock = engine()
    fail(e, 0, 3)
    wait_out(e, clock)
    probe = pick(e)
    assert (probe.resource.name, probe.probe, probe.propensity) == ("r0", True, 1.0)
    assert state(e) == "half-open"
    others = [pick(e) for _ in range(50)]
    assert all(t.resource.name != "r0" and not t.probe for t in others)
    clock.advance(1.0)
    probe.complete()
    assert state(e) == "closed"
    assert e.health("r0").until_s is None


def test_backoffs_double_up_to_the_largest_and_are_drawn_out_by_up_to_a_half() -> None:
    e, clock = engine()
    fail(e, 0, 3)
    lengths = []
    for _ in range(8):
        until_s = e.health("r0").until_s
        assert until_s is not None
        lengths.append(until_s - clock.now_ns() * 1e-9)
        wait_out(e, clock)
        pick(e).fail()
    for length, backoff in zip(lengths, [1, 2, 4, 8, 8, 8, 8, 8], strict=True):
        assert backoff <= length <= 1.5 * backoff + 1e-6
    assert (
        len({round(length / backoff, 6) for length, backoff in zip(lengths[3:], [8] * 5, strict=True)}) == 5
    )


def test_a_resource_that_goes_out_again_soon_continues_its_backoff_and_one_that_was_well_starts_over() -> (
    None
):
    """Third backoff: 4 s. Out again at once: 8 s; after more than 8 s of health: 1 s."""
    for well_s, expected in ((0.0, 8.0), (12.1, 1.0)):
        e, clock = engine()
        fail(e, 0, 3)
        for last in (False, False, True):
            wait_out(e, clock)
            probe = pick(e)
            if last:
                probe.complete(0.1)
            else:
                probe.fail()
        clock.advance(well_s)
        fail(e, 0, 3)
        until_s = e.health("r0").until_s
        assert until_s is not None
        assert expected <= until_s - clock.now_ns() * 1e-9 <= 1.5 * expected + 1e-6


@pytest.mark.parametrize("leave", [lambda t: t.cancel(), lambda t: None], ids=["cancelled", "dropped"])
def test_a_probe_that_leaves_without_an_answer_is_replaced_by_the_next_job(
    leave: Callable[[tw.Ticket], None],
) -> None:
    e, clock = engine()
    fail(e, 0, 3)
    wait_out(e, clock)
    probe = pick(e)
    assert probe.probe
    leave(probe)
    del probe
    assert pick(e).probe


def test_what_was_running_when_the_breaker_opened_neither_closes_it_nor_lengthens_the_backoff() -> None:
    e, clock = engine()
    route = e.route("m", "patient")
    old = [route.select((), mask=1) for _ in range(6)]
    fail(e, 0, 3)
    before = e.health("r0").until_s
    clock.advance(0.5)
    for ticket in old[:3]:
        ticket.complete()
    for ticket in old[3:]:
        ticket.fail()
    assert state(e) == "open"
    assert e.health("r0").until_s == before


@pytest.mark.parametrize("retry_after_s", [None, 1e6])
def test_a_resource_that_is_said_to_have_changed_is_probed_at_once_and_starts_over(
    retry_after_s: float | None,
) -> None:
    """Out for the third time, for 4 s, or for as long as it wished."""
    e, clock = engine()
    fail(e, 0, 3)
    for _ in range(2):
        wait_out(e, clock)
        pick(e).fail(retry_after_s=retry_after_s)
        if retry_after_s is not None:
            break
    assert not pick(e).probe
    e.changed("r0")
    probe = pick(e)
    assert (probe.resource.name, probe.probe) == ("r0", True)
    probe.fail()
    until_s = e.health("r0").until_s
    assert until_s is not None
    assert 1.0 <= until_s - clock.now_ns() * 1e-9 <= 1.5 + 1e-6


def test_failures_of_before_a_change_count_no_more_towards_the_breaker() -> None:
    e, _ = engine()
    fail(e, 0, 2)
    e.changed("r0")
    fail(e, 0, 2)
    assert state(e) == "closed"
    fail(e, 0)
    assert state(e) == "open"
