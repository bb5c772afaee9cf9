"""Guarantee 11, first half: a masked or drained lane is never chosen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw

K = 5
NAMES = [f"r{i}" for i in range(K)]
ACTIONS = st.tuples(
    st.sampled_from(["drain", "undrain", "select", "complete", "fail", "advance"]),
    st.integers(0, K - 1),
    st.integers(1, (1 << K) - 1),
)


@given(actions=st.lists(ACTIONS, max_size=60), seed=st.integers(0, 2**32 - 1))
def test_a_masked_or_drained_lane_is_never_chosen(actions: list[tuple[str, int, int]], seed: int) -> None:
    """Whatever was learned, however busy the others are, whichever lanes are shut: the chosen lane is in the mask
    and not drained, and the job is refused as no_resource exactly when no lane is both."""
    clock = tw.ManualClock()
    e = tw.Engine(
        [tw.Resource(name) for name in NAMES],
        [tw.Model("m")],
        [tw.QoS("q", 1.0, contract="best_effort")],
        clock=clock,
        seed=seed,
    )
    route = e.route("m", "q")
    drained: set[int] = set()
    tickets: list[tw.Ticket] = []
    for action, lane, mask in actions:
        if action == "drain":
            e.drain(NAMES[lane])
            drained.add(lane)
        elif action == "undrain":
            e.undrain(NAMES[lane])
            drained.discard(lane)
        elif action == "select":
            allowed = {NAMES[i] for i in range(K) if mask >> i & 1 and i not in drained}
            assert {row.resource.name for row in route.peek((), mask=mask)} == allowed
            ticket = route.select((), mask=mask)
            assert ticket.admitted == bool(allowed)
            if ticket.admitted:
                assert ticket.resource.name in allowed
                tickets.append(ticket)
            else:
                assert ticket.reason == "no_resource"
        elif action == "advance":
            clock.advance(0.3 * lane)
        elif tickets:
            ticket = tickets.pop(lane % len(tickets))
            ticket.fail() if action == "fail" else ticket.complete(0.1 * (1 + lane))
