"""Running jobs that should have ended long ago: a resource that hangs loses its reputation without one result."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref

MEAN_S, SPREAD = 0.1, 0.3


class Bench:
    """Equal resources with given profiles that no result moves; jobs by hand."""

    def __init__(
        self, k: int = 2, slots: int = 4, spread: float = SPREAD, faster: float = 1.0, **options: object
    ) -> None:
        self.clock = tw.ManualClock()
        self.engine = tw.Engine(
            [tw.Resource(f"r{i}", slots=slots) for i in range(k)],
            [tw.Model("m"), tw.Model("other")],
            [tw.QoS("q", 1.0, contract="best_effort")],
            profiles=[
                tw.Profile(f"r{i}", m, MEAN_S / (1.0 if i else faster), spread, 1e9)
                for i in range(k)
                for m in ("m", "other")
            ],
            clock=self.clock,
            health=None,
            seed=1,
            **options,  # type: ignore[arg-type]
        )
        self.route = self.engine.route("m", "q")

    def hold(self, lane: int = 0, model: str = "m") -> tw.Ticket:
        return self.engine.route(model, "q").select((), mask=1 << lane)

    def seen(self, lane: int = 0, model: str = "m") -> tw.Candidate:
        """The lane as the next decision sees it: a decision for another lane lets the engine look."""
        route = self.engine.route(model, "q")
        route.select((), mask=1 << len(self.engine.resources) - 1).cancel()
        (row,) = route.peek((), mask=1 << lane)
        return row

    @property
    def horizon_s(self) -> float:
        row = self.route.peek((), mask=1)[0]
        return ref.overdue_after_s(row.ln_service, row.spread, row.dof)


@given(spread=st.floats(0.01, 2.0), share=st.floats(0.5, 2.0))
def test_a_job_is_overdue_beyond_twice_its_mean_and_the_last_permille_of_its_forecast(
    spread: float, share: float
) -> None:
    bench = Bench(spread=spread)
    held = bench.hold()
    bench.clock.advance(share * bench.horizon_s)
    bench.seen()
    if abs(share - 1.0) > 1e-3:
        assert bench.engine.overdue("r0") == (share > 1.0)
    assert not held.settled


def test_after_one_last_permille_a_lane_stops_attracting_though_it_has_free_slots() -> None:
    """Ties go to the fewer open jobs, so r1 is given as many first. One overdue job halves the availability."""
    bench = Bench()
    hung = bench.hold(0)
    bench.clock.advance(bench.horizon_s * 0.999)
    other = bench.hold(1)
    before = bench.seen(0)
    tied = [bench.route.select(()) for _ in range(2)]
    assert {t.resource.name for t in tied} == {"r0", "r1"}
    for ticket in tied:
        ticket.cancel()
    bench.clock.advance(bench.horizon_s * 0.002)
    tied = [bench.route.select(()) for _ in range(2)]
    assert {t.resource.name for t in tied} == {"r1"}
    after = bench.seen(0)
    assert after.availability == pytest.approx(before.availability / 2, rel=1e-6)
    assert after.p_on_time == pytest.approx(before.p_on_time / 2, rel=1e-6)
    assert bench.engine.overdue("r0") == 1
    assert hung.settled is other.settled is False


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("model", ["m", "other"])
def test_every_overdue_job_is_another_one_in_250_that_the_lane_does_not_hang(n: int, model: str) -> None:
    """For all models of the resource, whichever the jobs ran."""
    bench = Bench()
    before = bench.seen(0, model).availability
    held = [bench.hold(0) for _ in range(n)]
    bench.clock.advance(bench.horizon_s * 1.01)
    for found in range(1, n + 1):
        assert bench.seen(0, model).availability == pytest.approx(before / (1 + ref.doubt(found)), rel=1e-5)
        assert bench.engine.overdue("r0") == n == len(held)
        bench.clock.advance(1.1 * MEAN_S)
    assert bench.seen(0, model).availability == pytest.approx(before / (1 + ref.doubt(n)), rel=1e-5)


@pytest.mark.parametrize("apart_s", [0.0, 1e-3])
def test_jobs_found_overdue_within_a_mean_count_as_one_since_this_process_may_have_stood_still(
    apart_s: float,
) -> None:
    """Four jobs end during a stall, and then decisions come before their completions are told. The lane is still
    one to send to, and the first completion shows that it never hung."""
    bench = Bench(k=1)
    before = bench.route.peek(())[0].availability
    held = []
    for _ in range(4):
        held.append(bench.hold(0))
        bench.clock.advance(apart_s)
    bench.clock.advance(bench.horizon_s * 1.001 - 4.0 * apart_s)  # the first of them is due
    for _ in range(4):
        bench.clock.advance(apart_s)
        bench.route.select(()).cancel()
    assert bench.engine.overdue("r0") == 4
    assert bench.route.peek(())[0].availability == pytest.approx(before / 2, rel=1e-6)
    held[0].complete(MEAN_S)
    assert bench.route.peek(())[0].availability == pytest.approx(before, rel=1e-3)


def test_a_completion_refutes_that_its_lane_hangs() -> None:
    """The job stays overdue; what goes overdue later counts again."""
    bench = Bench()
    held = [bench.hold(0), bench.hold(0)]
    before = bench.seen(0).availability
    bench.clock.advance(bench.horizon_s * 1.01)
    held.append(bench.hold(0))
    bench.clock.advance(1.1 * MEAN_S)
    assert bench.seen(0).availability < 0.01
    bench.hold(0).complete(MEAN_S)
    assert bench.seen(0).availability == pytest.approx(before, rel=1e-3)
    assert bench.engine.overdue("r0") == 2
    bench.clock.advance(bench.horizon_s * 1.01)
    assert bench.seen(0).availability == pytest.approx(before / 2, rel=1e-3)
    assert bench.engine.overdue("r0") == 3 == len(held)


@pytest.mark.parametrize("settle", ["complete", "fail", "timeout", "cancel"])
def test_no_doubt_outlives_the_jobs_that_raised_it(settle: str) -> None:
    """What remains is what their ends teach: at most one failure, 100 / 101."""
    bench = Bench()
    before = bench.seen(0).availability
    held = bench.hold(0)
    bench.clock.advance(bench.horizon_s * 1.5)
    assert bench.seen(0).availability < 0.6
    getattr(held, settle)()
    assert bench.engine.overdue("r0") == 0
    assert bench.seen(0).availability == pytest.approx(before, rel=0.011)


def test_overdue_jobs_that_fill_a_lane_are_expected_to_take_as_long_again() -> None:
    """Four jobs on four slots, one second old: the mean residual of one is a second, so the first of them ends
    in 1 / sqrt(4) of it. By its forecast each would be as good as done: 30 ms."""
    bench = Bench()
    held = [bench.hold(0) for _ in range(4)]
    bench.clock.advance(1.0)
    row = bench.seen(0)
    assert row.wait_s == pytest.approx(0.5, rel=1e-6)
    assert ref.remaining(row.ln_service, row.spread, 1.0, False) < 0.05
    bench.clock.advance(1.0)
    assert bench.seen(0).wait_s == pytest.approx(1.0, rel=1e-6)
    assert len(held) == 4


def test_overdue_jobs_enter_the_served_copy_only() -> None:
    bench = Bench()
    for _ in range(20):
        bench.hold(0).complete(MEAN_S)
    core = bench.engine._core
    before = core.sums(0, 0)[0].tobytes(), core.posterior(0, 0)["failed"], core.posterior(0, 0)["n_results"]
    held = [bench.hold(0), bench.hold(0)]
    bench.clock.advance(100.0)
    assert bench.seen(0).availability < 0.6
    bench.clock.advance(1.1 * MEAN_S)
    assert bench.seen(0).availability < 0.01
    raw = core.posterior(0, 0)
    assert (core.sums(0, 0)[0].tobytes(), raw["failed"], raw["n_results"]) == before
    assert len(held) == 2


def test_jobs_queued_at_a_doubted_lane_are_looked_at_again() -> None:
    bench = Bench()
    bench.engine.take_disturbed()
    held = bench.hold(0)
    bench.clock.advance(bench.horizon_s * 1.01)
    bench.seen(0)
    assert bench.engine.take_disturbed() == 1
    bench.clock.advance(0.1)
    bench.seen(0)
    assert bench.engine.take_disturbed() == 0
    assert not held.settled


def test_a_job_that_is_never_settled_does_not_shut_its_lane_for_ever() -> None:
    """A free slot of the doubted lane is offered 5 s after the doubt, then at twice the age of the doubt: in 1000 s
    at most 1 + log2(200) = 8 jobs, and not many fewer, since the lane would be the faster one. The next one that
    completes there ends the doubt."""
    bench = Bench(slots=64, faster=1.5)
    hung, sent = [bench.hold(0)], 0
    bench.clock.advance(bench.horizon_s * 1.01)
    for _ in range(100_000):
        bench.clock.advance(0.01)
        ticket = bench.route.select(())
        if ticket.resource.name == "r0":
            sent += 1
            hung.append(ticket)
        else:
            ticket.complete(MEAN_S)
    assert 7 <= sent <= 8
    bench.clock.advance(2000.0)
    while (ticket := bench.route.select(())).resource.name != "r0":
        ticket.complete(MEAN_S)
    ticket.complete(MEAN_S)
    assert bench.seen(0).availability > 0.98
    assert bench.engine.overdue("r0") == len(hung)


def test_a_clock_that_went_back_takes_the_doubt_back() -> None:
    bench = Bench()
    before = bench.seen(0).availability
    held = bench.hold(0)
    bench.clock.advance(3600.0)
    assert bench.seen(0).availability < 0.6
    bench.clock.set(0.0)
    bench.hold(0).cancel()
    held.cancel()
    assert bench.seen(0).availability == pytest.approx(before, rel=1e-3)


def test_among_many_resources_a_hang_is_noticed_within_a_microsecond_of_each() -> None:
    """64 resources, decisions every 10 us: passes are 64 us apart at least, so the one that finds the job comes that
    and a decision late at most."""
    bench = Bench(k=64)
    held = bench.hold(0)
    bench.clock.advance(bench.horizon_s - 1e-3)
    while not bench.engine.overdue("r0"):
        assert bench.clock.now_ns() * 1e-9 < bench.horizon_s + 75e-6
        bench.clock.advance(1e-5)
        bench.hold(1).cancel()
    assert bench.clock.now_ns() * 1e-9 >= bench.horizon_s
    assert not held.settled


def test_without_change_detection_nothing_is_looked_at() -> None:
    bench = Bench(detect_change=False)
    before = bench.seen(0).availability
    held = bench.hold(0)
    bench.clock.advance(1e6)
    assert bench.seen(0).availability == before
    assert bench.engine.overdue("r0") == 0
    assert not held.settled


def test_a_cold_profile_is_overdue_only_when_nothing_explains_it() -> None:
    """Nothing known: a median of 1 s, spread 2.3 and four degrees of freedom put the last permille at e^16 s, half
    a year."""
    e = tw.Engine([tw.Resource("r")], [tw.Model("m")], [tw.QoS("q", 1.0)], clock=tw.ManualClock(), seed=1)
    (row,) = e.route("m", "q").peek(())
    assert 15.0 < math.log(ref.overdue_after_s(row.ln_service, row.spread, row.dof)) < 18.0
