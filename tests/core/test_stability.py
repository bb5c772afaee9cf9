"""Many updates: positive definite, finite and right, whatever is admissible comes."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tailwise as tw
from tailwise._core import reference as ref
from tests.sound import check_below_prior, check_sound, factor_of

#: Raw (u, v) rows whose encodings are hard: identical, collinear, zero, denormal, at the clip.
ROWS: dict[str, list[tuple[float, float]]] = {
    "identical": [(2.0, 3.0)],
    "collinear": [(math.exp(z), math.expm1(2 * z)) for z in (0.1, 0.2, 0.3, 0.4)],
    "zero": [(1.0, 0.0)],
    "denormal": [(math.exp(1e-15), 5e-324), (1.0, 1e-310), (math.exp(-1e-15), 0.0)],
    "far out": [(1e300, 1e300), (1e-300, 0.0), (1e300, 0.0)],
}
SECONDS = (1e-9, 0.1, 0.125, 1e6)  # as many as no set of rows, so that every pair occurs


def play(n: int, rows: list[tuple[float, float]], seconds: tuple[float, ...], tau_s: float) -> tw.Engine:
    """n completions, row and time in turn, a millisecond apart."""
    clock = tw.ManualClock()
    model = tw.Model("m", (tw.Feature("u", typical=1.0), tw.Feature("v")))
    e = tw.Engine(
        [tw.Resource("r")],
        [model],
        [tw.QoS("q", 1.0, contract="best_effort")],
        clock=clock,
        tau_s=tau_s,
        seed=1,
    )
    select, advance = e.route("m", "q").select, clock.advance
    for k in range(n):
        advance(1e-3)
        select(rows[k % len(rows)]).complete(seconds[(k // len(rows)) % len(seconds)])
    return e


def check_closed_form(
    e: tw.Engine, n: int, rows: list[tuple[float, float]], seconds: tuple[float, ...]
) -> None:
    """Against weighted rows of reference.py, one per distinct (row, time), as far as rounding of the inputs of both
    allows: 1e-9 where L is well conditioned, and the predictive at the rows in any case."""
    period = len(rows) * len(seconds)
    assert n % period == 0
    X = np.array([ref.encode_features(r, (1.0, 0.0), (False, False)) for r in rows for _ in seconds])
    y = np.array([math.log(s) for _ in rows for s in seconds])
    want = ref.posterior(ref.Evidence(X, y, np.full(period, n / period)), ref.vague(3, 0))
    got = e._core.posterior(0, 0)
    assert got["n"] == n
    assert got["scale2"] == pytest.approx(want.scale2, rel=1e-9)
    np.testing.assert_allclose(X @ got["mean"], X @ want.mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        (X @ factor_of(got).T) ** 2 @ np.ones(3), np.sum(X @ want.covariance * X, axis=1), rtol=1e-6
    )


def check_engine(e: tw.Engine) -> None:
    """Never more variance than the prior's, and no number that is none, neither believed nor ranked by."""
    check_sound(e._core.posterior(0, 0))
    check_below_prior(e._core.posterior(0, 0))
    for u in ((1.0, 0.0), (1e300, 1e300), (5e-324, 0.0)):
        (row,) = e.route("m", "q").peek(u)
        assert 0 < row.spread < math.inf
        assert 0 <= row.rank_s < math.inf


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_a_hundred_thousand_updates_are_the_closed_form(rows: list[tuple[float, float]]) -> None:
    n = 100_000 // (len(rows) * len(SECONDS)) * len(rows) * len(SECONDS)
    e = play(n, rows, SECONDS, math.inf)
    check_closed_form(e, n, rows, SECONDS)
    check_engine(e)


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_forgetting_without_excitation_does_not_inflate_the_variance(rows: list[tuple[float, float]]) -> None:
    """What drove covariance updates to NaN after 3e4 rows: ten results a time constant, one kind of row."""
    e = play(40_000, rows, SECONDS, tau_s=0.01)
    check_engine(e)
    assert 8.0 <= e.profile("r", "m").n < 12.0


def test_noise_never_falls_below_the_priors() -> None:
    """Identical times leave no residual; rounding must not turn that into less than beta0."""
    n = 100_000
    e = play(n, [(1.0, 0.0)], (0.1,), math.inf)
    got = e._core.posterior(0, 0)
    shrinkage = 0.5 * math.log(0.1) ** 2 * n * (1 / 60) / (n + 1 / 60)
    assert got["scale2"] * (2.0 + n / 2) == pytest.approx(0.18 + shrinkage, rel=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_ten_million_updates_are_the_closed_form(rows: list[tuple[float, float]]) -> None:
    n = 10_000_000 // (len(rows) * len(SECONDS)) * len(rows) * len(SECONDS)
    e = play(n, rows, SECONDS, math.inf)
    check_closed_form(e, n, rows, SECONDS)
    check_engine(e)
