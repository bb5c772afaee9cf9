"""Guarantee 8, of jobs with several tickets: every promise is settled exactly once, and one is made for each job.

What the first ticket promised is settled by the first of the job's tickets (copies, further tries) that completes, or
by the end of the last one; time counts from the first decision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref
from tailwise.dispatch import Dispatch
from tailwise.policy import Learned

DEADLINE_S = 5.0
NAMES = ("a", "b", "c")


def engine(on_time: float = 0.9, **options: object) -> tuple[tw.Engine, tw.ManualClock, tw.Route]:
    """Jobs of one second, and a past in which whatever outlived exp(m + 2 s) took ten: then a copy is worth it."""
    clock = tw.ManualClock()
    made = tw.Engine(
        [tw.Resource(name, slots=64, discipline="priority") for name in NAMES],
        [tw.Model("m")],
        [tw.QoS("q", DEADLINE_S, on_time, contract="best_effort"), tw.QoS("past", 99.0)],
        profiles=[tw.Profile(name, "m", 1.0, 0.3, 1e6) for name in NAMES],
        clock=clock,
        seed=3,
        detect_change=False,
        health=None,
        **options,  # type: ignore[arg-type]
    )
    for lane in range(len(NAMES)):
        for _ in range(10):
            ticket = made.route("m", "past").select((), mask=1 << lane)
            ticket.start()
            ticket.complete(10.0)
    return made, clock, made.route("m", "q")


@dataclass
class Job:
    bound_s: float
    since_s: float
    promised: bool = True  # and not settled
    open: list[tw.Ticket] = field(default_factory=list)
    ends: list[tuple[str, float]] = field(default_factory=list)


class Ledger:
    """An engine beside the plain record of its jobs."""

    def __init__(self, on_time: float) -> None:
        self.engine, self.clock, self.route = engine(on_time)
        self.jobs: list[Job] = []
        self.n = self.n_missed = self.n_on_time = 0

    @property
    def now_s(self) -> float:
        return self.clock.now_ns() * 1e-9

    def select(self) -> None:
        ticket = self.route.select(())
        ticket.start()
        self.jobs.append(Job(ticket.bound_s, self.now_s, open=[ticket]))

    def copy(self, job: Job, i: int) -> None:
        second = job.open[i].copy()
        if second is not None:
            second.start()
            job.open.append(second)

    def retry(self, job: Job, i: int, *, failed: bool) -> None:
        """Of an open ticket: the job goes on. After fail(): another job, of which nothing is promised."""
        ticket = job.open.pop(i)
        if failed:
            ticket.fail()
            self.note(job, "fail", math.inf)
        again = ticket.retry()
        if again.admitted:
            again.start()
            if failed:
                self.jobs.append(Job(math.nan, self.now_s, False, [again]))
            else:
                job.open.append(again)
        elif not failed:
            self.note(job, "fail", math.inf)

    def end(self, job: Job, i: int, how: str, service_s: float) -> None:
        ticket = job.open.pop(i)
        if how == "complete":
            ticket.complete(service_s)
            self.note(job, how, max(self.now_s - job.since_s, service_s, 1e-9))
            return
        if how == "abandon":  # no clock is read then: it is dated by the last decision
            self.engine.route("m", "past").select(()).cancel()
        else:
            getattr(ticket, how)()
        del ticket
        self.note(job, how, self.now_s - job.since_s)

    def note(self, job: Job, how: str, after_s: float) -> None:
        job.ends.append((how, after_s))
        if not job.promised or (job.open and how != "complete"):
            return
        job.promised = False
        how, after_s = ref.end_of_job(job.ends)
        if how in ("cancel", "abandon") and after_s < DEADLINE_S - 1e-9:
            return
        completion_s = after_s if how == "complete" else math.inf
        self.n += 1
        self.n_missed += completion_s > job.bound_s
        self.n_on_time += completion_s <= DEADLINE_S

    def check(self) -> None:
        seen = self.engine._core.certificate(0)
        assert (seen["n"], seen["n_missed"], seen["n_on_time"]) == (self.n, self.n_missed, self.n_on_time)
        assert seen["n_open"] == sum(job.promised for job in self.jobs)
        assert len(self.engine._core.promised()) == seen["n_open"]
        assert self.engine.in_flight == sum(len(job.open) for job in self.jobs)


HOW = st.sampled_from(["complete", "fail", "drop", "timeout", "cancel", "abandon"])
STEP = st.tuples(
    st.sampled_from(["select", "copy", "copy", "retry", "fail and retry", "end", "end", "wait", "wait"]),
    st.integers(0, 99),
    st.integers(0, 99),
    HOW,
    st.floats(0.01, 2.5),
)


@given(on_time=st.sampled_from([0.5, 0.9, 0.99]), steps=st.lists(STEP, max_size=60))
def test_a_job_is_counted_once_whatever_becomes_of_its_tickets(
    on_time: float, steps: list[tuple[str, int, int, str, float]]
) -> None:
    """Copies, copies of copies, tries and their ends, by hand or by the garbage collector, in any order."""
    ledger = Ledger(on_time)
    for what, which, i, how, seconds in steps:
        jobs = [job for job in ledger.jobs if job.open]
        if what == "wait":
            ledger.clock.advance(seconds)
        elif what == "select" or not jobs:
            ledger.select()
        else:
            job = jobs[which % len(jobs)]
            i %= len(job.open)
            if what == "copy":
                ledger.copy(job, i)
            elif what == "end":
                ledger.end(job, i, how, seconds)
            else:
                ledger.retry(job, i, failed=what == "fail and retry")
        ledger.check()
    for job in ledger.jobs:
        while job.open:
            ledger.end(job, 0, "complete", 1.0)
            ledger.check()
    assert ledger.engine._core.certificate(0)["n_open"] == 0


def hedged() -> tuple[tw.Engine, tw.ManualClock, tw.Ticket, tw.Ticket]:
    """A job in service for two seconds, and its copy."""
    made, clock, route = engine()
    first = route.select(())
    first.start()
    clock.advance(2.0)
    second = first.copy()
    assert second is not None
    second.start()
    return made, clock, first, second


def test_a_copy_that_wins_keeps_the_promise_of_its_job() -> None:
    """The copy ends 3 s after the job's arrival, within 5; the first one is cancelled after its deadline."""
    made, clock, first, second = hedged()
    clock.advance(1.0)
    second.complete()
    clock.advance(9.0)
    first.cancel()
    seen = made.certificate("q")
    assert (seen.n, seen.open, seen.on_time, seen.claimed) == (1, 0, 1.0, first.p_on_time)


