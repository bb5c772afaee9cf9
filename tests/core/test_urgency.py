"""Jobs that wait make a slot dear to a new one by how urgent they are against it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref

URGENT = tw.QoS("urgent", 10.0, priority=0, contract="best_effort")
PATIENT = tw.QoS("patient", 900.0, priority=1, contract="best_effort")


def engine(*seconds: float) -> tw.Engine:
    """Resources of one slot whose service is given so firmly that results do not move the forecast."""
    names = [f"r{lane}" for lane in range(len(seconds))]
    return tw.Engine(
        [tw.Resource(name, slots=1, discipline="priority") for name in names],
        [tw.Model("m")],
        [URGENT, PATIENT],
        profiles=[tw.Profile(name, "m", s, 0.1, 1e4) for name, s in zip(names, seconds, strict=True)],
        clock=tw.ManualClock(),
        tau_s=math.inf,
        seed=1,
    )


def send(e: tw.Engine, lane: int, qos: str, n: int, *, running: int = 0) -> list[tw.Ticket]:
    """n jobs to one lane, the first `running` of them in service. Keep them: a dropped ticket is cancelled."""
    tickets = [e.route("m", qos).select((), mask=1 << lane) for _ in range(n)]
    for ticket in tickets[:running]:
        ticket.start()
    return tickets


@pytest.mark.parametrize(("waiting", "asks", "goes_to"), [
    ("patient", "urgent", 0), ("urgent", "urgent", 1), ("urgent", "patient", 1),
])  # fmt: skip
def test_an_urgent_job_may_pass_patient_ones_but_nobody_urgent_ones(
    waiting: str, asks: str, goes_to: int
) -> None:
    """One runs on either lane, 1 and 1.8 s long; three wait for the faster one."""
    e = engine(1.0, 1.8)
    held = send(e, 0, "urgent", 1, running=1) + send(e, 1, "urgent", 1, running=1)
    held += send(e, 0, waiting, 3)
    ticket = e.route("m", asks).select(())
    assert ticket.lane == goes_to


@given(
    own_s=st.floats(0.01, 1e5),
    budget_s=st.floats(0.01, 1e5),
    n=st.integers(1, 4),
    waited=st.floats(0.0, 0.5),
)
def test_the_rank_is_the_references(own_s: float, budget_s: float, n: int, waited: float) -> None:
    """n jobs with a budget of their own wait; a job with another one is ranked, sooner or later."""
    e = engine(1.0)
    clock = e.clock
    assert isinstance(clock, tw.ManualClock)
    held = send(e, 0, "urgent", 1, running=1)
    route, crowd = e.route("m", "urgent"), 0.0
    for _ in range(n):
        ticket = route.select((), deadline_s=budget_s)
        held.append(ticket)
        assert ticket.wait_s is not None
        crowd += ref.urgency(budget_s, budget_s, ticket.wait_s)
    clock.advance(waited)
    seen = route.select((), deadline_s=own_s, explain=True)
    (row,) = seen.explain()
    seconds = row.wait_s + math.exp(row.ln_service) * (1.0 + ref.patience(own_s) * crowd)
    late = row.wait_s + 2.0 * math.exp(row.ln_service) > own_s
    least = e.profile("r0", "m").availability
    assert row.rank_s == pytest.approx((10.0 if late else 1.0) * seconds / least, rel=1e-5)
