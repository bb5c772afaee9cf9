"""A job's own deadline and its arrival: what is left of the budget is what the decision goes by."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tailwise.dispatch import Dispatch
from tailwise.policy import Learned
from tests.engine.script import Script

CLASS_S = 0.5


def engine(start_s: float = 100.0, contract: str = "best_effort") -> tuple[tw.Engine, tw.ManualClock]:
    """One resource of known speed (median 0.2 s, spread 0.3)."""
    clock = tw.ManualClock(start_s)
    qos = [tw.QoS("q", CLASS_S, contract=contract), tw.QoS("own", 0.25, contract=contract)]
    profiles = [tw.Profile("r", "m", 0.2, spread=0.3, weight=1e4)]
    return tw.Engine(
        [tw.Resource("r", slots=64)], [tw.Model("m")], qos, profiles=profiles, clock=clock, seed=1
    ), clock


def test_without_one_the_classes_deadline_holds() -> None:
    e, _ = engine()
    assert e.route("m", "q").select(()).left_s == CLASS_S


def test_a_jobs_own_budget_stands_in_for_the_classes() -> None:
    e, _ = engine()
    own = e.route("m", "q").select((), deadline_s=0.25)
    other = e.route("m", "own").select(())
    assert own.left_s == other.left_s == 0.25
    assert own.p_on_time == other.p_on_time
    assert own.p_on_time < e.route("m", "q").select(()).p_on_time


@given(start_s=st.floats(-1e6, 1e9), budget_s=st.floats(1e-3, 1e4), share=st.floats(0, 2))
def test_what_has_passed_since_arrival_is_gone(start_s: float, budget_s: float, share: float) -> None:
    """A clock at 1e9 s resolves 1.2e-7 s as a float: twice that of rounding is allowed for."""
    e, clock = engine(start_s)
    clock.advance(share * budget_s)
    ticket = e.route("m", "q").select((), deadline_s=budget_s, arrival_s=start_s)
    assert ticket.left_s == pytest.approx(budget_s * (1 - share), abs=2.5e-7)


@given(waited_s=st.lists(st.floats(0, 0.6), min_size=2, max_size=2, unique=True))
def test_the_longer_a_job_was_on_its_way_the_smaller_is_its_claim(waited_s: list[float]) -> None:
    e, clock = engine()
    clock.advance(1.0)
    sooner, later = (e.route("m", "q").peek((), arrival_s=101.0 - w)[0].p_on_time for w in sorted(waited_s))
    assert later <= sooner


@pytest.mark.parametrize("contract", ["best_effort", "standard"])
def test_without_any_time_left_a_job_is_late_whatever_its_contract(contract: str) -> None:
    e, clock = engine(contract=contract)
    clock.advance(CLASS_S)
    refused = e.route("m", "q").select((), arrival_s=100.0)
    assert (refused.admitted, refused.reason, refused.p_on_time) == (False, "late", 0.0)
    assert e.in_flight == 0
    assert e.route("m", "q").select((), arrival_s=100.4).admitted


def test_peek_tells_what_select_would_see() -> None:
    e, clock = engine()
    clock.advance(0.1)
    (row,) = e.route("m", "q").peek((), deadline_s=0.4, arrival_s=100.0)
    assert row.p_on_time == e.route("m", "q").select((), deadline_s=0.4, arrival_s=100.0).p_on_time


BAD = {
    "no budget": {"deadline_s": 0.0},
    "a negative budget": {"deadline_s": -1.0},
    "NaN": {"deadline_s": math.nan},
    "infinite": {"deadline_s": math.inf},
    "a text": {"deadline_s": "1"},
    "an int too large": {"deadline_s": 10**400},
    "arrival NaN": {"arrival_s": math.nan},
    "arrival in the future": {"arrival_s": 100.1},
    "arrival as a text": {"arrival_s": "now"},
}


@pytest.mark.parametrize("options", BAD.values(), ids=BAD)
@pytest.mark.parametrize("call", ["select", "peek"])
def test_a_time_that_is_none_is_refused_and_changes_nothing(options: dict[str, float], call: str) -> None:
    e, _ = engine()
    before = e._core.snapshot()
    with pytest.raises(tw.InputError, match="_s="):
        getattr(e.route("m", "q"), call)((), **options)
    assert e._core.snapshot() == before


def test_a_job_with_a_budget_beyond_what_nanoseconds_hold_is_queued_and_ends_as_any_other() -> None:
    e, clock = engine()
    dispatch: Dispatch[str] = Dispatch([1], Learned(e))
    running = dispatch.submit("a", "m", e.qos[0], (), clock.now_ns())[1].start
    job, orders = dispatch.submit("b", "m", e.qos[0], (), clock.now_ns(), deadline_s=1e300)
    assert orders.start == []
    assert [run.job for run in dispatch.queued(0)] == [job]
    started = dispatch.ended(running[0], "completed", clock.now_ns()).start
    assert [run.job for run in started] == [job]
    dispatch.ended(started[0], "completed", clock.now_ns())
    assert (job.end, len(dispatch), e.in_flight) == ("completed", 0, 0)


def test_a_job_whose_class_bounds_the_first_token_waits_no_longer_than_that_for_its_turn() -> None:
    dispatch: Dispatch[str] = Dispatch([1], Script())
    first_words = tw.QoS("first words", 10.0, ttft_s=1.0)
    dispatch.submit("a", "m", first_words, (), 0)
    waiting, _ = dispatch.submit("b", "m", first_words, (), 0)
    own, _ = dispatch.submit("c", "m", first_words, (), 0, deadline_s=2.0)
    assert dispatch.due(10**9 - 1).ended == []
    assert dispatch.due(10**9).ended == [waiting]
    assert dispatch.due(2 * 10**9).ended == [own]


def test_a_deadline_of_centuries_waits_for_its_turn_however_late() -> None:
    dispatch: Dispatch[str] = Dispatch([1], Script())
    endless = tw.QoS("some day", 1e10)
    running = dispatch.submit("a", "m", endless, (), 0)[1].start
    waiting, _ = dispatch.submit("b", "m", endless, (), 0)
    ten_years_ns = 10 * 365 * 86_400 * 10**9
    assert dispatch.due(ten_years_ns).ended == []
    assert dispatch.ended(running[0], "completed", ten_years_ns).start == waiting.runs
