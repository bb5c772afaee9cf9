"""Start test and re-decision in the core, against their plain specification."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref
from tailwise.errors import InputError, TicketError

MODEL = tw.Model("m", features=(tw.Feature("u", typical=1.0),))
URGENT = tw.QoS("urgent", 10.0, priority=0, contract="best_effort")
LAZY = tw.QoS("lazy", 1000.0, priority=3, contract="best_effort")


def engine(
    *resources: tw.Resource,
    mean_s: float = 1.0,
    spread: float = 0.3,
    weight: float = 1e4,
    qos: tuple[tw.QoS, ...] = (URGENT, LAZY),
) -> tw.Engine:
    """Resources whose service is given so firmly that results do not move the forecast."""
    return tw.Engine(
        resources,
        [MODEL],
        qos,
        profiles=[tw.Profile(r.name, "m", mean_s, spread, weight) for r in resources],
        clock=tw.ManualClock(),
        tau_s=math.inf,
        seed=1,
    )


def clock(e: tw.Engine) -> tw.ManualClock:
    assert isinstance(e.clock, tw.ManualClock)
    return e.clock


def owned(name: str, slots: int = 1) -> tw.Resource:
    return tw.Resource(name, slots=slots, discipline="priority")


def teach(e: tw.Engine, seconds: float, n: int) -> None:
    route = e.route("m", "lazy")
    for _ in range(n):
        ticket = route.select((1.0,))
        ticket.start()
        ticket.complete(seconds)


# --- start test -----------------------------------------------------------------------------------------------


@given(
    n=st.integers(0, 20),
    weight=st.sampled_from([1.0, 4.0, 7.5, 8.0, 1e4]),
    left_s=st.floats(0.01, 10.0),
    silent_s=st.floats(0.0, 3.0),
    asked_before=st.booleans(),
)
def test_the_start_test_is_its_specification(
    n: int, weight: float, left_s: float, silent_s: float, asked_before: bool
) -> None:
    """What is given counts as results. A job is asked `silent_s` after the last result, once or twice in a row: the
    second is no probe. The float32 of the served mean is 1e-6 in the median: left times that close to it are left
    out."""
    e = engine(owned("r"), weight=weight)
    teach(e, 2.0, n)
    ticket = e.route("m", "lazy").select((1.0,))
    clock(e).advance(silent_s)
    median_s = math.exp(e.route("m", "lazy").peek((1.0,))[0].ln_service)
    if abs(left_s / median_s - 1.0) < 1e-5:
        return
    silent = silent_s if n else clock(e).now_ns() * 1e-9
    assert ticket.may_start(left_s) == ref.may_start(n + weight, median_s, left_s, silent, math.inf)
    if asked_before:
        assert ticket.may_start(left_s) == ref.may_start(n + weight, median_s, left_s, silent, 0.0)
    ticket.cancel()


def test_a_silent_profile_lets_one_probe_pass_each_second() -> None:
    e = engine(owned("r"))
    teach(e, 2.0, 20)
    ticket = e.route("m", "lazy").select((1.0,))
    passed = []
    for _ in range(31):
        passed.append(ticket.may_start(0.01))
        clock(e).advance(0.1)
    assert [i for i, ok in enumerate(passed) if ok] == [10, 20, 30]
    ticket.cancel()


def test_results_of_a_slow_profile_make_probes_needless() -> None:
    e = engine(owned("r", slots=2))
    teach(e, 2.0, 20)
    ticket = e.route("m", "lazy").select((1.0,))
    for _ in range(30):
        clock(e).advance(0.1)
        teach(e, 2.0, 1)
        assert not ticket.may_start(0.01)
    ticket.cancel()


def test_a_refusal_by_admission_passes_one_probe_each_second_too() -> None:
    """Median 2 s against a deadline of 1 s: P(on time) < .3. Offered 20 jobs a second, one a second is let in."""
    e = tw.Engine(
        [owned("r")], [MODEL], [tw.QoS("q", 1.0)], clock=tw.ManualClock(), tau_s=math.inf, seed=1,
        profiles=[tw.Profile("r", "m", 2.0, 0.1, 1e4)],
    )  # fmt: skip
    route = e.route("m", "q")
    admitted = []
    for _ in range(200):
        clock(e).advance(0.05)
        ticket = route.select((1.0,))
        admitted.append(ticket.admitted)
        if ticket.admitted:
            ticket.cancel()
    assert sum(admitted) == 10


# --- re-decision ----------------------------------------------------------------------------------------------


def numbers(e: tw.Engine) -> list[float]:
    """What a decision on another job would see now."""
    return [
        number
        for qos in ("urgent", "lazy")
        for c in sorted(e.route("m", qos).peek((1.0,)), key=lambda c: c.resource.name)
        for number in (c.wait_s, c.rank_s, c.ln_service, c.spread, *e.load(c.resource.name))
    ]


def crowd(e: tw.Engine, lane: int, n: int) -> list[tw.Ticket]:
    """n jobs on one lane, the first of them in service. Keep them: a ticket that is dropped is cancelled."""
    tickets = [e.route("m", "urgent").select((1.0,), mask=1 << lane) for _ in range(n)]
    for ticket in tickets[:1]:
        ticket.start()
    return tickets


@given(
    slots=st.integers(1, 3),
    n=st.integers(2, 6),
    x=st.floats(0.1, 10.0),
    qos=st.sampled_from(["urgent", "lazy"]),
)
def test_a_moved_job_is_accounted_for_as_if_it_had_been_sent_there(
    slots: int, n: int, x: float, qos: str
) -> None:
    """Beside an engine in which the job was assigned to the other resource at once: waits, ranks, counts agree, and
    so does what completing it teaches. Sums that are added in another order round apart: 1e-12. A job that moves has
    less time left and so is more urgent than one that was sent there, unless it has time without end."""
    endless = tuple(replace(q, deadline_s=1e4) for q in (URGENT, LAZY))
    moved, direct = (engine(owned("a", slots), owned("b"), qos=endless) for _ in range(2))
    jobs = []
    ahead = []
    for e, lane in ((moved, 0), (direct, 1)):
        ahead += crowd(e, 0, slots + n)
        jobs.append(e.route("m", qos).select((x,), mask=1 << lane))
        clock(e).advance(0.25)
        e.route("m", "urgent").select((1.0,), mask=1).cancel()
    assert jobs[0].reconsider()
    assert jobs[0].resource.name == "b"
    for e in (moved, direct):  # draws both lines of residuals at this moment
        for lane in (0, 1):
            other = e.route("m", "urgent").select((1.0,), mask=1 << lane)
            other.start()
            other.cancel()
    assert numbers(moved) == pytest.approx(numbers(direct), rel=1e-12, abs=1e-12)
    assert jobs[0].features.tolist() == jobs[1].features.tolist()
    for job in jobs:
        job.start()
        job.complete(0.7)
    assert numbers(moved) == pytest.approx(numbers(direct), rel=1e-12, abs=1e-12)
    assert moved.profile("b", "m").n == 1.0


@given(n=st.integers(1, 6), ahead=st.integers(0, 3), bonus=st.floats(0.0, 0.99))
def test_a_job_moves_exactly_when_the_other_lane_is_better_by_the_bonus(
    n: int, ahead: int, bonus: float
) -> None:
    """Costs are those of a new job without this one in the way. float32 costs: closer than 1e-5 is left out."""
    e = engine(owned("a"), owned("b"))
    others = crowd(e, 0, n) + crowd(e, 1, ahead)
    rank = {c.resource.name: c.rank_s for c in e.route("m", "urgent").peek((1.0,))}
    job = e.route("m", "urgent").select((1.0,), mask=1)
    if abs(rank["b"] / ((1 - bonus) * rank["a"]) - 1.0) < 1e-5:
        return
    assert job.reconsider(bonus=bonus) == ref.moves(rank["a"], rank["b"], bonus)
    assert len(others) == n + ahead
    assert (job.resource.name == "b") == ref.moves(rank["a"], rank["b"], bonus)


def test_one_that_stays_forecasts_anew_and_counts_once() -> None:
    """Its predicted start moves on with a running job that overstays; the queue's sums are what they were."""
    e = engine(owned("a"))
    ahead = crowd(e, 0, 1)
    job = e.route("m", "urgent").select((1.0,))
    before = job.wait_s
    clock(e).advance(3.0)
    assert not job.reconsider()
    assert job.wait_s > 3.0 > before
    assert e.load("a") == (1, 1)
    again = job.wait_s
    for _ in range(100):
        job.reconsider()
    assert job.wait_s == again
    assert e.load("a") == (len(ahead), 1)


