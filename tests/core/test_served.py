"""The float32 copy that decisions read, through `route.peek`, against reference.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tests.twin import Twin

pytestmark = pytest.mark.usefixtures("each_path")

MODEL = tw.Model(
    "m",
    features=(
        tw.Feature("f0", typical=1.0, knee=True),
        tw.Feature("f1", typical=1.0),
        tw.Feature("f2", typical=1.0),
    ),
    columns=(tw.Column("busy", scale=2.0, tracked="running"), tw.Column("kv", scale=1.0, reported=True)),
)
BENT = tw.Model(  # d = 11
    "m",
    features=MODEL.features,
    columns=(
        tw.Column("busy", scale=2.0, tracked="running", square=True, times="f1"),
        tw.Column("kv", scale=1.0, reported=True, square=True, times="f0"),
    ),
)
RESOURCES = (tw.Resource("a"), tw.Resource("b", slots=3), tw.Resource("cold"))


def trained(seed: int, n: int, model: tw.Model = MODEL) -> Twin:
    """Lanes 0 and 1 with n results, encoded features up to 16 in size, columns known two times in three."""
    twin, rng = Twin(model, RESOURCES), np.random.default_rng(seed)
    slopes = rng.normal(0, 0.3, len(model.features))
    for k in range(n):
        lane = k % 2
        if rng.random() < 0.6:
            twin.report(lane, kv=float(rng.choice([np.nan, rng.exponential(3.0)], p=[0.3, 0.7])))
        z = rng.uniform(-16, 16, len(model.features)) * rng.choice([0.1, 1.0])
        twin.learn(lane, tuple(np.exp(z)), math.exp(np.clip(-3 + slopes @ z + rng.normal(0, 0.3), -20, 13)))
    return twin


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 80), z=st.tuples(*[st.floats(-16, 16)] * 3))
def test_served_copy_is_the_posterior_within_float32(
    seed: int, n: int, z: tuple[float, float, float]
) -> None:
    """ln_service: each mean and each column is rounded once to float32 (2^-24 relative) and everything else is
    float64, so the error is at most 2^-23 sum |mean_i x_i|, plus the 1e-9 of the posterior (|x| <= 16, d = 7:
    1e-7); the requirement is 1e-5 (1 + sum |mean_i x_i|). spread: with v = F x the relative error is at most
    |dv| / 2 / sqrt(1 + |v|^2) <= |dv| / 2, |dv| <= sqrt(d) 2^-23 max_k sum_j |F_kj x_j|; every column of F is at
    most sqrt(1 / min l0), so sum_j |F_kj x_j| <= sqrt(60) + 6 x 16 sqrt(3) = 174 and the error is below 3e-5."""
    twin = trained(seed, n)
    u = tuple(np.exp(z))
    want = twin.candidates(u, 0)
    size = [np.abs(twin.served(r).belief.mean * want.x[r]).sum() for r in range(3)]
    for candidate in twin.routes[0].peek(u):
        lane = twin.engine.lane(candidate.resource.name)
        tight = 2.0**-23 * size[lane] + 1e-7
        assert tight < 1e-5 * (1 + size[lane])
        assert candidate.ln_service == pytest.approx(want.m[lane], abs=tight)
        assert candidate.spread == pytest.approx(want.s[lane], rel=3e-5)
        assert candidate.dof == pytest.approx(want.dof[lane], rel=1e-6)
        assert candidate.availability == pytest.approx(want.available[lane], rel=1e-6)
        np.testing.assert_allclose(candidate.features, want.x[lane], rtol=1e-6, atol=1e-6)
        assert candidate.rank_s == pytest.approx(want.cost_s[lane], rel=want.error[lane])


def test_served_copy_lacks_at_most_an_eighth_of_the_results() -> None:
    """Rebuilt after one result while few are known, then after an eighth of what is known, at most 64."""
    twin = Twin(tw.Model("m"), RESOURCES[:1])
    rng = np.random.default_rng(4)
    for n in range(1, 1200):
        twin.learn(0, (), float(np.exp(rng.normal(-3, 0.3))))
        (candidate,) = twin.routes[0].peek(())
        known = candidate.dof - 4.0
        assert n - known < max(1.0, min(64.0, n / 8))


@pytest.mark.parametrize("model", [MODEL, BENT], ids=["plain", "bent"])
@given(seed=st.integers(0, 2**32 - 1), z=st.tuples(*[st.floats(-16, 16)] * 3), busier=st.floats(0, 1e4))
def test_more_load_never_makes_a_candidate_look_faster(
    model: tw.Model, seed: int, z: tuple[float, float, float], busier: float
) -> None:
    """Slopes of tracked and reported columns are floored at 0, whatever the data say; so is what a product with a
    feature makes of them, which is negative as often as not."""
    twin, rng = Twin(model, RESOURCES), np.random.default_rng(seed)
    for _ in range(30):  # taught that load is good: the busier the faster
        load = float(rng.exponential(3.0))
        twin.report(1, kv=load)
        held = [twin.select((1.0, 1.0, 1.0), mask=2) for _ in range(int(rng.integers(4)))]
        twin.learn(1, (1.0, 1.0, 1.0), 0.1 / (1 + load + len(held)))
        for job in held:
            twin.cancel(job)
    assert twin.belief(1).mean[5] < 0 or twin.belief(1).mean[6] < 0
    u, seen = tuple(np.exp(z)), []
    twin.report(1, kv=0.0)
    for step in range(6):
        row = next(c for c in twin.routes[0].peek(u) if c.resource.name == "b")
        seen.append((row.ln_service, row.wait_s, row.rank_s))
        if step % 2:
            twin.report(1, kv=busier * step)
        else:
            twin.select((1.0, 1.0, 1.0), mask=2)
    for growing in zip(*seen, strict=True):
        assert list(growing) == sorted(growing)
