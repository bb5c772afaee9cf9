"""The readable summary of what is believed of one (resource, model)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

import tailwise as tw

MODEL = tw.Model("m", (tw.Feature("u", typical=10.0),))
KNOWN = tw.Profile("known", "m", mean_s=0.3, spread=0.2, weight=20.0)


def engine() -> tw.Engine:
    return tw.Engine(
        [tw.Resource("new"), tw.Resource("known"), tw.Resource("used")],
        [MODEL, tw.Model("other")],
        [tw.QoS("q", 1.0, contract="best_effort")],
        profiles=[KNOWN],
        clock=tw.ManualClock(),
        tau_s=math.inf,
        seed=1,
    )


def use(e: tw.Engine, n: int = 200) -> None:
    """n jobs of 0.02 u seconds with 10% noise on `used`."""
    rng = np.random.default_rng(0)
    for _ in range(n):
        u = float(np.exp(rng.normal(math.log(10), 0.5)))
        e.route("m", "q").select((u,), mask=4).complete(0.02 * u * float(np.exp(rng.normal(0, 0.1))))


def test_a_summary_says_where_its_belief_comes_from() -> None:
    e = engine()
    assert [e.profile(r, "m").source for r in ("new", "known", "used")] == ["unknown", "given", "unknown"]
    use(e)
    assert [e.profile(r, "m").source for r in ("new", "known", "used")] == ["pooled", "given", "data"]
    assert e.profile("used", "other").source == "unknown"
    e.route("m", "q").select((10.0,), mask=1).fail()
    assert e.profile("new", "m").source == "pooled"
    assert e.profile("new", "m").n_results == 1


def test_a_given_profile_reads_as_it_was_given() -> None:
    summary = engine().profile("known", "m")
    assert summary.median_s == pytest.approx(0.3 * math.exp(-0.02))
    assert summary.dof == 24.0
    assert summary.spread == pytest.approx(0.2 * math.sqrt(1 + 1 / 20))
    assert (summary.n, summary.n_results, summary.availability) == (0.0, 0, 0.99)


def test_a_learned_profile_follows_its_features() -> None:
    """200 results with 10% noise: the slope is known to about 0.1 / 0.5 / sqrt(200) = 1.4%, five sd are 7%."""
    e = engine()
    use(e)
    for u in (5.0, 10.0, 40.0):
        summary = e.profile("used", "m", (u,))
        assert summary.median_s == pytest.approx(0.02 * u, rel=0.07 * max(1.0, abs(math.log(u / 10)) / 0.5))
    assert e.profile("used", "m").median_s == e.profile("used", "m", (10.0,)).median_s
    assert e.profile("used", "m").n == pytest.approx(200.0)
    assert e.profile("used", "m").availability == pytest.approx(299 / 300)


@pytest.mark.parametrize("probability", [0.01, 0.5, 0.9, 0.99])
def test_quantiles_are_those_of_the_students_t(probability: float) -> None:
    """student_q is within 2e-6 of the probability."""
    summary = engine().profile("known", "m")
    t = (math.log(summary.quantile(probability)) - math.log(summary.median_s)) / summary.spread
    assert stats.t.cdf(t, summary.dof) == pytest.approx(probability, abs=2e-6)


@pytest.mark.parametrize("probability", [0.0, 1.0, -1.0, math.nan])
def test_a_quantile_wants_a_probability(probability: float) -> None:
    with pytest.raises(tw.InputError, match="probability"):
        engine().profile("known", "m").quantile(probability)


def test_a_summary_and_a_peek_agree_on_an_idle_resource() -> None:
    """peek reads the float32 copy: 1e-5."""
    e = engine()
    use(e, 15)  # while few are known the copy follows every result
    for row in e.route("m", "q").peek((25.0,)):
        summary = e.profile(row.resource.name, "m", (25.0,))
        if summary.source == "data":
            assert math.log(summary.median_s) == pytest.approx(row.ln_service, abs=1e-5)
            assert summary.spread == pytest.approx(row.spread, rel=1e-5)
        assert summary.availability == pytest.approx(row.availability, rel=1e-6)


def test_a_summary_far_outside_the_data_is_a_number() -> None:
    e = engine()
    for k in range(500):
        e.route("m", "q").select((10.0 + 0.5 * (k % 2),), mask=4).complete(1e-9 if k % 2 else 1e6)
    for u in (1e-300, 1e300):
        summary = e.profile("used", "m", (u,))
        assert 0.0 < summary.median_s < math.inf
        assert 0.0 < summary.quantile(0.01) <= summary.quantile(0.99) < math.inf
    assert "used" in str(summary)


@pytest.mark.parametrize("features", [(1.0, 2.0), (), (0.0,), (math.nan,), (-1.0,)])
def test_features_that_do_not_fit_are_refused(features: tuple[float, ...]) -> None:
    with pytest.raises(tw.InputError, match="features"):
        engine().profile("new", "m", features)


def test_a_summary_reads_as_a_sentence() -> None:
    text = str(engine().profile("known", "m"))
    assert text.startswith("m on known: median 0.2941 s, 90% within ")
    assert "(given, n = 0.0, availability 0.990)" in text
