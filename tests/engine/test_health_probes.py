"""The breaker of a resource: clocks that go back, who probes, Retry-After."""

from __future__ import annotations

import pytest

import tailwise as tw
from tests.engine.breaker import engine, fail, pick, state, wait_out


def test_a_clock_that_goes_back_behind_the_opening_ends_the_backoff() -> None:
    """Else a resource would stay out for as long as the step was: an hour here."""
    e, clock = engine()
    clock.set(3600.0)
    fail(e, 0, 3)
    clock.set(0.0)
    assert state(e) == "half-open"
    probe = pick(e, "hasty")
    assert (probe.resource.name, probe.probe) == ("r0", True)
    probe.complete(0.1)
    assert state(e) == "closed"


def test_a_clock_that_goes_back_within_the_backoff_lengthens_it_by_the_step() -> None:
    e, clock = engine()
    clock.set(3600.0)
    fail(e, 0, 3)
    until_s = e.health("r0").until_s
    assert until_s is not None
    clock.set(until_s - 0.1)
    clock.set(3600.5)
    assert state(e) == "open"
    assert not pick(e).probe
    clock.set(until_s)
    assert pick(e).probe


def test_of_several_that_are_due_the_nearest_is_probed_first() -> None:
    """r0 takes 1 s, r1 0.07 s."""
    e, clock = engine()
    fail(e, 0, 3)
    fail(e, 1, 3)
    clock.set(max(e.health(name).until_s or 0.0 for name in ("r0", "r1")))
    probes = [pick(e) for _ in range(3)]
    assert [(t.resource.name, t.probe) for t in probes[:2]] == [("r1", True), ("r0", True)]
    assert not probes[2].probe


def test_a_probe_waits_for_a_job_that_can_afford_it_but_not_for_ever() -> None:
    """r0 takes 1 s. A class of 0.2 s cannot afford that; after one base backoff it must."""
    e, clock = engine()
    fail(e, 0, 3)
    wait_out(e, clock)
    assert not pick(e, "hasty").probe
    clock.advance(0.9)
    assert not pick(e, "hasty").probe
    clock.advance(0.2)
    ticket = pick(e, "hasty")
    assert ticket.probe
    assert ticket.admitted

    e, clock = engine()
    fail(e, 0, 3)
    wait_out(e, clock)
    assert not pick(e, "hasty").probe
    assert pick(e, "patient").probe


def test_a_class_that_may_not_explore_is_never_sent_to_probe() -> None:
    e, clock = engine()
    fail(e, 0, 3)
    wait_out(e, clock)
    for _ in range(300):
        clock.advance(0.01)
        ticket = pick(e, "firm")
        assert ticket.resource.name != "r0"
        assert not ticket.probe
        ticket.complete(0.1)
    assert pick(e).probe


def test_where_no_class_explores_a_resource_that_is_best_is_used_again_all_the_same() -> None:
    """r1 is faster than the others: once it waited one base backoff in vain, it competes by its cost, one job at a
    time; that job is its probe."""
    e, clock = engine()
    fail(e, 1, 3)
    wait_out(e, clock, "r1")
    used = []
    for _ in range(300):
        clock.advance(0.01)
        ticket = pick(e, "firm")
        used.append(ticket.resource.name == "r1")
        ticket.complete(0.1)
    assert not any(used[:99])
    assert any(used)
    assert state(e, "r1") == "closed"


def test_retry_after_opens_at_once_and_holds_for_as_long_as_it_says() -> None:
    e, clock = engine()
    fail(e, 1, 1, retry_after_s=20.0)
    assert state(e, "r1") == "open"
    assert e.health("r1").until_s == pytest.approx(20.0)
    clock.set(19.9)
    assert all(pick(e).resource.name != "r1" for _ in range(100))
    clock.set(20.0)
    assert pick(e).probe


def test_a_short_retry_after_does_not_shorten_the_backoff() -> None:
    e, _ = engine()
    fail(e, 0, 2)
    fail(e, 0, 1, retry_after_s=0.01)
    until_s = e.health("r0").until_s
    assert until_s is not None
    assert until_s >= 1.0


def test_a_longer_retry_after_from_a_job_that_was_still_running_extends_the_wait() -> None:
    e, _ = engine()
    route = e.route("m", "patient")
    late = route.select((), mask=1)
    fail(e, 0, 3)
    late.fail(retry_after_s=7.0)
    assert e.health("r0").until_s == pytest.approx(7.0)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), 2e9, "soon"])
def test_an_unusable_retry_after_is_refused_and_changes_nothing(value: float) -> None:
    e, _ = engine()
    ticket = pick(e)
    before = e._core.snapshot()
    with pytest.raises(tw.InputError, match="retry_after_s"):
        ticket.fail(retry_after_s=value)
    assert e._core.snapshot() == before
    assert not ticket.settled


def test_peek_shows_what_a_decision_could_choose_and_changes_nothing() -> None:
    e, clock = engine()
    fail(e, 0, 3)
    wait_out(e, clock)
    before = e._core.snapshot()
    assert {c.resource.name for c in e.route("m", "patient").peek(())} == {"r1", "r2", "r3"}
    assert e._core.snapshot() == before