def test_a_copy_that_ends_early_by_itself_but_late_for_its_job_is_late() -> None:
    made, clock, first, second = hedged()
    clock.advance(3.5)
    second.complete()
    first.complete()
    assert (made.certificate("q").n, made.certificate("q").on_time) == (1, 0.0)


def test_a_job_fails_with_the_last_of_its_tickets() -> None:
    made, _, first, second = hedged()
    first.fail()
    assert (made.certificate("q").n, made.certificate("q").open) == (0, 1)
    second.fail()
    assert (made.certificate("q").n, made.certificate("q").on_time) == (1, 0.0)


def test_a_retry_carries_the_promise_on_from_the_first_decision() -> None:
    """Tried again after 3 s of 5: done within another 1.5 it is on time, within another 2.5 it is not."""
    for took_s, on_time in ((1.5, 1.0), (2.5, 0.0)):
        made, clock, route = engine()
        first = route.select(())
        first.start()
        clock.advance(3.0)
        second = first.retry()
        assert (made.certificate("q").n, made.certificate("q").open) == (0, 1)
        second.start()
        clock.advance(took_s)
        second.complete()
        seen = made.certificate("q")
        assert (seen.n, seen.open, seen.on_time, seen.claimed) == (1, 0, on_time, first.p_on_time)


def test_a_job_that_nobody_tries_again_has_failed() -> None:
    made, clock, route = engine()
    first = route.select(())
    clock.advance(DEADLINE_S)
    assert first.retry().reason == "late"
    assert (made.certificate("q").n, made.certificate("q").on_time) == (1, 0.0)


def test_a_hedged_job_that_nobody_tries_again_still_has_its_copy() -> None:
    made, clock, first, second = hedged()
    clock.advance(DEADLINE_S)
    assert first.retry().reason == "late"
    assert (made.certificate("q").n, made.certificate("q").open) == (0, 1)
    second.complete()
    assert (made.certificate("q").n, made.certificate("q").on_time) == (1, 0.0)


def test_a_hedged_job_of_the_dispatch_is_counted_once() -> None:
    """The copy wins on time; the first run ends after the deadline, and only teaches."""
    made, clock, route = engine()
    dispatch = Dispatch[str]([64] * 3, Learned(made), rules=tw.Rules(hedge_budget=1.0))
    job, _ = dispatch.submit("payload", "m", route.qos, (), clock.now_ns())
    clock.advance(2.0)
    (copy,) = dispatch.due(clock.now_ns()).start
    clock.advance(1.0)
    dispatch.ended(copy, "completed", clock.now_ns())
    clock.advance(9.0)
    dispatch.ended(job.runs[0], "completed", clock.now_ns())
    seen = made.certificate("q")
    assert (job.end, seen.n, seen.open, seen.on_time) == ("completed", 1, 0, 1.0)
    assert (len(dispatch), made.in_flight) == (0, 0)
