"""How long what was learned lasts, and forgetting it on request."""

from __future__ import annotations

import math

import pytest

import tailwise as tw


def engine(
    *models: tw.Model, tau_s: float = 100.0, profiles: tuple[tw.Profile, ...] = ()
) -> tuple[tw.Engine, tw.ManualClock]:
    clock = tw.ManualClock()
    e = tw.Engine(
        [tw.Resource("a"), tw.Resource("b")],
        models,
        [tw.QoS("q", 1.0, contract="best_effort")],
        profiles=profiles,
        clock=clock,
        tau_s=tau_s,
        health=None,
        seed=1,
    )
    return e, clock


def learn(e: tw.Engine, model: str, resource: str, n: int, seconds: float) -> None:
    for _ in range(n):
        e.route(model, "q").select((), mask=1 << e.lane(resource)).complete(seconds)


@pytest.mark.parametrize(("tau_s", "left"), [(10.0, math.exp(-2.0)), (None, math.exp(-0.2)), (math.inf, 1.0)])
def test_a_model_forgets_by_its_own_time_constant(tau_s: float | None, left: float) -> None:
    """100 results, twenty seconds later, and then one more: latency and availability alike."""
    e, clock = engine(tw.Model("m", tau_s=tau_s), tw.Model("other"))
    for model in ("m", "other"):
        learn(e, model, "a", 100, 0.1)
    clock.advance(20.0)
    assert e.profile("a", "m").n == pytest.approx(100.0 * left)
    assert e.profile("a", "other").n == pytest.approx(100.0 * math.exp(-0.2))
    learn(e, "m", "a", 1, 0.1)
    raw = e._core.posterior(0, 0)
    assert raw["n"] == pytest.approx(100.0 * left + 1.0)
    assert raw["succeeded"] == pytest.approx(100.0 * left + 1.0)


def test_a_clock_that_goes_back_fades_nothing_and_forgetting_goes_on_from_there() -> None:
    e, clock = engine(tw.Model("m"))
    clock.set(3600.0)
    learn(e, "m", "a", 100, 0.1)
    clock.set(0.0)
    learn(e, "m", "a", 1, 0.1)
    assert e.profile("a", "m").n == pytest.approx(101.0)
    clock.advance(100.0)
    assert e.profile("a", "m").n == pytest.approx(101.0 * math.exp(-1.0))


def test_a_served_copy_is_renewed_within_an_eighth_of_its_models_time_constant() -> None:
    """Two profiles, so that the second completion of the other model sweeps over this one."""
    e, clock = engine(tw.Model("m", tau_s=8.0), tw.Model("other", tau_s=math.inf))
    learn(e, "m", "a", 100, 0.1)
    (before,) = e.route("m", "q").peek((), mask=1)
    clock.advance(1.01)
    learn(e, "other", "b", 4, 0.1)
    (after,) = e.route("m", "q").peek((), mask=1)
    assert after.dof == pytest.approx(4.0 + 100.0 * math.exp(-1.01 / 8.0))
    assert before.dof > after.dof


@pytest.mark.parametrize("tau_s", [0.0, -1.0, math.nan, "10"])
def test_a_time_constant_is_positive(tau_s: float) -> None:
    with pytest.raises(tw.ConfigError, match="tau_s"):
        tw.Model("m", tau_s=tau_s)


def test_a_reset_profile_is_as_new_and_no_other_one_is_touched() -> None:
    e, _ = engine(tw.Model("m"), tw.Model("other"))
    fresh, _ = engine(tw.Model("m"), tw.Model("other"))
    for model in ("m", "other"):
        learn(e, model, "a", 50, 0.1)
        learn(e, model, "b", 50, 0.3)
        learn(fresh, model, "b", 50, 0.3)
    learn(fresh, "other", "a", 50, 0.1)
    for _ in range(20):
        e.route("m", "q").select((), mask=1).fail()
    kept = [e._core.sums(m, lane)[0].tobytes() for m, lane in ((0, 1), (1, 0), (1, 1))]
    e.reset("a", "m")
    assert [e._core.sums(m, lane)[0].tobytes() for m, lane in ((0, 1), (1, 0), (1, 1))] == kept
    after, new = e.profile("a", "m"), fresh.profile("a", "m")
    assert (after.n, after.n_results, after.availability, after.source) == (0.0, 0, 0.99, "pooled")
    assert after.dof == new.dof
    (row,) = e.route("m", "q").peek((), mask=1)
    assert row.availability == pytest.approx(0.99)
    assert row.dof == 4.0
    assert e.route("m", "q").select(()).resource.name == "a"  # not tried yet, so it is


def test_a_reset_gives_a_given_profile_its_weight_back() -> None:
    """An alarm had left it worth eight results; beta0 / a0 and dof = 4 + weight tell."""
    e, _ = engine(tw.Model("m"), profiles=(tw.Profile("a", "m", 0.1, 0.3, 40.0),))
    before = e.profile("a", "m")
    learn(e, "m", "a", 30, 3.0)
    assert e.alarms("a") >= 1
    e.reset("a")
    after = e.profile("a", "m")
    assert (after.dof, after.n, after.source) == (before.dof, 0.0, "given") == (44.0, 0.0, "given")
    assert (after.mean_s, after.spread) == pytest.approx((before.mean_s, before.spread))


def test_a_reset_without_a_model_forgets_all_of_a_resource() -> None:
    e, _ = engine(tw.Model("m"), tw.Model("other"))
    for model in ("m", "other"):
        for resource in ("a", "b"):
            learn(e, model, resource, 50, 0.1)
    e.reset("a")
    assert [e.profile("a", m).n for m in ("m", "other")] == [0.0, 0.0]
    assert [e.profile("b", m).n for m in ("m", "other")] == pytest.approx([50.0, 50.0])


def test_a_reset_of_what_there_is_not_is_refused_and_changes_nothing() -> None:
    e, _ = engine(tw.Model("m"))
    learn(e, "m", "a", 20, 0.1)
    before = e._core.snapshot()
    for resource, model in (("nowhere", None), ("a", "nothing")):
        with pytest.raises(tw.UnknownName):
            e.reset(resource, model)
    assert e._core.snapshot() == before


def test_a_job_in_flight_at_a_reset_teaches_the_new_profile() -> None:
    e, _ = engine(tw.Model("m"))
    learn(e, "m", "a", 20, 0.1)
    ticket = e.route("m", "q").select((), mask=1)
    e.reset("a", "m")
    ticket.complete(0.2)
    assert e.profile("a", "m").n == 1.0
