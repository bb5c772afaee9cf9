"""The choice among the feasible, against reference.py on random states."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref
from tests.paths import PATHS, on_path
from tests.states import SEEDS, SIZES, random_mask, random_request, random_state
from tests.twin import LEVELS


@given(k=SIZES, seed=SEEDS, deadline_s=st.floats(1e-3, 10.0), on_time=st.floats(0.1, 0.99))
@settings(max_examples=60)
def test_the_cheapest_of_the_feasible_is_the_references(
    k: int, seed: int, deadline_s: float, on_time: float
) -> None:
    """Where values differ by more than float32 is wrong by (5e-4), and no P lies within 2e-3 of the bound, or of the
    highest where none reaches it: then the lane is the reference's and no other. Lines are drawn at the moment;
    without exploration nothing unknown is favoured or trusted."""
    asked = tw.QoS(
        "asked", deadline_s, on_time, priority=1, contract="best_effort", objective="cost", explore=False
    )
    twin, rng = random_state(k, seed, (*LEVELS, asked))
    price = rng.exponential(1.0, k)
    for lane, resource in enumerate(twin.resources):
        twin.engine._core.price(lane, price[lane], 0.0)
        if twin.model.resources is None or resource.name in twin.model.resources:
            twin.redraw(lane, (8.0, 1.0))
    u, Z = random_request(k, rng)
    mask = random_mask(k, rng, np.isfinite(twin.candidates(u, 1, Z).cost_s))
    seen = twin.candidates(u, 1, Z, mask)
    rows = zip(seen.m, seen.s, seen.dof, seen.wait_s, seen.wait_var, seen.available, strict=True)
    p = np.array([ref.forecast_total(*row[:5], deadline_s, row[5])[2] for row in rows])
    value = price * np.array([ref.service_mean(m, s) for m, s in zip(seen.m, seen.s, strict=True)])
    left = np.isfinite(seen.cost_s)
    feasible = left & (p >= on_time)
    highest, values = np.sort(p[left]), np.sort(value[feasible])
    lanes = set()
    for path in PATHS:
        with on_path(path):
            ticket = twin.routes[1].select(u, Z, mask=mask)
        lanes.add(twin.engine.lane(ticket.resource.name))
        ticket.cancel()
    if (
        np.all(np.abs(highest - on_time) > 2e-3)
        and np.all(np.diff(values) > 5e-4 * values[1:])
        and (feasible.any() or len(highest) < 2 or highest[-1] > highest[-2] + 2e-3)
    ):
        expected = ref.best_among(value, p, on_time, seen.cost_s)
        assert lanes == expected


def test_ties_in_value_stay_in_and_the_likeliest_stands_in_for_nobody() -> None:
    """The specification itself."""
    cost, value = np.array([1.0, 2.0, 3.0, np.inf]), np.array([5.0, 4.0, 4.0, 1.0])
    assert ref.best_among(value, np.array([0.9, 0.95, 0.99, 1.0]), 0.9, cost) == {1, 2}
    assert ref.best_among(value, np.array([0.8, 0.85, 0.2, 1.0]), 0.9, cost) == {1}
    assert ref.best_among(value, np.ones(4), 0.9, np.full(4, np.inf)) == set()
