"""Guarantee 1: sequential = batch. The posterior equals the closed form on the same data to 1e-9; order does not
matter; two engines' statistics merged = one engine that saw all. (Alarms and jobs given up in service aside.)"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref
from tests.sound import factor_of

MODEL = tw.Model("m", (tw.Feature("u", typical=4.0, knee=True), "v"))
Job = tuple[float, float, float]  # u, v, seconds
jobs = st.lists(
    st.tuples(st.floats(0.1, 100.0), st.floats(0.0, 50.0), st.floats(1e-4, 1e3)), min_size=1, max_size=40
)


def engine(data: Sequence[Job]) -> tw.Engine:
    made = tw.Engine(
        [tw.Resource("r")],
        [MODEL],
        [tw.QoS("q", 1.0, contract="best_effort")],
        clock=tw.ManualClock(),
        tau_s=math.inf,
        detect_change=False,
        seed=1,
    )
    route = made.route("m", "q")
    for u, v, seconds in data:
        route.select((u, v)).complete(seconds)
    return made


def check_equal(got: dict, want: ref.Posterior) -> None:
    """1e-9 of what the mean is a difference of: numbers of the size of y and of the intercept."""
    np.testing.assert_allclose(got["mean"], want.mean, rtol=1e-9, atol=1e-9)
    factor = factor_of(got)
    np.testing.assert_allclose(factor.T @ factor, want.covariance, rtol=1e-8, atol=1e-9)
    assert got["scale2"] == pytest.approx(want.scale2, rel=1e-9)
    assert got["dof"] == want.dof


@settings(max_examples=100)
@given(data=jobs, order=st.randoms(use_true_random=False))
def test_the_posterior_is_the_closed_form_in_any_order(data: list[Job], order: object) -> None:
    rows = [ref.encode_features((u, v), (4.0, 0.0), (True, False)) for u, v, _ in data]
    evidence = ref.Evidence(np.array(rows), np.log([s for _, _, s in data]), np.ones(len(data)))
    want = ref.posterior(evidence, ref.vague(MODEL.d, 0))
    check_equal(engine(data)._core.posterior(0, 0), want)
    order.shuffle(data)  # type: ignore[attr-defined]
    check_equal(engine(data)._core.posterior(0, 0), want)


@settings(max_examples=100)
@given(data=jobs, cut=st.integers(0, 40))
def test_two_engines_merged_are_one_that_saw_all(data: list[Job], cut: int) -> None:
    """Each centres y on its own first job: merging moves one onto the other's centre."""
    one, other, all_ = engine(data[:cut]), engine(data[cut:]), engine(data)
    one.merge(other.statistics())
    got, want = one._core.posterior(0, 0), all_._core.posterior(0, 0)
    np.testing.assert_allclose(got["mean"], want["mean"], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(got["factor"], want["factor"], rtol=1e-9, atol=1e-9)
    assert got["scale2"] == pytest.approx(want["scale2"], rel=1e-9)
    assert (got["n"], got["succeeded"], got["n_results"]) == (want["n"], want["succeeded"], want["n_results"])
    assert one._core.work(0, 0) == pytest.approx(all_._core.work(0, 0), rel=1e-9)
    assert one.profile("r", "m", (4.0, 1.0)).median_s == pytest.approx(
        all_.profile("r", "m", (4.0, 1.0)).median_s, rel=1e-7
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resource": "x"}, "no resource 'x'"),
        ({"sums": (np.zeros(3),)}, "same features"),
        ({"succeeded": math.nan}, "not finite"),
        ({"failed": -1.0}, "not finite or < 0"),
        ({"work": (1.0, math.inf, 1.0)}, "not finite or < 0"),
        ({"work": (-1.0, 1.0, 1.0)}, "not finite or < 0"),
        ({"work": (1.0, 1.0)}, "not finite or < 0"),
    ],
)
def test_statistics_that_do_not_fit_are_refused_and_change_nothing(change: dict, message: str) -> None:
    one = engine([(4.0, 1.0, 0.1)])
    (good,) = one.statistics()
    before = one._core.snapshot()
    with pytest.raises(tw.InputError, match=message):
        one.merge([good, replace(good, **change)])
    assert one._core.snapshot() == before
