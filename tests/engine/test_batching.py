"""Waiting jobs that are served together: who joins whom, and how many."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import tailwise as tw
from tailwise.errors import TicketError
from tailwise.policy import Assignment, Learned
from tests.engine.joined import HIGH, LOW, MODELS, SECOND, Play, Sized


def test_those_that_wait_for_the_same_model_in_the_same_shape_start_with_the_head_as_far_as_they_fit() -> (
    None
):
    """By queue order: priority, then deadline."""
    policy = Sized()
    play = Play(policy)
    play.submit("first")
    for name, more in {
        "late": {"deadline_s": 99.0},
        "low": {},
        "other model": {"model": "k"},
        "other shape": {"shape": (1, 2)},
        "no shape": {"shape": None},
        "high": {"qos": HIGH, "size": 3.0},
        "early": {"deadline_s": 50.0},
        "fifth": {},
    }.items():
        play.submit(name, **more)  # type: ignore[arg-type]
    play.end("first", 1.0)
    assert play.starts == ["first", "high+early+late+low"]
    assert policy.batches == [(4, (3.0, 4.0))]
    play.end("high+early+late+low", 2.0)
    assert play.starts[2:] == ["other model"]
    play.end("other model", 3.0)
    play.end("other shape", 4.0)
    play.end("no shape", 5.0)
    play.end("fifth", 6.0)
    assert sorted(play.ended) == sorted(play.jobs)
    assert {job.end for job in play.jobs.values()} == {"completed"}
    assert len(play.dispatch) == 0


def test_items_add_up_and_who_is_ahead_of_a_rider_in_its_shape_is_never_left_behind() -> None:
    play = Play(Sized())
    play.submit("first")
    for name, items in (("a", 2.0), ("b", 1.5), ("c", 1.0), ("d", 0.5), ("big", 5.0)):
        play.submit(name, items=items)
    play.end("first", 1.0)
    assert play.starts[-1] == "a+b"
    play.end("a+b", 2.0)
    assert play.starts[-1] == "c+d"
    play.end("c+d", 3.0)
    assert play.starts[-1] == "big"  # served alone, though it has more than a batch may


def test_a_slot_is_free_once_when_the_last_of_its_batch_has_ended() -> None:
    play = Play(Sized())
    play.submit("first")
    for name in ("a", "b", "next", "one more"):
        play.submit(name, shape="s" if name in "ab" else name)
    play.end("first", 1.0)
    a, b = play.runs.pop("a+b")
    assert a.batch == b.batch == (a, b)
    play.carry_out(play.dispatch.ended(b, "failed", 2 * SECOND))
    assert play.starts == ["first", "a+b"]
    assert (play.jobs["b"].end, play.jobs["a"].end) == ("failed", None)
    with pytest.raises(TicketError, match="ends once"):
        play.dispatch.ended(b, "completed", 2 * SECOND)
    play.carry_out(play.dispatch.ended(a, "completed", 3 * SECOND))
    assert play.starts == ["first", "a+b", "next"]
    assert (a.batch, a.n_together) == ((a,), 2)


@pytest.mark.parametrize("lost_by", [0, 1])
def test_a_slot_lost_with_a_batch_is_lost_once(lost_by: int) -> None:
    play = Play(Sized())
    for name in ("first", "a", "b", "c"):
        play.submit(name, shape=None if name == "c" else "s")
    play.end("first", 1.0)
    for k, run in enumerate(play.runs.pop("a+b")):
        play.carry_out(play.dispatch.ended(run, "failed", 2 * SECOND, slot_lost=k == lost_by))
    assert play.waiting() == ["c"]
    play.carry_out(play.dispatch.free(0, 1, 3 * SECOND))
    assert play.starts[-1] == "c"
    play.submit("d", 3.0)
    assert play.waiting() == ["d"]


def test_a_batch_grows_while_every_one_of_its_jobs_is_still_in_time() -> None:
    """A run of n takes 1 + n s; the high job has 8.5 s left when its turn comes, the low ones 99 and more."""
    play = Play(Sized(each_s=1.0), max_items=64)
    play.submit("first")
    play.submit("high", 0.0, HIGH)
    for k in range(20):
        play.submit(f"{k}", 0.0)
    play.end("first", 1.5)
    assert play.starts[-1] == "+".join(["high", *(f"{k}" for k in range(6))])


def rivalry(qos: tw.QoS, items: float = 1.0) -> str:
    """Who starts of six that wait with a job of k behind their head. A run of n items takes 1 + n s. When the slot is
    free, that job has 7.5 s, and the head, whose class it may share, 7."""
    play = Play(Sized(fixed_s=1.0, each_s=1.0), max_items=64)
    play.submit("first")
    play.submit("a", qos=HIGH)
    for name in "bcdef":
        play.submit(name)
    play.submit("k", 2.0, qos, model="k", items=items, deadline_s=8.5)
    play.end("first", 3.0)
    return play.starts[1]


def test_a_batch_leaves_a_higher_class_that_waits_for_another_model_the_time_that_it_needs() -> None:
    """It takes 2 s of its 7.5, and a batch of 4 takes 5."""
    assert rivalry(HIGH) == "a+b+c+d"


def test_a_batch_heeds_no_rival_of_its_riders_class_and_none_that_is_late_anyway() -> None:
    assert rivalry(LOW) == "a+b+c+d+e+f"
    assert rivalry(HIGH, items=5.0) == "a+b+c+d+e+f"


def test_a_job_that_is_late_whatever_is_done_does_not_keep_the_batch_small() -> None:
    """It has 1.5 s left, and takes 2 by itself; the others may wait for 20 of them."""
    play = Play(Sized(each_s=1.0), max_items=64)
    play.submit("first")
    play.submit("hopeless", 0.0, HIGH)
    for k in range(30):
        play.submit(f"{k}", 0.0, deadline_s=30.0)
    play.end("first", 8.5)
    assert play.starts[-1] == "+".join(["hopeless", *(f"{k}" for k in range(19))])


def test_what_has_expired_or_fails_the_start_test_rides_with_nobody() -> None:
    policy = Sized()
    play = Play(policy)
    play.submit("first")
    play.submit("head")
    play.submit(
        "expired", 0.0, deadline_s=200.0
    )  # behind the head, whose end is told before the clock is heard
    play.submit("late", 0.0, deadline_s=300.0)
    policy.passes = False
    play.dispatch.policy.may_start = lambda a, left_s: left_s < 60.0 or left_s > 210.0  # type: ignore[method-assign]
    play.end("first", 50.0)
    assert play.starts == ["first", "head+late"]
    assert play.jobs["expired"].reason == "late_start"
    assert play.ended == ["first", "expired"]


@dataclass
class Doubting(Sized):
    """Raises when asked about a start for the third time, or for a forecast, while told to."""

    fails: str = ""
    n_asked: int = 0

    def may_start(self, assignment: Assignment, left_s: float) -> bool:
        self.n_asked += 1
        if self.fails == "may_start" and self.n_asked == 3:
            raise OSError("told to")
        return True

    def service_within_s(
        self, assignment: Assignment, features: tuple[float, ...], probability: float
    ) -> float:
        if self.fails == "service_within_s":
            raise OSError("told to")
        return 1.0


@pytest.mark.parametrize("call", ["may_start", "service_within_s"])
def test_jobs_at_whose_joining_the_policy_raises_are_joined_by_the_next_call(call: str) -> None:
    policy = Doubting()
    play = Play(policy)
    for name in ("first", "a", "b", "c"):
        play.submit(name)
    policy.fails = call
    with pytest.raises(OSError, match="told to"):
        play.end("first", 1.0)
    assert play.waiting() == ["a", "b", "c"]
    policy.fails = ""
    play.carry_out(play.dispatch.free(0, 0, 2 * SECOND))
    assert play.starts == ["first", "a+b+c"]
    play.end("a+b+c", 3.0)
    assert play.ended == ["first", "a", "b", "c"]
    assert len(play.dispatch) == 0


def test_a_policy_that_does_not_forecast_joins_as_many_as_fit_and_hears_of_each_start() -> None:
    heard: list[Assignment] = []

    class Plain:
        def assign(self, *_: object) -> Assignment:
            return Assignment(0)

        def started(self, assignment: Assignment) -> None:
            heard.append(assignment)

        def ended(self, *_: object) -> None: ...

    play = Play(Plain(), max_items=3)
    for name in ("first", "a", "b", "c", "d"):
        play.submit(name, qos=HIGH)
    play.end("first", 9.9999)
    assert play.starts == ["first", "a+b+c"]
    assert len(heard) == 4


def test_members_of_a_batch_get_no_copy_and_a_copy_may_ride() -> None:
    policy = Sized(hedge_at=1.0, copies_to=1)
    play = Play(policy, lanes=2, rules=tw.Rules(hedge_budget=1.0))
    policy.lane = 1
    play.submit("x")
    play.submit("y")
    policy.lane = 0
    play.submit("first", qos=HIGH)
    play.submit("a", qos=HIGH)
    play.submit("b", qos=HIGH)
    play.due(2.0)
    assert [run.job.payload for run in play.dispatch.queued(1)] == ["first", "y"]
    play.end("first", 2.5)
    assert play.starts[-1] == "a+b"
    play.due(9.0)
    assert not any(job.hedged for name, job in play.jobs.items() if name != "first")
    second = Play(Sized(hedge_at=1.0, copies_to=1), lanes=2, rules=tw.Rules(hedge_budget=1.0))
    second.dispatch.policy.lane = 1  # type: ignore[attr-defined]
    second.submit("x")
    second.submit("y")
    second.dispatch.policy.lane = 0  # type: ignore[attr-defined]
    second.submit("first", qos=HIGH)
    second.due(2.0)
    second.end("x", 3.0)
    assert second.starts[-1] == "first+y"  # the copy leads
    second.end("first+y", 4.0)
    assert second.ended == ["x", "first", "y"]
    second.end("first", 5.0)
    assert len(second.dispatch) == 0


def test_a_minimum_share_counts_every_job_that_is_started_along() -> None:
    """A quarter of the starts: of the four of a full batch the low class is owed the one that follows."""
    play = Play(Sized(), min_share={"low": 0.25})
    play.submit("first", qos=HIGH, shape=None)
    for k in range(3):
        play.submit(f"l{k}", qos=LOW, shape="low")
    for k in range(12):
        play.submit(f"h{k}", qos=HIGH)
    play.end("first", 0.0)
    while play.runs:
        play.end(next(iter(play.runs)), 0.0)
    assert play.starts[1:] == ["h0+h1+h2+h3", "l0+l1+l2", "h4+h5+h6+h7", "h8+h9+h10+h11"]


# --- held slots -----------------------------------------------------------------------------------------------


def test_a_batch_of_tailwise_is_one_run_of_its_features() -> None:
    clock = tw.ManualClock()
    e = tw.Engine([tw.Resource("r", discipline="priority")], MODELS[:2], [HIGH, LOW], clock=clock, seed=1)
    play = Play(Learned(e))
    play.submit("first", qos=HIGH)
    play.submit("a", qos=LOW, size=3.0)
    play.submit("b", qos=HIGH, size=2.0, items=2.0)
    clock.set(1.0)
    play.end("first", 1.0)
    assert play.starts[-1] == "b+a"
    assert e.load("r") == (1, 0)
    ticket = play.jobs["b"].assignment.ticket
    assert ticket is not None
    assert ticket.service_s == pytest.approx(e.route("m", "high").peek((3.0, 3.0))[0].service_s, rel=1e-5)
    clock.set(3.0)
    play.end("b+a", 3.0)
    assert e.profile("r", "m").n_results == 2
    assert (e.in_flight, len(play.dispatch)) == (0, 0)
    assert [e.certificate(q).n for q in ("high", "low")] == [2, 1]
