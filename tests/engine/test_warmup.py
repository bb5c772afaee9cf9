"""Completions whose time says nothing of the next one: warm-ups, and a clock that went back."""

from __future__ import annotations

import math

import pytest

import tailwise as tw


class Bench:
    """Two resources, two models; jobs of a tenth of a second one at a time, the clock stands still meanwhile."""

    def __init__(self, idle_gap_s: float | None = None) -> None:
        self.clock = tw.ManualClock(1000.0)
        self.engine = tw.Engine(
            [tw.Resource("a", slots=2), tw.Resource("b")],
            [tw.Model("m"), tw.Model("other"), tw.Model("llm", signals=("ttft", "tpot"))],
            [tw.QoS("q", 1.0, contract="best_effort"), tw.QoS("chat", ttft_s=1.0, tpot_s=0.1)],
            clock=self.clock,
            idle_gap_s=idle_gap_s,
            tau_s=math.inf,
            seed=1,
        )

    def open(self, model: str = "m", resource: str = "a", qos: str = "q") -> tw.Ticket:
        return self.engine.route(model, qos).select((), mask=1 << self.engine.lane(resource))

    def learn(self, n: int, model: str = "m", seconds: float = 0.1) -> None:
        for _ in range(n):
            self.open(model).complete(seconds)

    def n(self, model: str = "m") -> float:
        return self.engine.profile("a", model).n


def test_a_warm_up_counts_for_availability_and_not_for_latency() -> None:
    bench = Bench()
    bench.learn(20)
    for _ in range(2):
        bench.open().fail()
    before, sums = bench.engine._core.posterior(0, 0), bench.engine._core.sums(0, 0)[0].tobytes()
    for _ in range(30):
        bench.open().complete(9.0, warmup=True)
    after = bench.engine._core.posterior(0, 0)
    assert bench.engine._core.sums(0, 0)[0].tobytes() == sums
    assert after["succeeded"] == pytest.approx(before["succeeded"] + 30.0)
    assert after["n_results"] == before["n_results"] + 30
    (row,) = bench.engine.route("m", "q").peek((), mask=1)
    assert row.availability == pytest.approx(bench.engine.profile("a", "m").availability)


def test_a_warm_up_raises_no_alarm() -> None:
    bench = Bench()
    bench.learn(50)
    alarms = []
    for warmup in (True, False):
        for _ in range(6):
            bench.open().complete(9.0, warmup=warmup)
        alarms.append(bench.engine.alarms("a"))
    assert alarms[0] == 0 < alarms[1]


def test_a_resource_seen_in_warm_ups_only_is_still_to_be_tried() -> None:
    bench = Bench()
    bench.learn(20)
    bench.open(resource="b").complete(60.0, warmup=True)
    assert bench.engine.route("m", "q").select(()).resource.name == "b"


def test_the_first_completion_of_each_model_after_an_idle_gap_is_a_warm_up() -> None:
    bench = Bench(idle_gap_s=30.0)
    bench.learn(10)
    bench.learn(10, "other")
    assert (bench.n("m"), bench.n("other")) == (10.0, 10.0)
    bench.clock.advance(30.0)
    bench.learn(1, seconds=5.0)
    assert bench.n("m") == 10.0
    bench.learn(1)
    assert bench.n("m") == 11.0
    bench.learn(1, "other", 5.0)
    assert bench.n("other") == 10.0
    bench.learn(1, "other")
    assert bench.n("other") == 11.0


def test_first_tokens_after_an_idle_gap_teach_nothing_until_a_job_has_completed() -> None:
    bench = Bench(idle_gap_s=30.0)

    def answer(first_s: float, end_s: float) -> None:
        ticket = bench.open("llm", qos="chat")
        ticket.first(first_s)
        ticket.complete(end_s, tokens=10)

    for _ in range(10):
        answer(0.1, 1.0)
    assert bench.n("llm") == 10.0
    bench.clock.advance(30.0)
    cold, beside = bench.open("llm", qos="chat"), bench.open("llm", qos="chat")
    for ticket in (cold, beside):
        ticket.first(20.0)
    assert bench.n("llm") == 10.0
    cold.complete(21.0, tokens=10)
    assert bench.n("llm") == 10.0
    beside.complete(21.0, tokens=10)  # its pace is that of a warm resource
    assert bench.engine._core.posterior(2, 0, 1)["n"] == 11.0
    answer(0.1, 1.0)
    assert bench.n("llm") == 11.0


