"""Time that misbehaves: backwards, an hour ahead, standing still, read from a foreign clock."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw


class Foreign:
    """A clock as a user would write one."""

    def __init__(self) -> None:
        self.ns = 0

    def now_ns(self) -> int:
        return self.ns


def engine(clock: tw.Clock, tau_s: float = 60.0) -> tw.Engine:
    column = tw.Column("busy", scale=2.0, tracked="in_flight")
    return tw.Engine(
        [tw.Resource("a", slots=2), tw.Resource("b"), tw.Resource("c", discipline="priority")],
        [tw.Model("m", (tw.Feature("u", typical=1.0, knee=True),), (column,))],
        [tw.QoS("q", 1.0, contract="best_effort"), tw.QoS("s", 1.0, priority=1)],
        clock=clock,
        seed=1,
        tau_s=tau_s,
        health=None,  # an ejected lane is no candidate; here all three are asked for
    )


def check(e: tw.Engine, tickets: list[tw.Ticket], u: float) -> None:
    """What holds in every state: all numbers finite, times not negative, counts those of the open tickets."""
    assert e.in_flight == len(tickets)
    for resource in e.resources:
        running, queued = e.load(resource.name)
        assert running + queued == sum(t.resource is resource for t in tickets)
        assert min(running, queued) >= 0
    for qos in e.qos:
        rows = e.route("m", qos.name).peek((u,))
        assert len(rows) == 3
        for row in rows:
            assert 0.0 <= row.wait_s < math.inf
            assert 0.0 < row.service_s < math.inf
            assert 0.0 <= row.rank_s < math.inf
            assert 0.0 < row.spread < math.inf
            assert math.isfinite(row.ln_service)
            assert 0.0 <= row.p_on_time <= 1.0
            assert 0.0 < row.availability < 1.0


TIMES = st.sampled_from([0.0, 1e-9, 1e-3, 1.0, 3600.0, 1e6, 1e300])
ACTION = st.tuples(
    st.sampled_from(["select", "select", "complete", "by clock", "fail", "timeout", "start", "cancel"]), TIMES
)
JUMP = st.sampled_from([0.0, 1e-9, 0.1, 3600.0, -0.1, -3600.0, 1e9])
SIZE = st.sampled_from([1.0, 1e-300, 5e-324, 1.7e308, 2.0])


@given(st.lists(st.tuples(ACTION, JUMP, SIZE, st.integers(0, 99)), max_size=60))
def test_every_state_is_finite_whatever_the_clock_and_the_times_do(
    steps: list[tuple[tuple[str, float], float, float, int]],
) -> None:
    clock = tw.ManualClock()
    e, now_s, tickets = engine(clock), 0.0, []
    for (action, seconds), jump, u, pick in steps:
        now_s = max(-1e9, min(8e9, now_s + jump))
        clock.set(now_s)
        if action == "select":
            ticket = e.route("m", "sq"[pick % 2]).select((u,))
            assert math.isfinite(ticket.expected_s)
            assert ticket.bound_s >= 0.0  # endless and 0 included
            assert ticket.hedge_at_s > 0
            if ticket.admitted:
                tickets.append(ticket)
        elif tickets:
            ticket = tickets[pick % len(tickets)]
            if action == "start":
                ticket.start()
            else:
                tickets.remove(ticket)
                if action == "complete":
                    ticket.complete(seconds)
                elif action == "by clock":
                    ticket.complete()
                elif action == "fail":
                    ticket.fail()
                elif action == "timeout":
                    ticket.timeout()
                else:
                    ticket.cancel()
        check(e, tickets, u)
    for ticket in tickets:
        ticket.cancel()
    check(e, [], 1.0)


def test_a_clock_that_goes_back_fades_nothing_and_an_hour_ahead_fades_to_eight() -> None:
    clock = tw.ManualClock(1e4)
    e = engine(clock)
    for _ in range(20):
        e.route("m", "q").select((1.0,), mask=1).complete(0.1)
    clock.set(0.0)
    assert e.profile("a", "m").n == 20.0
    e.route("m", "q").select((1.0,), mask=1).complete(0.1)
    assert e.profile("a", "m").n == 21.0
    clock.set(1e4 + 3600.0)
    assert e.profile("a", "m").n == pytest.approx(8.0)


def test_zero_seconds_are_learned_as_the_nanosecond_that_a_clock_resolves() -> None:
    clock = tw.ManualClock()
    e = engine(clock)
    e.route("m", "q").select((1.0,), mask=1).complete(0.0)
    assert e._core.sums(0, 0)[1] == pytest.approx(math.log(1e-9))
    with e.route("m", "q").select((1.0,), mask=2):
        pass
    assert e.profile("b", "m").n == 1.0


def test_time_comes_from_the_clock_that_was_given() -> None:
    clock = Foreign()
    e = engine(clock, tau_s=math.inf)
    ticket = e.route("m", "q").select((1.0,), mask=1)
    clock.ns += 2_500_000_000
    ticket.complete()
    assert e._core.sums(0, 0)[1] == pytest.approx(math.log(2.5))
    assert isinstance(clock, tw.Clock)


def test_a_clock_that_raises_stops_the_call_and_changes_nothing() -> None:
    class Broken(Foreign):
        def now_ns(self) -> int:
            if self.ns < 0:
                raise OSError("no time")
            return self.ns

    clock = Broken()
    e = engine(clock)
    ticket = e.route("m", "q").select((1.0,))
    before = e._core.snapshot()
    clock.ns = -1
    for call in (
        lambda: e.route("m", "q").select((1.0,)),
        ticket.complete,
        ticket.fail,
        ticket.timeout,
        ticket.cancel,
        ticket.start,
    ):
        with pytest.raises(OSError, match="no time"):
            call()
    assert e._core.snapshot() == before
    clock.ns = 1
    ticket.complete()
    assert e.in_flight == 0


@pytest.mark.parametrize("seconds", [math.nan, math.inf, 1e10])
def test_a_manual_clock_refuses_what_is_no_time(seconds: float) -> None:
    clock = tw.ManualClock(7.0)
    for call in (clock.set, clock.advance, tw.ManualClock):
        with pytest.raises(tw.InputError):
            call(seconds)
    with pytest.raises(tw.InputError):
        clock.advance(-1.0)
    assert clock.now_ns() == 7_000_000_000


def test_a_manual_clock_is_not_advanced_beyond_what_it_can_read() -> None:
    clock = tw.ManualClock(7e9)
    with pytest.raises(tw.InputError):
        clock.advance(2e9)
    clock.advance(1e9)
    assert clock.now_ns() == 8_000_000_000_000_000_000


def test_a_built_in_clock_that_is_made_another_one_is_asked_as_such() -> None:
    class Shifted(tw.ManualClock):
        def now_ns(self) -> int:
            return super().now_ns() + 5_000_000_000

    assert engine(Shifted(1.0))._core.now_s() == 6.0
    assert engine(type("Named", (tw.ManualClock,), {})(1.0))._core.now_s() == 1.0


def test_the_monotonic_clock_goes_forward() -> None:
    clock = tw.MonotonicClock()
    first = clock.now_ns()
    assert clock.now_ns() >= first > 0


def test_a_clock_that_goes_back_does_not_put_off_the_probe_of_what_is_refused() -> None:
    """Known to take 1 s, refused for a deadline of 0.1 s, probed once a second while nothing is learned of it."""
    clock = tw.ManualClock(3600.0)
    e = tw.Engine([tw.Resource("a")], [tw.Model("m")], [tw.QoS("q", 0.1)], clock=clock, seed=1)
    route = e.route("m", "q")
    for _ in range(20):
        route.select((), deadline_s=10.0).complete(1.0)
    clock.advance(1.0)
    route.select(()).cancel()
    assert not route.select(()).admitted
    clock.set(0.0)
    assert route.select(()).probe
    assert not route.select(()).admitted
    clock.advance(1.0)
    assert route.select(()).probe
