"""tailwise behind the face that owners of queues see: every decision is a ticket, every end settles it."""

from __future__ import annotations

import pytest

import tailwise as tw
from tailwise.dispatch import Dispatch
from tailwise.policy import Learned


def engine(deadline_s: float = 0.5, **qos: object) -> tw.Engine:
    """Three resources on which a job takes .2 s; model "two" runs on the first two."""
    return tw.Engine(
        [tw.Resource(f"r{i}") for i in range(3)],
        [tw.Model("all"), tw.Model("two", resources=("r0", "r1"))],
        [tw.QoS("q", deadline_s, **qos)],  # type: ignore[arg-type]
        profiles=[tw.Profile(f"r{i}", "all", 0.2, 0.1, 1e6) for i in range(3)],
        clock=tw.ManualClock(),
        seed=1,
    )


def test_a_mask_without_a_candidate_of_the_model_means_no_resource_and_no_error() -> None:
    """The owner masks what is down; which models that leaves without a resource is not its concern."""
    e = engine()
    before = e._core.snapshot()
    refused = Learned(e).assign("two", "q", (), 0b100)
    assert (refused.lane, refused.reason, refused.ticket) == (-1, "no_resource", None)
    assert e._core.snapshot() == before
    assert Learned(e).assign("two", "q", (), 0b110).lane == 1
    assert Learned(e).assign("all", "q", (), 0b100).lane == 2


def test_a_refusal_says_when_a_job_like_it_would_be_taken() -> None:
    """Three jobs are ahead on the only lane: .6 s and .2 s more do not fit into .5 s."""
    e = engine()
    policy = Learned(e)
    ahead = [policy.assign("all", "q", (), 0b001) for _ in range(2)]
    assert [a.retry_after_s for a in ahead] == [None, None]
    refused = policy.assign("all", "q", (), 0b001)
    assert refused.reason == "late"
    assert refused.ticket is not None
    assert refused.retry_after_s == refused.ticket.retry_after_s
    assert 0.0 < refused.retry_after_s < 0.4


@pytest.mark.parametrize(("deadline_s", "reason"), [(None, None), (0.1, "late")])
def test_a_job_is_decided_by_its_own_deadline(deadline_s: float | None, reason: str | None) -> None:
    assert Learned(engine()).assign("all", "q", (), None, deadline_s).reason == reason


def test_a_resource_that_joins_runs_queued_jobs_once_it_has_slots() -> None:
    """A queue of three on one resource; the second joins the engine, then the queues, and is known to be as fast."""
    e = tw.Engine(
        [tw.Resource("first", discipline="priority")],
        [tw.Model("m")],
        [tw.QoS("q", 60.0)],
        profiles=[tw.Profile("first", "m", 0.2, 0.1, 1e6)],
        clock=tw.ManualClock(),
        seed=1,
    )
    dispatch: Dispatch[int] = Dispatch([1], Learned(e))
    started = [run.lane for k in range(3) for run in dispatch.submit(k, "m", e.qos[0], (), 0)[1].start]
    joined = tw.Resource("second", slots=2, discipline="priority")
    lane = e.add(joined, profiles=[tw.Profile("second", "m", 0.2, 0.1, 1e6)])
    assert [r.lane for r in dispatch.submit(3, "m", e.qos[0], (), 0)[1].start] == []  # not here yet
    assert dispatch.set_slots(lane, joined.slots, 0).start == []
    moved = dispatch.look_again(0b1, 0)
    assert started == [0]
    assert [run.lane for run in moved.start] == [lane, lane]
    assert sum(len(dispatch.queued(k)) for k in (0, lane)) == 1
