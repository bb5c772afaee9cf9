"""Who is asked after a silence, against the plain specification."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref
from tests.states import SEEDS

K = 5


@st.composite
def fleets(draw: st.DrawFn) -> list[tuple[float, float, float, bool]]:
    """(median_s, offset_s, seconds since it was last heard of, held busy?) of each resource."""
    lane = st.tuples(
        st.sampled_from([0.1, 0.11, 0.3, 1.0]),
        st.sampled_from([0.0, 0.0, 0.005, 0.5]),
        st.floats(0.01, 2.0),
        st.booleans(),
    )
    return draw(st.lists(lane, min_size=K, max_size=K))


@given(
    fleet=fleets(),
    results=st.sampled_from([109, 110, 249, 250, 500]),
    deadline_s=st.sampled_from([0.25, 5.0]),
    on_time=st.sampled_from([0.9, 0.98]),
    guaranteed=st.booleans(),
    seed=SEEDS,
)
@settings(max_examples=300)
def test_a_job_is_sent_to_a_silent_resource_as_specified(
    fleet: list[tuple[float, float, float, bool]],
    results: int,
    deadline_s: float,
    on_time: float,
    guaranteed: bool,
    seed: int,
) -> None:
    """Profiles are given so firmly that no result moves them. What the class has paid comes from a resource of
    another model; each resource's last result is as old as drawn. Equal silences (ties) and forecasts within 1e-3 of
    the required probability are left out."""
    clock = tw.ManualClock()
    lanes = [f"r{i}" for i in range(K)]
    contract = "guaranteed" if guaranteed else "best_effort"
    e = tw.Engine(
        [tw.Resource(name, slots=3, offset_s=fleet[i][1]) for i, name in enumerate(lanes)]
        + [tw.Resource("till")],
        [tw.Model("m", resources=lanes), tw.Model("paid", resources=["till"])],
        [tw.QoS("q", deadline_s, on_time, contract=contract)],  # type: ignore[arg-type]
        profiles=[tw.Profile(name, "m", fleet[i][0], 0.1, 1e9) for i, name in enumerate(lanes)]
        + [tw.Profile("till", "paid", 0.01, 0.1, 1e9)],
        clock=clock,
        seed=seed,
    )
    for _ in range(results - K):  # jobs of somebody else's choice promise nothing and pay nothing
        e.route("paid", "q").select(()).complete(0.01)
    heard = [10.0 - silent_s for _, _, silent_s, _ in fleet]
    for at_s, i in sorted((at_s, i) for i, at_s in enumerate(heard)):
        clock.set(at_s)
        with e.route("m", "q").observe(lanes[i], ()) as ticket:
            assert ticket.resource.name == lanes[i]
    for _ in range(K):
        e.route("paid", "q").select(()).complete(0.01)
    clock.set(9.995)  # a job that finds nobody to ask puts the question off by a millisecond
    held = [e.route("m", "q").observe(lanes[i], ()) for i in range(K) if fleet[i][3]]
    clock.set(10.0)
    seen = sorted(e.route("m", "q").peek(()), key=lambda c: c.resource.name)
    known = [
        ref.SilentLane(
            cost_s=c.rank_s,
            service_s=math.exp(c.ln_service),
            offset_s=fleet[i][1],
            idle=not fleet[i][3],
            silent_s=fleet[i][2],
            on_time=c.p_on_time >= on_time * (1.0 if guaranteed else c.availability),
        )
        for i, c in enumerate(seen)
    ]
    if any(
        abs(c.p_on_time - on_time) < 1e-3 or abs(v.silent_s - 0.5) < 1e-6
        for c, v in zip(seen, known, strict=True)
    ):
        return
    if len({round(v.silent_s, 6) for v in known}) < K:
        return
    expected = ref.asked_lane(known, results, on_time, guaranteed)
    ticket = e.route("m", "q").select(())
    assert ticket.probe == (expected is not None)
    if expected is not None:
        assert ticket.resource.name == lanes[expected]
    for open_ticket in (*held, ticket):
        if not open_ticket.settled:
            open_ticket.cancel()
