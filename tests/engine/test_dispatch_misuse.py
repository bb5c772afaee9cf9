"""What an owner of the queues can do wrong: it is told by name, and nothing is lost."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
import pytest

import tailwise as tw
from tailwise.dispatch import Dispatch
from tailwise.errors import InputError, TicketError
from tailwise.job import Run
from tailwise.policy import Assignment, End, Learned
from tailwise.queue import Queued, Queues
from tailwise.timers import Timer
from tests.engine.script import Script

SECOND = 1_000_000_000


class Tier(enum.StrEnum):
    FAST = "fast"


FAST = tw.QoS(Tier.FAST, 10.0)


@dataclass
class Failing(Script):
    """Raises at an end, at a start, or when asked for a wait, while told to."""

    fails: bool = False
    fails_to_start: bool = False
    fails_to_foretell: bool = False

    def wait_s(self, assignment: Assignment) -> float:
        if self.fails_to_foretell:
            raise OSError("told to")
        return self.wait

    def started(self, assignment: Assignment) -> None:
        if self.fails_to_start:
            raise OSError("told to")

    def ended(self, assignment: Assignment, end: End, service_s: float, completion_s: float) -> None:
        if self.fails:
            raise OSError("told to")


def submit(dispatch: Dispatch[str], name: str) -> Run[str]:
    job, _ = dispatch.submit(name, "m", FAST, (), 0)
    return job.runs[0]


def learned() -> Learned:
    model = tw.Model("m", (tw.Feature("u", typical=1.0),))
    return Learned(tw.Engine([tw.Resource("r", discipline="priority")], [model], [FAST], seed=1))


def test_a_run_that_still_waits_cannot_end() -> None:
    dispatch: Dispatch[str] = Dispatch([1], Failing())
    first, second = submit(dispatch, "a"), submit(dispatch, "b")
    with pytest.raises(TicketError, match="has not started"):
        dispatch.ended(second, "completed", 1)
    orders = dispatch.ended(first, "completed", 2)
    assert orders.start == [second]
    assert len(dispatch) == 1


def test_a_lane_that_is_not_there_leaves_nothing_behind() -> None:
    policy = Failing(lane=7)
    dispatch: Dispatch[str] = Dispatch([1], policy)
    with pytest.raises(IndexError, match="lane 7"):
        submit(dispatch, "a")
    assert len(dispatch) == 0
    policy.lane = 0
    assert submit(dispatch, "b").start_ns == 0


def test_a_queued_job_that_is_sent_to_a_lane_that_is_not_there_stays_where_it_is() -> None:
    dispatch: Dispatch[str] = Dispatch([1], Failing(moves_to=7))
    first, second = submit(dispatch, "a"), submit(dispatch, "b")
    with pytest.raises(IndexError, match="lane 7"):
        dispatch.look_again(1, 1)
    assert dispatch.queued(0) == [second]
    assert dispatch.ended(first, "completed", 2).start == [second]


@pytest.mark.parametrize("queued", [False, True])
def test_a_policy_that_raises_once_it_has_decided_on_a_job_keeps_nobody_from_it(queued: bool) -> None:
    policy = Failing(fails_to_start=True, fails_to_foretell=True)
    dispatch: Dispatch[str] = Dispatch([1], policy)
    if queued:
        policy.fails_to_start = False
        first = submit(dispatch, "first")
    job, orders = dispatch.submit("a", "m", FAST, (), 0)
    assert str(orders.error) == "told to"
    assert orders.start == ([] if queued else job.runs)
    if queued:
        assert dispatch.ended(first, "completed", 1).start == job.runs
    policy.fails_to_start = policy.fails_to_foretell = False
    assert dispatch.ended(job.runs[0], "completed", 2).ended == [job]
    assert dispatch.submit("b", "m", FAST, (), 3)[1].error is None


def test_a_policy_that_raises_at_an_end_keeps_no_slot() -> None:
    policy = Failing()
    dispatch: Dispatch[str] = Dispatch([1], policy)
    run = submit(dispatch, "a")
    policy.fails = True
    with pytest.raises(OSError, match="told to"):
        dispatch.ended(run, "completed", 1)
    policy.fails = False
    job, orders = dispatch.submit("b", "m", FAST, (), 2)
    assert job.runs[0].start_ns == 2
    assert [ended.payload for ended in orders.ended] == ["a"]  # what the call that raised had ordered
    assert orders.start == job.runs


@pytest.mark.parametrize("n", [1, 2], ids=["alone", "together"])
def test_a_policy_that_raises_at_a_start_loses_no_run_and_no_slot(n: int) -> None:
    policy = Failing()
    model = tw.Model("m", (tw.Feature("u", typical=1.0),), items="u")
    dispatch: Dispatch[str] = Dispatch([1], policy, batching={"m": tw.Batching(4)}, models=[model])
    first = dispatch.submit("first", "m", FAST, (1.0,), 0, shape="s")[0].runs[0]
    jobs = [dispatch.submit(name, "m", FAST, (1.0,), 0, shape="s")[0] for name in "abc"[:n]]
    policy.fails_to_start = True
    with pytest.raises(OSError, match="told to"):
        dispatch.ended(first, "completed", 1)
    policy.fails_to_start = False
    orders = dispatch.free(0, 0, 2)
    assert [job.payload for job in orders.ended] == ["first"]
    assert [run.batch for run in orders.start] == [tuple(job.runs[0] for job in jobs)]
    for job in jobs:
        dispatch.ended(job.runs[0], "completed", 3)
    assert dispatch.load(0) == (0, 0)


def test_a_policy_that_raises_while_all_are_cancelled_loses_no_job() -> None:
    policy = Failing()
    dispatch: Dispatch[str] = Dispatch([1], policy)
    for name in "abc":
        submit(dispatch, name)
    policy.fails = True
    for _ in range(2):
        with pytest.raises(OSError, match="told to"):
            dispatch.clear(1)
    assert [job.payload for job in dispatch.clear(1).ended] == ["b", "c"]
    assert dispatch.n_queued == 0


def test_a_policy_that_raises_at_an_expiry_loses_no_job() -> None:
    policy = Failing()
    dispatch: Dispatch[str] = Dispatch([1], policy)
    for name in "abc":
        submit(dispatch, name)
    policy.fails = True
    with pytest.raises(OSError, match="told to"):
        dispatch.due(20 * SECOND)
    policy.fails = False
    assert [job.payload for job in dispatch.due(20 * SECOND).ended] == ["b", "c"]


def test_a_place_is_started_once() -> None:
    queues: Queues[str] = Queues([2])
    entry = queues.put("a", 0, 0, SECOND)
    assert queues.start(entry, 0) == "a"
    with pytest.raises(InputError, match="left the queue"):
        queues.start(entry, 0)
    assert (queues.length(0), len(queues)) == (0, 0)


@pytest.mark.parametrize("features", [[2.0], np.array([2.0])], ids=["list", "array"])
def test_features_may_be_any_sequence_and_a_class_any_string(features: object) -> None:
    dispatch: Dispatch[str] = Dispatch([1], learned())
    job, _ = dispatch.submit("a", "m", FAST, features, 0)  # type: ignore[arg-type]
    assert job.runs[0].start_ns == 0
    with pytest.raises(InputError):
        dispatch.submit("b", "m", FAST, "far", 0)  # type: ignore[arg-type]


def test_the_types_take_parameters_where_they_are_read() -> None:
    for kind in (Queued, Queues, Timer, Run, Dispatch):
        assert kind[int].__origin__ is kind  # type: ignore[attr-defined, index]
