"""What queued jobs count for where the last ones were served together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref

RUN = st.tuples(st.lists(st.floats(0.5, 8.0), min_size=1, max_size=5), st.floats(0.01, 5.0))


@given(runs=st.lists(RUN, max_size=25), waiting=st.lists(st.floats(0.5, 8.0), min_size=1, max_size=9))
def test_a_queued_job_counts_for_the_share_that_the_last_runs_took(
    runs: list[tuple[list[float], float]], waiting: list[float]
) -> None:
    """All of its own service until two jobs are joined; then what the reference makes of the runs since, to the
    rounding of sums of at most 30 numbers."""
    e = tw.Engine(
        [tw.Resource("r", discipline="priority")],
        [tw.Model("m", (tw.Feature("n", typical=4.0),), items="n")],
        [tw.QoS("q", 1e6, contract="best_effort")],
        clock=tw.ManualClock(),
        detect_change=False,
        health=None,
        seed=1,
    )
    route = e.route("m", "q")
    said: list[tuple[float, float]] = []
    for sizes, seconds in runs:
        lead, *others = [route.select((n,)) for n in sizes]
        alone_s = sum(ticket.service_s for ticket in (lead, *others))
        if others:
            lead.start_batch(others, (sum(sizes),))
        else:
            lead.start()
        if others or said:
            said.append((seconds, alone_s))
        for ticket in (lead, *others):
            ticket.complete(seconds)
    queued = [route.select((n,)) for n in waiting]
    expected_s = ref.joint_share(said) * sum(ticket.service_s for ticket in queued)
    assert route.peek((1.0,))[0].wait_s == pytest.approx(expected_s, rel=1e-9)
    for ticket in queued:
        ticket.cancel()
    assert route.peek((1.0,))[0].wait_s == 0.0
