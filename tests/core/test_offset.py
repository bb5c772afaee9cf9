"""What the resource's other models say of a profile without data: against reference.py, and what it is good for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref
from tests.states import SEEDS

KINDS = ("gpu", "gpu", "gpu", "cpu", "")
RESOURCES = tuple(tw.Resource(f"r{i}", kind=kind) for i, kind in enumerate(KINDS))


def models(n: int) -> list[tw.Model]:
    """Model m has m features of any size."""
    return [tw.Model(f"m{m}", tuple(tw.Feature(f"f{i}", typical=1.0) for i in range(m))) for m in range(n)]


def engine(
    n_models: int, tau_s: float = math.inf, resources: tuple[tw.Resource, ...] = RESOURCES
) -> tw.Engine:
    return tw.Engine(
        resources,
        models(n_models),
        [tw.QoS("q", 1.0, contract="best_effort")],
        clock=tw.ManualClock(),
        tau_s=tau_s,
        seed=1,
    )


def learn(e: tw.Engine, model: int, lane: int, ln_s: float, z: np.ndarray | None = None) -> None:
    """One result of one profile; z: ln of its features, default all typical."""
    u = tuple(np.exp(z)) if z is not None else (1.0,) * model
    e.route(f"m{model}", "q").select(u, mask=1 << lane).complete(math.exp(ln_s))


def covariance(posterior: dict[str, np.ndarray], d: int) -> np.ndarray:
    factor = np.zeros((d, d))
    factor[np.tril_indices(d)] = posterior["factor"]
    return factor.T @ factor


@given(seed=SEEDS, n_models=st.integers(1, 4), share=st.floats(0.2, 1.0))
@settings(max_examples=60)
def test_a_prior_is_the_pool_moved_by_the_gaps_on_other_models(
    seed: int, n_models: int, share: float
) -> None:
    """Within 1e-9: the levels are means of at most 12 results, the rest are sums of a few terms of size 10."""
    rng, e = np.random.default_rng(seed), engine(n_models)
    cells = {(m, r): ref.Evidence.none(1 + m) for m in range(n_models) for r in range(5)}
    for (m, r), rows in cells.items():
        for _ in range(int(rng.integers(1, 13)) if rng.random() < share else 0):
            z = rng.normal(0, 1, m)
            y = float(-3 + r + 0.3 * z.sum() + rng.normal(0, 0.5))
            learn(e, m, r, y, z)
            rows = ref.observe(rows, np.array([1.0, *z]), y)
        cells[m, r] = rows
    by_model = [ref.levels([cells[m, r] for r in range(5)], 1 + m, 0) for m in range(n_models)]
    ln_s, n = (np.array(part) for part in zip(*by_model, strict=True))
    for m, r in cells:
        others = [cells[m, o] for o in range(5) if o != r]
        level = ref.expected_level(ln_s, n, KINDS, m, r)
        want = ref.posterior(cells[m, r], ref.prior_of(others, 1 + m, 0, level=level))
        got = e._core.posterior(m, r)
        np.testing.assert_allclose(got["mean"], want.mean, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(covariance(got, 1 + m), want.covariance, rtol=1e-9, atol=1e-9)
        assert got["scale2"] == pytest.approx(want.scale2, rel=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_a_held_out_profile_of_an_additive_matrix_is_recovered(seed: int) -> None:
    """ln t = model + resource + cell, cell sd .1, 40 results of 20% noise a profile, one profile never run.

    The guess is its model's level elsewhere plus a mean of five gaps: sd about .1 sqrt(1 + 1/4 + 2/5) = .13, and the
    shrinkage 1 / (1 + 4 x 5 / .2) of gaps up to 3 adds .03; four sd are .55. The pool alone is off by the gap.
    """
    rng = np.random.default_rng(seed)
    resource, model = np.array([0.0, 0.5, 1.0, 3.0, -0.5]), rng.normal(-4, 1, 6)
    truth = model[:, None] + resource + rng.normal(0, 0.1, (6, 5))
    e, held = engine(6), (int(rng.integers(6)), 3)
    for m in range(6):
        for r in range(5):
            for _ in range(40 if (m, r) != held else 0):
                learn(e, m, r, float(truth[m, r] + rng.normal(0, 0.2)))
    pool = np.delete(truth[held[0]], held[1]).mean()
    guess = math.log(e.profile("r3", f"m{held[0]}").median_s)
    assert abs(guess - truth[held]) < 0.55
    assert abs(pool - truth[held]) > 2.0


def test_traffic_that_follows_speed_does_not_mislead() -> None:
    """Model 0 ran 500 times on the fast resource and 10 times on the slow one; model 1 the other way round. A third
    resource, exactly as fast as the fast one, is known from model 1 only: ln(seconds) of model 0 there is -5.

    One gap between the resource and the pool of model 1 would be -2.94, applied to a pool at -4.94.
    """
    alike = tuple(tw.Resource(r, kind="gpu") for r in ("fast", "slow", "new"))
    e = engine(2, resources=alike)
    for lane, ln_s, counts in ((0, -5.0, (500, 10)), (1, -2.0, (10, 500)), (2, -5.0, (0, 40))):
        for m, n in enumerate(counts):
            for _ in range(n):
                learn(e, m, lane, ln_s)
    assert math.log(e.profile("new", "m0").median_s) == pytest.approx(-5.0, abs=0.1)


def test_one_device_class_is_trusted_more_than_another() -> None:
    """Intercept precision: 60 times less with nothing known, 1/4 with a pool but no comparison or across classes, up
    to 1 within the class of a resource that has run the model."""
    e = engine(3)

    def precision(lane: int) -> float:
        return float(e._core.posterior(0, lane)["factor"][0] ** -2)

    assert precision(1) == pytest.approx(1 / 60)
    for _ in range(30):
        learn(e, 0, 0, -3.0)
    assert precision(1) == pytest.approx(0.25)
    for m in (1, 2):
        for lane in range(5):
            for _ in range(30):
                learn(e, m, lane, -4.0 + lane)
    assert 0.7 < precision(1) <= 1.0
    assert precision(3) == pytest.approx(0.28, abs=0.03)
    assert precision(4) == precision(3)


def test_decisions_follow_what_other_models_show_of_a_resource() -> None:
    """The served copy of a cold profile hears of the others' results within one sweep: models x resources results."""
    e = engine(3)
    for lane in range(3):
        for _ in range(10):
            learn(e, 0, lane, -4.0)
    for m in (1, 2):
        for _ in range(20):
            for lane in (0, 3):
                learn(e, m, lane, -4.0 if lane == 0 else -1.0)
    for _ in range(15):
        learn(e, 1, 0, -4.0)
    rows = {c.resource.name: c.ln_service for c in e.route("m0", "q").peek(())}
    assert rows["r3"] == pytest.approx(math.log(e.profile("r3", "m0").median_s), abs=0.05)
    assert rows["r3"] > -1.6


def test_resources_without_a_kind_are_alike_to_none() -> None:
    unsaid = engine(2, resources=tuple(tw.Resource(f"r{i}") for i in range(3)))
    said = engine(2, resources=tuple(tw.Resource(f"r{i}", kind="gpu") for i in range(3)))
    for e in (unsaid, said):
        for m, lane in ((0, 0), (1, 0), (1, 1)):
            for _ in range(20):
                learn(e, m, lane, -3.0)
    factors = [e._core.posterior(0, 1)["factor"][0] for e in (unsaid, said)]
    assert factors[0] > factors[1]
    with pytest.raises(tw.ConfigError, match="kind"):
        tw.Resource("r", kind=3)  # type: ignore[arg-type]
