"""What the owner of queues may say of an end and of a family, and what tailwise makes of it."""

from __future__ import annotations

import pytest

import tailwise as tw
from tailwise.dispatch import Dispatch
from tailwise.errors import InputError, UnknownName
from tailwise.policy import Assignment, End, Learned
from tests.engine.script import Script
from tests.engine.test_dispatch import BATCH, Plain, Play

SECOND = 1_000_000_000
FAST, SLOW = tw.QoS("fast", 0.15), tw.QoS("slow", 10.0, objective="accuracy")


def engine() -> tw.Engine:
    """Family "net": fp32 takes .2 s on either resource, int8 .1 s on a only. "plain" names a model and a family."""
    seconds = {"fp32": 0.2, "int8": 0.1}
    resources = {"fp32": ("a", "b"), "int8": ("a",)}
    accuracy = {"fp32": 0.8, "int8": 0.7}
    return tw.Engine(
        [tw.Resource(name, discipline="priority") for name in "ab"],
        [
            *(tw.Model(m, resources=resources[m], variant_of="net", accuracy=accuracy[m]) for m in seconds),
            tw.Model("other", variant_of="plain", accuracy=0.5),
            tw.Model("plain", accuracy=0.5),
            tw.Model("chat", accuracy=0.5, signals=("ttft", "tpot")),
        ],
        [FAST, SLOW],
        profiles=[tw.Profile(r, m, s, 0.1, 1e6) for m, s in seconds.items() for r in resources[m]],
        clock=tw.ManualClock(),
        seed=1,
    )


def started(dispatch: Dispatch[str], model: str = "plain", qos: tw.QoS = SLOW) -> object:
    job, orders = dispatch.submit("payload", model, qos, (), 0)
    assert orders.start == job.runs
    return job.runs[0]


def test_a_run_that_is_given_up_in_service_counts_as_failed_and_teaches_how_long_it_takes_at_least() -> None:
    e = engine()
    dispatch: Dispatch[str] = Dispatch([1, 1], Learned(e))
    run = started(dispatch)
    resource = run.assignment.ticket.resource.name  # type: ignore[attr-defined]
    e.clock.advance(2.0)  # type: ignore[attr-defined]
    orders = dispatch.ended(run, "timed_out", 2 * SECOND)  # type: ignore[arg-type]
    assert [(job.end, job.reason) for job in orders.ended] == [("timed_out", None)]
    profile = e.profile(resource, "plain")
    assert (profile.n_results, e.certificate("slow").on_time, e.in_flight) == (1, 0.0, 0)
    assert profile.availability < 0.99
    assert (
        profile.median_s > 0.5
    )  # censored at 2 s: it is believed to take longer than what is believed of nothing


def test_a_job_that_was_given_up_and_whose_copy_then_expires_was_given_up() -> None:
    play = Play(Script(hedge_at=1.0, copies_to=1), slots=(1, 1), rules=tw.Rules(hedge_budget=1.0))
    play.dispatch.policy.lane = 1  # type: ignore[attr-defined]
    play.submit("holds lane 1", qos=BATCH)
    play.dispatch.policy.lane = 0  # type: ignore[attr-defined]
    play.submit("a", qos=SLOW)
    play.due(2.0)
    assert play.waiting(1) == ["a"]
    play.end("a", 0, 3.0, "timed_out")
    assert play.jobs["a"].end is None
    play.due(10.0)
    assert (play.jobs["a"].end, play.jobs["a"].reason) == ("timed_out", None)


@pytest.mark.parametrize("warmup", [False, True])
def test_a_warm_up_of_the_queues_teaches_no_latency(warmup: bool) -> None:
    e = engine()
    dispatch: Dispatch[str] = Dispatch([1, 1], Learned(e))
    run = started(dispatch)
    resource = run.assignment.ticket.resource.name  # type: ignore[attr-defined]
    before = e.profile(resource, "plain").median_s
    dispatch.ended(run, "completed", 5 * SECOND, warmup=warmup)  # type: ignore[arg-type]
    profile = e.profile(resource, "plain")
    assert profile.n_results == 1
    assert (profile.median_s == before) == warmup
    assert e.certificate("slow").n == 1


def test_an_answers_tokens_reach_the_ticket() -> None:
    """The executor says first() and progress() itself; the end carries how many there were in all."""
    e = engine()
    dispatch: Dispatch[str] = Dispatch([1, 1], Learned(e))
    for tokens, n in ((None, 0.0), (11, 1.0)):
        run = started(dispatch, "chat")
        ticket = run.assignment.ticket  # type: ignore[attr-defined]
        ticket.first(0.0)
        e.clock.advance(1.0)  # type: ignore[attr-defined]
        dispatch.ended(run, "completed", SECOND, tokens=tokens)  # type: ignore[arg-type]
        assert e.length("chat").n == n


class Hears(Plain):
    """Of the plain face, which knows nothing of warm-ups and tokens."""

    def __init__(self) -> None:
        self.ends: list[End] = []

    def ended(self, assignment: Assignment, end: End, service_s: float, completion_s: float) -> None:
        self.ends.append(end)


