"""Resources that an operator takes out of service for a while, and what is said when nobody is left."""

from __future__ import annotations

import numpy as np
import pytest

import tailwise as tw
from tailwise.policy import Learned


def engine(k: int = 3, **options: object) -> tw.Engine:
    return tw.Engine(
        [tw.Resource(f"r{i}") for i in range(k)],
        [tw.Model("m"), tw.Model("only", resources=("r0",))],
        [tw.QoS("q", 1.0)],
        clock=tw.ManualClock(),
        seed=1,
        **options,
    )


def test_a_drained_resource_gets_no_job_until_it_is_undrained() -> None:
    e = engine(2)
    route = e.route("m", "q")
    e.drain("r0")
    assert {route.select(()).resource.name for _ in range(20)} == {"r1"}
    assert [row.resource.name for row in route.peek(())] == ["r1"]
    e.undrain("r0")
    assert {route.select(()).resource.name for _ in range(20)} == {"r0", "r1"}


def test_draining_leaves_the_open_jobs_to_end_and_teach() -> None:
    e = engine(1)
    ticket = e.route("m", "q").select(())
    e.drain("r0")
    assert e.load("r0") == (1, 0)
    ticket.complete(0.1)
    assert e.load("r0") == (0, 0)
    assert e.profile("r0", "m").n == 1.0


def test_draining_twice_is_draining_once() -> None:
    e = engine(2)
    e.drain("r0")
    before = e._core.snapshot()
    e.drain("r0")
    assert e._core.snapshot() == before
    e.undrain("r0")
    e.undrain("r0")
    assert len(e.route("m", "q").peek(())) == 2


def test_a_drain_and_its_end_leave_no_trace() -> None:
    e = engine(3)
    before = e._core.snapshot()
    e.drain("r1")
    assert e._core.snapshot() != before
    e.undrain("r1")
    assert e._core.snapshot() == before


def test_with_every_candidate_shut_the_ticket_says_so_and_nothing_changes() -> None:
    e = engine(2)
    for name in ("r0", "r1"):
        e.drain(name)
    before = e._core.snapshot()
    ticket = e.route("m", "q").select(())
    assert e._core.snapshot() == before
    assert not ticket.admitted
    assert ticket.reason == "no_resource"
    assert ticket.resource is None
    assert ticket.settled
    assert ticket.propensity == 1.0
    assert "no_resource" in repr(ticket)
    with pytest.raises(tw.TicketError, match="no_resource"):
        ticket.complete(0.1)


def test_a_model_is_without_a_resource_when_its_own_is_drained() -> None:
    e = engine(3)
    e.drain("r0")
    assert e.route("only", "q").select(()).reason == "no_resource"
    assert e.route("m", "q").select(()).admitted


@pytest.mark.parametrize("mask", [0b001, np.array([True, False, False])])
def test_a_mask_of_shut_candidates_only_is_no_fault_of_the_caller(mask: object) -> None:
    e = engine(3)
    e.drain("r0")
    assert e.route("m", "q").select((), mask=mask).reason == "no_resource"


@pytest.mark.parametrize("mask", [0b000, 0b110])
def test_a_mask_without_a_candidate_is_refused_whether_or_not_they_are_shut(mask: int) -> None:
    e = engine(3)
    for drained in (False, True):
        if drained:
            e.drain("r0")
        with pytest.raises(tw.InputError, match="candidate"):
            e.route("only", "q").select((), mask=mask)


def test_a_policy_hears_that_there_is_no_lane() -> None:
    e = engine(1)
    e.drain("r0")
    assignment = Learned(e).assign("m", "q", (), None)
    assert (assignment.lane, assignment.reason, assignment.expected_s) == (-1, "no_resource", None)