def test_what_was_promised_stays_when_a_job_moves() -> None:
    e = engine(owned("a"), owned("b"))
    ahead = crowd(e, 0, 4)
    job = e.route("m", "urgent").select((1.0,), mask=1)
    promised = job.p_on_time, job.bound_s, job.propensity
    assert job.reconsider()
    assert (job.p_on_time, job.bound_s, job.propensity) == promised
    assert e.load("a") == (1, len(ahead) - 1)


def test_a_job_leaves_a_drained_resource_and_stays_where_nobody_else_may_take_it() -> None:
    e = engine(owned("a"), owned("b"))
    job = e.route("m", "urgent").select((1.0,), mask=1)
    e.drain("a")
    assert not job.reconsider(mask=1)
    assert job.reconsider()
    assert e.load("a") == (0, 0)
    assert e.load("b") == (0, 1)


@pytest.mark.parametrize("objective", ["completion", "cost"])
def test_a_late_job_leaves_a_removed_or_slower_resource_all_the_same(objective: str) -> None:
    """It was admitted once: there is nothing left to refuse, neither on the deadline nor long after it."""
    for late_s in (10.0, 500.0):
        for gone in (True, False):
            e = tw.Engine(
                [owned("a"), owned("b")], [MODEL], [tw.QoS("q", 10.0, objective=objective)],  # type: ignore[arg-type]
                profiles=[tw.Profile(name, "m", 1.0, 0.3, 1e4) for name in "ab"], clock=tw.ManualClock(), seed=1,
            )  # fmt: skip
            ahead = [e.route("m", "q").select((1.0,), mask=1) for _ in range(3)]
            job = e.route("m", "q").select((1.0,), mask=1)
            clock(e).advance(late_s)
            if gone:
                e.remove("a")
            assert job.reconsider()
            assert job.resource.name == "b"
            assert e.load("b") == (0, 1)
            assert not any(ticket.settled for ticket in ahead)


def test_a_started_settled_or_badly_asked_ticket_does_not_move_and_nothing_changes() -> None:
    e = engine(owned("a"), owned("b"))
    waiting, running, ended = (e.route("m", "urgent").select((1.0,), mask=1) for _ in range(3))
    ended.cancel()
    running.start()
    before = e._core.snapshot()
    with pytest.raises(TicketError, match="started"):
        running.reconsider()
    with pytest.raises(TicketError, match="settled"):
        ended.reconsider()
    with pytest.raises(TicketError, match="waits"):
        waiting.copy()
    with pytest.raises(TicketError, match="settled"):
        ended.copy()
    with pytest.raises(TicketError, match="settled"):
        ended.may_start(1.0)
    for bad in ({"bonus": 1.0}, {"bonus": math.nan}, {"mask": -1}):
        with pytest.raises(InputError):
            waiting.reconsider(**bad)  # type: ignore[arg-type]
    assert e._core.snapshot() == before
