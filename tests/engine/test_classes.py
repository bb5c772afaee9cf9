"""What a class of service changes: where a job goes, what is refused, which class a bare requirement gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw

URGENT = tw.QoS("urgent", 0.5, 0.99, priority=0, contract="best_effort")
NORMAL = tw.QoS("normal", 2.0, 0.95, priority=1, contract="best_effort")
BATCH = tw.QoS("batch", 60.0, 0.5, priority=2, contract="best_effort")


def engine(**disciplines: str) -> tw.Engine:
    return tw.Engine(
        [tw.Resource("fast", discipline=disciplines.get("fast", "priority")), tw.Resource("slow")],
        [tw.Model("m")],
        [BATCH, URGENT, NORMAL],
        profiles=[
            tw.Profile("fast", "m", 0.1, spread=0.1, weight=1e4),
            tw.Profile("slow", "m", 0.26, spread=0.1, weight=1e4),
        ],
        clock=tw.ManualClock(),
        seed=1,
    )


@given(ahead=st.integers(2, 50))
def test_the_same_job_goes_elsewhere_in_a_higher_class(ahead: int) -> None:
    """Two or more batch jobs of 0.1 s wait on the fast resource: a batch job is done sooner on the slow one
    (0.26 s against 0.3), an urgent one passes them, since it is only there sure to be in time."""
    e = engine()
    queued = [e.route("m", "batch").select((), mask=1) for _ in range(ahead)]
    lower, higher = e.route("m", "batch").select(()), e.route("m", "urgent").select(())
    assert (lower.resource.name, higher.resource.name) == ("slow", "fast")
    assert higher.wait_s == 0.0
    for ticket in (*queued, lower, higher):
        ticket.cancel()


@given(ahead=st.integers(4, 50))
def test_on_a_fifo_resource_the_class_changes_nothing(ahead: int) -> None:
    """So many jobs ahead that no class is sure to be in time on the fast one, nor the urgent one on the slow one."""
    e = engine(fast="fifo")
    queued = [e.route("m", "batch").select((), mask=1) for _ in range(ahead)]
    for qos in ("batch", "urgent"):
        ticket = e.route("m", qos).select(())
        assert ticket.resource.name == "slow"
        ticket.cancel()
    assert len(queued) == e.in_flight


@given(ahead=st.lists(st.sampled_from(["urgent", "normal", "batch"]), max_size=12))
def test_a_class_waits_for_itself_and_for_those_before_it_only(ahead: list[str]) -> None:
    e = engine()
    queued = [e.route("m", name).select((), mask=1) for name in ahead]
    for level, name in enumerate(("urgent", "normal", "batch")):
        before = sum(q.priority <= level for q in (URGENT, NORMAL, BATCH) for a in ahead if a == q.name)
        (row,) = e.route("m", name).peek((), mask=1)
        assert row.wait_s == pytest.approx(0.1 * before, rel=1e-4)
    assert len(queued) == len(ahead)


def test_more_time_never_lowers_the_claim() -> None:
    deadlines = [0.05, 0.1, 0.2, 0.4, 0.8, 10.0]
    e = tw.Engine(
        [tw.Resource("r")],
        [tw.Model("m")],
        [tw.QoS(f"q{d}", d, contract="best_effort") for d in deadlines],
        profiles=[tw.Profile("r", "m", 0.2)],
        clock=tw.ManualClock(),
        seed=1,
    )
    claims = [e.route("m", f"q{d}").peek(())[0].p_on_time for d in deadlines]
    assert claims == sorted(claims)
    assert claims[0] < 0.1 < 0.9 < claims[-1]


def test_a_standard_class_refuses_what_would_be_late_and_best_effort_does_not() -> None:
    qos = [tw.QoS("standard", 0.01), tw.QoS("best", 0.01, contract="best_effort")]
    e = tw.Engine([tw.Resource("r")], [tw.Model("m")], qos, clock=tw.ManualClock(), seed=1)
    for _ in range(20):
        e.route("m", "best").select(()).complete(1.0)
    refused, taken = e.route("m", "standard").select(()), e.route("m", "best").select(())
    assert (refused.admitted, refused.reason) == (False, "late")
    assert (taken.admitted, taken.reason) == (True, None)
    assert refused.p_on_time == pytest.approx(taken.p_on_time)


@pytest.mark.parametrize(
    ("deadline_s", "on_time", "expected"),
    [
        (0.5, 0.99, "urgent"),
        (1.0, 0.9, "urgent"),
        (2.0, 0.95, "normal"),
        (2.0, 0.96, "urgent"),
        (59.0, 0.5, "normal"),
        (60.0, 0.5, "batch"),
        (1e6, 0.01, "batch"),
    ],
)
def test_a_bare_requirement_gets_the_least_urgent_class_that_covers_it(
    deadline_s: float, on_time: float, expected: str
) -> None:
    assert engine().classify(deadline_s, on_time).name == expected


@pytest.mark.parametrize(("deadline_s", "on_time"), [(0.4, 0.9), (1.0, 0.999)])
def test_a_requirement_that_no_class_covers_is_refused_with_the_classes_there_are(
    deadline_s: float, on_time: float
) -> None:
    with pytest.raises(tw.InputError, match=r"urgent \(0.99 within 0.5 s\)"):
        engine().classify(deadline_s, on_time)


@pytest.mark.parametrize(
    ("deadline_s", "on_time"), [(0.0, 0.9), (-1.0, 0.9), (float("nan"), 0.9), (1.0, 0.0), (1.0, 1.0)]
)
def test_a_requirement_out_of_range_is_refused(deadline_s: float, on_time: float) -> None:
    with pytest.raises(tw.InputError, match="seconds > 0"):
        engine().classify(deadline_s, on_time)
