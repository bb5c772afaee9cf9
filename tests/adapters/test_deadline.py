"""What is left of a deadline is what nested jobs and servers downstream get, never more."""

from __future__ import annotations

import math
import threading

import pytest

import tailwise as tw
from tailwise.adapters.deadline import left_s, narrow, outgoing, within

QOS = tw.QoS("q", 1.0)
CHAT = tw.QoS("chat", 10.0, ttft_s=0.4)


def test_without_a_deadline_nothing_is_sent_and_nothing_narrowed() -> None:
    clock = tw.ManualClock(5.0)
    assert left_s() == math.inf
    assert outgoing() == {}
    assert narrow(QOS, clock) == {}
    assert narrow(QOS, clock, 0.5, 4.9) == {"deadline_s": 0.5, "arrival_s": 4.9}


def test_what_is_left_falls_with_the_clock_and_ends_with_the_block() -> None:
    clock = tw.ManualClock(5.0)
    with within(0.8, clock):
        clock.advance(0.5)
        assert left_s() == pytest.approx(0.3)
        assert outgoing() == {"x-tailwise-deadline-ms": "300.000"}
        assert narrow(QOS, clock) == {"deadline_s": pytest.approx(0.3)}
        assert narrow(QOS, clock, 0.2) == {"deadline_s": 0.2}
        assert narrow(QOS, clock, 1.2, 4.9) == {"deadline_s": pytest.approx(0.9), "arrival_s": 4.9}
        assert narrow(CHAT, clock) == {"deadline_s": pytest.approx(0.3)}  # the first token comes no later
    assert left_s() == math.inf


def test_an_inner_deadline_is_heeded_where_it_is_sooner_and_the_outer_one_comes_back() -> None:
    clock, other = tw.ManualClock(5.0), tw.ManualClock(7000.0)
    with within(0.8, clock):
        with within(0.5, other):
            assert left_s() == pytest.approx(0.5)
            other.advance(0.1)
            assert left_s() == pytest.approx(0.4)
        with within(2.0, other), within(math.inf, other):
            assert left_s() == pytest.approx(0.8)
        assert left_s() == pytest.approx(0.8)


@pytest.mark.parametrize("contract", ["best_effort", "standard", "guaranteed"])
def test_a_nested_job_is_refused_as_late_when_nothing_is_left(contract: str) -> None:
    clock = tw.ManualClock(5.0)
    engine = tw.Engine(
        [tw.Resource("a")], [tw.Model("m")], [tw.QoS("q", 1.0, contract=contract)], clock=clock
    )
    with within(0.8, clock):
        clock.advance(1.0)
        ticket = engine.route("m", "q").select((), **narrow(engine.qos[0], clock))
        assert (ticket.admitted, ticket.reason) == (False, "late")
        assert ticket.left_s == pytest.approx(-0.2)
        assert outgoing() == {"x-tailwise-deadline-ms": "0.001"}


def test_another_thread_has_no_deadline_of_ours() -> None:
    seen: list[float] = []
    with within(0.8, tw.ManualClock()):
        thread = threading.Thread(target=lambda: seen.append(left_s()))
        thread.start()
        thread.join()
    assert seen == [math.inf]


def test_a_deadline_that_is_learned_inside_holds_from_then_on() -> None:
    clock = tw.ManualClock(5.0)
    with within(math.inf, clock) as deadline:
        assert outgoing() == {}
        deadline.shorten(0.5)
        clock.advance(0.1)
        deadline.shorten(3.0)
        assert left_s() == pytest.approx(0.4)