def test_no_gap_is_seen_while_any_job_is_on_the_resource_nor_before_its_time_nor_unless_asked_for() -> None:
    for idle_gap_s, wait_s, busy in ((30.0, 29.9, False), (30.0, 100.0, True), (None, 100.0, False)):
        bench = Bench(idle_gap_s)
        bench.learn(10)
        held = bench.open("other") if busy else None
        bench.clock.advance(wait_s)
        bench.learn(1)
        assert bench.n() == 11.0
        if held is not None:
            held.cancel()


def test_a_gap_ends_where_the_job_came_and_not_elsewhere() -> None:
    bench = Bench(idle_gap_s=30.0)
    bench.learn(10)
    bench.open(resource="b").complete(0.1)
    bench.clock.advance(60.0)
    bench.open(resource="b").complete(5.0)
    assert bench.engine.profile("b", "m").n == 1.0
    bench.open(resource="b").complete(0.1)
    assert bench.engine.profile("b", "m").n == 2.0
    assert bench.n() == 10.0


def test_a_clock_that_went_back_after_a_gap_makes_no_more_warm_ups_of_it() -> None:
    bench = Bench(idle_gap_s=30.0)
    bench.learn(10)
    bench.clock.advance(3600.0)
    bench.learn(1, seconds=5.0)
    bench.clock.set(1000.0)
    bench.learn(5)
    assert bench.n() == 15.0


def test_a_profile_that_was_reset_learns_from_its_next_job_unless_a_gap_came_before_it() -> None:
    bench = Bench(idle_gap_s=30.0)
    bench.learn(10)
    bench.clock.advance(60.0)
    bench.learn(2)
    bench.engine.reset("a")
    bench.learn(1)
    assert bench.n() == 1.0
    bench.clock.advance(60.0)
    bench.engine.reset("a")
    bench.learn(1, seconds=5.0)
    assert bench.n() == 0.0


@pytest.mark.parametrize("model", ["m", "llm"])
def test_a_clock_that_went_back_since_the_start_teaches_no_latency_and_is_counted(model: str) -> None:
    """A nanosecond, the least that a clock resolves, would be taken for the fastest job ever. A time that is given
    does not depend on the clock."""
    bench = Bench()
    qos = "chat" if model == "llm" else "q"
    ticket = bench.open(model, qos=qos)
    bench.clock.set(900.0)
    if model == "llm":
        ticket.first()
    ticket.complete()
    profile = bench.engine.profile("a", model)
    assert (profile.n, profile.n_results) == (0.0, 1)
    assert bench.engine.counters["n_untimed"] == (2 if model == "llm" else 1)
    ticket = bench.open()
    bench.clock.set(800.0)
    ticket.complete(0.1)
    assert bench.n() == 1.0


@pytest.mark.parametrize("idle_gap_s", [0.0, -1.0, math.nan, math.inf])
def test_an_idle_gap_is_positive_and_finite(idle_gap_s: float) -> None:
    with pytest.raises(tw.ConfigError, match="idle_gap_s"):
        Bench(idle_gap_s)


def test_a_warm_up_that_cannot_be_settled_changes_nothing() -> None:
    bench = Bench()
    ticket = bench.open()
    before = bench.engine._core.snapshot()
    with pytest.raises(tw.InputError):
        ticket.complete(-1.0, warmup=True)
    with pytest.raises(tw.InputError):
        ticket.complete(tokens=3, warmup=True)
    assert bench.engine._core.snapshot() == before
    ticket.cancel()
