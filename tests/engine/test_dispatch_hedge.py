"""Hedges of the dispatch: one copy of an urgent job, the first result wins."""

import pytest

import tailwise as tw
from tailwise.dispatch import HEDGES_SAVED, Dispatch
from tests.engine.script import Script
from tests.engine.test_dispatch import SECOND, URGENT, Play


def hedged(script: Script, **rules: float) -> Play:
    """An urgent job runs on lane 0 past its outlier age of 1 s, after as many decisions as the budget needs."""
    play = Play(script, rules=tw.Rules(**{"hedge_budget": 0.5, **rules}))  # type: ignore[arg-type]
    play.submit("first")
    play.end("first", 0, 0.0)
    play.submit("u", qos=URGENT)
    return play


def test_an_urgent_job_that_outlives_its_forecast_gets_one_copy_elsewhere() -> None:
    script = Script(copies_to=1)
    play = hedged(script)
    play.due(0.99)
    assert not play.jobs["u"].hedged
    play.due(1.0)
    assert play.started[-2:] == [("u", 0), ("u", 1)]
    play.due(9.0)
    assert len(play.jobs["u"].runs) == 2


@pytest.mark.parametrize(
    ("hedge_at_s", "deadline_s", "look_ns"),
    [
        (0.5, 10.0, 500_000_000),
        (0.0001, 10.0, 4_000_000),
        (0.0001, 0.008, 2_000_000),
        (0.0001, 0.002, 1_000_000),
        (float("inf"), 10.0, None),
    ],
)
def test_a_quick_job_is_not_looked_at_before_a_stall_of_it_could_hurt(
    hedge_at_s: float, deadline_s: float, look_ns: int | None
) -> None:
    """4 ms, or a quarter of its deadline where that is less, but at least 1 ms."""
    dispatch: Dispatch[str] = Dispatch([1, 1], Script(hedge_at=hedge_at_s))
    dispatch.submit("u", "m", URGENT, (), 0, deadline_s=deadline_s)
    assert dispatch.next_due_ns() == look_ns


def test_a_queued_copy_does_not_move_to_where_its_job_runs() -> None:
    script = Script(copies_to=1, wait=2.0)
    play = hedged(script)
    script.lane = 1
    play.submit("other")
    play.due(1.0)
    script.masks.clear()
    play.due(2.5)
    assert script.masks == [0b10]
    assert play.waiting(1) == ["u"]


def test_the_first_result_wins_and_a_running_loser_ends_and_teaches() -> None:
    script = Script(copies_to=1)
    play = hedged(script)
    play.due(1.0)
    play.end("u", 1, 1.5)
    job = play.jobs["u"]
    assert job.end == "completed"
    assert job.last is job.runs[1]
    assert job.end_ns == 1.5 * SECOND
    assert len(play.dispatch) == 1  # the loser holds its slot
    play.submit("next", at_s=2.0)
    assert play.waiting(0) == ["next"]
    play.end("u", 0, 4.0)
    assert script.ends[-1] == (0, "completed", 4.0)
    assert job.last is job.runs[1]
    assert play.started[-1] == ("next", 0)


def test_a_queued_loser_leaves_without_a_start() -> None:
    script = Script(copies_to=1)
    play = hedged(script)
    script.lane = 1
    play.submit("other")
    play.due(1.0)
    assert play.waiting(1) == ["u"]
    play.end("u", 0, 1.2)
    assert play.waiting(1) == []
    assert script.ends[-1] == (1, "cancelled", 0.0)
    play.end("other", 1, 2.0)
    assert ("u", 1) not in play.started


def test_a_failing_run_leaves_its_job_to_the_other_one() -> None:
    play = hedged(Script(copies_to=1))
    play.due(1.0)
    play.end("u", 0, 1.5, "failed")
    assert play.jobs["u"].end is None
    play.end("u", 1, 2.0, "failed")
    assert play.jobs["u"].end == "failed"


def test_a_copy_that_expires_in_its_queue_does_not_end_the_running_job() -> None:
    script = Script(copies_to=1, wait=50.0)
    play = hedged(script)
    script.lane = 1
    play.submit("other")
    play.due(1.0)
    play.due(10.0)
    assert play.waiting(1) == []
    assert play.jobs["u"].end is None
    play.end("u", 0, 11.0)
    assert play.jobs["u"].end == "completed"


def test_a_failed_job_whose_copy_leaves_its_queue_has_failed() -> None:
    """There is an error to tell; that its copy then expired, or was cancelled, is no news to the caller."""
    for leave in (
        lambda play: play.due(10.0),
        lambda play: play.carry_out(play.dispatch.clear(10 * SECOND)),
    ):
        script = Script(copies_to=1, wait=50.0)
        play = hedged(script)
        script.lane = 1
        play.submit("other")
        play.due(1.0)
        play.end("u", 0, 2.0, "failed")
        assert play.jobs["u"].end is None
        leave(play)
        job = play.jobs["u"]
        assert (job.end, job.reason, job.end_ns) == ("failed", None, 10 * SECOND)
        assert job.last is job.runs[0]


def test_a_refused_hedge_is_asked_for_again_when_the_job_is_older() -> None:
    script = Script(copies_to=None)
    play = hedged(script)
    play.due(1.0)
    assert len(script.masks) == 1
    assert play.dispatch.next_due_ns() == 1.25 * SECOND
    script.copies_to = 1
    play.due(1.25)
    assert play.jobs["u"].hedged


def test_no_hedge_after_the_deadline_and_none_below_priority_0() -> None:
    script = Script(copies_to=None)
    play = hedged(script)
    script.lane = 1
    play.submit("b")
    script.copies_to = 0
    play.due(10.0)
    assert script.masks == []
    assert play.dispatch.next_due_ns() is None


def test_copies_stay_within_their_budget_per_decision_and_savings_are_bounded() -> None:
    """At 2% one copy needs 50 decisions; a quiet day saves up no more than HEDGES_SAVED."""
    script = Script(copies_to=1, hedge_at=0.1)
    play = Play(script, slots=[10_000, 10_000])
    for i in range(49):
        play.submit(f"u{i}", qos=URGENT)
    play.due(1.0)
    assert not any(job.hedged for job in play.jobs.values())
    play.submit("u49", qos=URGENT)
    play.due(2.0)
    assert sum(job.hedged for job in play.jobs.values()) == 1
    for i in range(2000):
        play.submit(f"v{i}", at_s=2.0, qos=URGENT)
    play.due(3.0)
    assert sum(job.hedged for job in play.jobs.values()) == 1 + HEDGES_SAVED