def test_a_policy_that_does_not_forecast_hears_the_end_alone() -> None:
    policy = Hears()
    dispatch: Dispatch[str] = Dispatch([1], policy)
    dispatch.ended(started(dispatch), "completed", SECOND, warmup=True, tokens=3)  # type: ignore[arg-type]
    dispatch.ended(started(dispatch), "timed_out", SECOND)  # type: ignore[arg-type]
    assert policy.ends == ["completed", "timed_out"]


@pytest.mark.parametrize(
    ("how", "more", "said"),
    [
        ("expired", {}, "end='expired'"),
        ("done", {}, "end='done'"),
        ("completed", {"tokens": -1}, "tokens=-1"),
        ("completed", {"tokens": 1.5}, "tokens=1.5"),
    ],
)
def test_an_end_that_is_none_is_refused_and_changes_nothing(
    how: str, more: dict[str, object], said: str
) -> None:
    e = engine()
    dispatch: Dispatch[str] = Dispatch([1, 1], Learned(e))
    run = started(dispatch)
    before = e._core.snapshot()
    with pytest.raises(InputError, match=said):
        dispatch.ended(run, how, SECOND, **more)  # type: ignore[arg-type]
    assert e._core.snapshot() == before
    assert len(dispatch) == 1
    dispatch.ended(run, "completed", SECOND)  # type: ignore[arg-type]
    assert len(dispatch) == 0


@pytest.mark.parametrize(("qos", "variant"), [(FAST, "int8"), (SLOW, "fp32")])
def test_a_job_of_a_family_is_a_job_of_the_variant_that_its_class_gets(qos: tw.QoS, variant: str) -> None:
    dispatch: Dispatch[str] = Dispatch([1, 1], Learned(engine()))
    job, _ = dispatch.submit("payload", "net", qos, (), 0)
    assert (job.model, job.assignment.model) == (variant, variant)
    assert job.assignment.ticket is not None
    assert job.assignment.ticket.model.name == variant


def test_a_job_of_a_model_is_not_taken_for_one_of_a_family() -> None:
    policy = Learned(engine())
    assignment = policy.assign("plain", "slow", (), None)
    assert assignment.ticket is not None
    assert (assignment.ticket.model.name, assignment.model) == ("plain", None)
    with pytest.raises(UnknownName, match="no model 'nets'"):
        policy.assign("nets", "slow", (), None)


def test_a_variant_without_a_resource_in_the_mask_is_passed_over() -> None:
    e = engine()
    policy = Learned(e)
    assert policy.assign("net", "fast", (), 0b10, 60.0).model == "fp32"
    e.drain("b")
    refused = policy.assign("net", "fast", (), 0b10)
    assert (refused.lane, refused.reason) == (-1, "no_resource")
    e.remove("b")
    assert policy.assign("net", "fast", (), 0b10).reason == "no_resource"
    with pytest.raises(InputError):
        policy.assign("net", "fast", (1.0,), 0b01)


def test_a_job_that_no_other_resource_can_run_is_never_looked_at_for_a_copy() -> None:
    policy = Learned(engine())
    for model, alone in (("fp32", False), ("int8", True)):
        assignment = policy.assign(model, "slow", (), None)
        assert assignment.ticket is not None
        assert assignment.ticket.alone == alone
        assert (policy.hedge_at_s(assignment) == float("inf")) == alone


def test_a_move_and_a_copy_keep_the_variant() -> None:
    e = engine()
    policy = Learned(e)
    for name in ("a", "b"):
        e.profile(name, "fp32")
    waiting = policy.assign("net", "slow", (), 0b01)
    assert waiting.model == "fp32"
    moved = policy.reconsider(waiting, 0b10, 0.0)
    assert (moved.lane, moved.model) == (1, "fp32")
    policy.started(moved)
    e.clock.advance(60.0)  # type: ignore[attr-defined]
    copy = policy.copy(moved, 0b01)
    assert copy is None or copy.model == "fp32"


@pytest.mark.parametrize("how", ["completed", "failed"])
def test_a_job_that_has_begun_to_answer_ends_as_the_run_that_did(how: str) -> None:
    play = Play(Script(hedge_at=1.0, copies_to=1), rules=tw.Rules(hedge_budget=1.0))
    job = play.submit("a", qos=SLOW)
    play.due(2.0)
    assert play.started == [("a", 0), ("a", 1)]
    first, copy = job.runs
    play.dispatch.speaks(first, 2 * SECOND)
    play.dispatch.speaks(copy, 2 * SECOND)  # too late
    play.end("a", 1, 3.0)
    assert (job.end, copy.end) == (None, "cancelled")
    play.end("a", 0, 4.0, how)
    assert (job.end, job.last) == (how, first)
    assert len(play.dispatch) == 0


def test_a_job_that_has_begun_to_answer_gets_no_copy_and_loses_the_one_that_waits() -> None:
    policy = Script(hedge_at=1.0, copies_to=1, lane=1)
    play = Play(policy, rules=tw.Rules(hedge_budget=1.0))
    play.submit("holds lane 1")
    policy.lane = 0
    job = play.submit("a", qos=SLOW)
    play.due(1.5)
    assert play.waiting(1) == ["a"]
    play.dispatch.speaks(job.runs[0], 2 * SECOND)
    assert play.waiting(1) == []
    play.end("a", 0, 3.0)
    job = play.submit("b", 3.0, SLOW)
    play.dispatch.speaks(job.runs[0], 3 * SECOND)
    play.due(9.0)
    assert not job.hedged
