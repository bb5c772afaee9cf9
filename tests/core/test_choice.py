"""Which lane a decision falls on: against reference.py on random states, and what must hold in every state."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref
from tests.paths import PATHS, on_path
from tests.record import Candidates
from tests.states import BENT, MODEL, SEEDS, SIZES, decided_now, random_mask, random_request, random_state
from tests.twin import LEVELS, Twin


@given(k=SIZES, seed=SEEDS, as_array=st.booleans())
def test_choice_is_the_references(k: int, seed: int, as_array: bool) -> None:
    """Ties aside: costs are float32, so lanes whose order that error could turn are all right; where it could
    not, the lane is one of those with the fewest open jobs among the cheapest, and the propensity counts them."""
    twin, rng, u, Z, level = decided_now(k, seed)
    usable = np.isfinite(twin.candidates(u, level, Z).cost_s)
    mask = random_mask(k, rng, usable)
    seen = twin.candidates(u, level, Z, mask)
    given_mask = None if mask is None else np.array([bool(mask >> i & 1) for i in range(k)])
    for path in PATHS:
        with on_path(path):
            ticket = twin.routes[level].select(u, Z, mask=given_mask if as_array else mask)
        check_choice(twin, level, seen, ticket)
        ticket.cancel()


def check_choice(twin: Twin, level: int, seen: Candidates, ticket: tw.Ticket) -> None:
    cheapest = int(np.argmin(seen.cost_s))
    lane = twin.engine.lane(ticket.resource.name)

    limit = seen.cost_s[cheapest] * (1 + ref.TIE)
    slack = (seen.error + seen.error[cheapest]) * seen.cost_s
    assert seen.cost_s[lane] <= limit + slack[lane]
    if not np.any(np.abs(seen.cost_s - limit) <= slack):
        tied = ref.choose(seen.cost_s, seen.n_open)
        assert lane in tied
        assert ticket.propensity == pytest.approx(1 / len(tied))
    np.testing.assert_allclose(ticket.features, seen.x[lane], rtol=1e-6, atol=1e-6)
    assert ticket.wait_s == pytest.approx(seen.wait_s[lane], rel=1e-5, abs=1e-9)
    assert ticket.service_s == pytest.approx(ref.service_mean(seen.m[lane], seen.s[lane]), rel=1e-4)
    deadline_s = next(q.deadline_s for q in LEVELS if q.priority == level)
    _, _, p = ref.forecast_total(
        seen.m[lane],
        seen.s[lane],
        seen.dof[lane],
        seen.wait_s[lane],
        seen.wait_var[lane],
        deadline_s,
        seen.available[lane],
    )
    assert ticket.p_raw == pytest.approx(p, abs=5e-5)


@given(k=SIZES, seed=SEEDS)
@settings(max_examples=40)
def test_a_masked_lane_is_never_chosen(k: int, seed: int) -> None:
    twin, rng = random_state(k, seed)
    for i in range(21):
        u, Z = random_request(k, rng)
        usable = np.isfinite(twin.candidates(u, 0, Z).cost_s)
        mask = random_mask(k, rng, usable)
        with on_path(PATHS[i % len(PATHS)]):
            lane = twin.select(u, 0, Z, mask).lane
        assert usable[lane]
        assert mask is None or mask >> lane & 1


@pytest.mark.usefixtures("each_path")
@pytest.mark.parametrize("k", [2, 8, 64, 65, 100])
def test_ties_go_to_the_generator_never_to_the_position(k: int) -> None:
    """Equal idle lanes: counts of 200 k draws lie within 5 sd of 200 (sd sqrt(200); k = 100: chance 6e-5, and the
    seed is fixed)."""
    twin = Twin(tw.Model("m"), [tw.Resource(f"r{i}") for i in range(k)], seed=3)
    counts = Counter()
    for _ in range(200 * k):
        ticket = twin.routes[0].select(())
        assert ticket.propensity == pytest.approx(1 / k)
        counts[ticket.resource.name] += 1
        ticket.cancel()
    assert len(counts) == k
    assert max(abs(c - 200) for c in counts.values()) < 5 * math.sqrt(200)


@pytest.mark.usefixtures("each_path")
@pytest.mark.parametrize("k", [2, 17, 64, 65, 100])
def test_among_equals_the_fewest_open_jobs_win(k: int) -> None:
    """Every decision counts at once: k jobs on k equal lanes never share one, and so the next k."""
    twin = Twin(tw.Model("m"), [tw.Resource(f"r{i}", slots=4) for i in range(k)], seed=5)
    for _ in range(2):
        assert sorted(twin.select(()).lane for _ in range(k)) == list(range(k))


EQUALS = tw.Model(
    "m", MODEL.features, (BENT.columns[0], MODEL.columns[3], tw.Column("all", 2.0, "in_flight", times="n"))
)


@pytest.mark.usefixtures("each_path")
@given(
    seed=SEEDS,
    k=st.integers(2, 5),
    slots=st.integers(1, 3),
    discipline=st.sampled_from(["fifo", "priority"]),
    size=st.floats(1e-300, 1e300),
    n=st.floats(0, 1e300),
    start=st.sampled_from(["unknown", "given", "pooled", "data"]),
)
def test_an_idle_lane_among_busy_equals_is_never_passed_over(
    seed: int, k: int, slots: int, discipline: str, size: float, n: float, start: str
) -> None:
    """However far outside the data x and the load lie: same statistics, one lane idle, the others busy."""
    rng = np.random.default_rng(seed)
    resources = [tw.Resource(f"r{i}", slots=slots, discipline=discipline) for i in range(k)]
    resources.append(tw.Resource("teacher", slots=64))
    profiles = [tw.Profile(r.name, "m", 0.05, 0.3, 8.0) for r in resources[:k]] if start == "given" else []
    clock = tw.ManualClock()
    engine = tw.Engine(
        resources, [EQUALS, tw.Model("other")], LEVELS, profiles=profiles, clock=clock, tau_s=80.0, seed=seed
    )
    route, lanes = engine.route("m", "urgent"), (1 << k) - 1
    rows = rng.normal(0, 1, (12, 2))
    for lane in {"data": range(k), "pooled": [k]}.get(start, []):
        for a, b in rows:
            held = [route.select((1.0, 1.0), mask=1 << lane) for _ in range(2)]
            route.select((float(np.exp(a)), float(np.exp(b))), mask=1 << lane).complete(
                float(np.exp(-3 + 0.5 * a - 0.4 * b))
            )
            for ticket in held:
                ticket.cancel()
    if start == "data":
        # equal statistics, but served copies of different age: a completion elsewhere rebuilds one old copy each
        clock.advance(11.0)
        other = engine.route("other", "urgent")
        for _ in range(4 * len(resources)):
            other.select((), mask=1 << k).complete(0.1)
    idle, busy = int(rng.integers(k)), []
    for lane in set(range(k)) - {idle}:
        for _ in range(int(rng.integers(1, 6))):
            ticket = route.select((1.0, 1.0), mask=1 << lane)
            if rng.random() < 0.5:
                ticket.start()
            busy.append(ticket)
    for _ in range(3):
        ticket = route.select((size, n), mask=lanes)
        assert ticket.resource is resources[idle]
        assert ticket.wait_s == 0.0
        ticket.cancel()
    assert engine.in_flight == len(busy)
