"""The breaker of a resource: what opens it, for how long, who probes, what closes it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import tailwise as tw

HEALTH = tw.Health(consecutive_failures=3, backoff_s=1.0, max_backoff_s=8.0)
PATIENT = tw.QoS("patient", 10.0, 0.9)
HASTY = tw.QoS("hasty", 0.2, 0.9, priority=1, contract="best_effort")
FIRM = tw.QoS("firm", 10.0, 0.9, priority=2, explore=False)


def engine(k: int = 4, health: tw.Health | None = HEALTH, seed: int = 1) -> tuple[tw.Engine, tw.ManualClock]:
    """k resources that serve in 0.1 s, r0 believed ten times slower: nobody goes there of his own accord, and r1 a
    third faster."""
    clock = tw.ManualClock()
    seconds = [1.0, 0.07] + [0.1] * k
    profiles = [tw.Profile(f"r{i}", "m", seconds[i], weight=100.0) for i in range(k)]
    resources = [tw.Resource(f"r{i}", slots=64) for i in range(k)]
    e = tw.Engine(
        resources,
        [tw.Model("m")],
        [PATIENT, HASTY, FIRM],
        profiles=profiles,
        clock=clock,
        seed=seed,
        health=health,
    )
    return e, clock


def fail(e: tw.Engine, lane: int, n: int = 1, **how: float) -> None:
    for ticket in [e.route("m", "patient").select((), mask=1 << lane) for _ in range(n)]:
        ticket.fail(**how)


def state(e: tw.Engine, name: str = "r0") -> str:
    return e.health(name).state


def pick(e: tw.Engine, qos: str = "patient") -> tw.Ticket:
    return e.route("m", qos).select(())


def wait_out(e: tw.Engine, clock: tw.ManualClock, name: str = "r0") -> None:
    until_s = e.health(name).until_s
    assert until_s is not None
    clock.set(until_s)


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
