"""The arithmetic behind headroom, against a linear program, textbook formulas and a simulated queue."""

from __future__ import annotations

import heapq
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.replay.drawn import capacity
from tailwise.loaded import normal_cdf
from tailwise.saturation import delay_probability, largest_factor, lost_share, place


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("able", [1.0, 0.6])
def test_prices_pack_nearly_as_full_as_the_linear_program_and_never_fuller(seed: int, able: float) -> None:
    """Jobs between nearly equal resources are shared out, which costs up to 4% here; 1e-5 is for float32."""
    rng = np.random.default_rng(seed)
    n_kinds, n_resources = int(rng.integers(2, 60)), int(rng.integers(1, 9))
    seconds = np.exp(rng.normal(0.0, 0.7, (n_kinds, n_resources)))
    seconds[:, 1:][rng.random((n_kinds, n_resources - 1)) > able] = math.inf
    rate, slots = rng.random(n_kinds) + 0.1, rng.integers(1, 5, n_resources).astype(float)
    best = capacity(seconds, rate / rate.sum(), slots) / rate.sum()
    full, shares = place(rate, seconds, slots)
    assert 0.9 * best < full <= best * (1.0 + 1e-5)
    assert shares.sum(axis=1) == pytest.approx(np.ones(n_kinds), abs=1e-5)
    assert not shares[~np.isfinite(seconds)].any()
    work = (np.where(np.isfinite(seconds), seconds, 0.0) * shares * rate[:, None]).sum(axis=0)
    assert (full * work / slots).max() == pytest.approx(1.0, rel=1e-5)


def test_what_only_one_resource_can_run_fills_that_one() -> None:
    full, shares = place(np.array([1.0, 1.0]), np.array([[0.5, math.inf], [0.5, 0.5]]), np.array([1.0, 1.0]))
    assert full == pytest.approx(2.0, rel=0.03)
    assert shares[1, 1] > 0.95


@given(servers=st.integers(1, 60), load=st.floats(0.01, 0.99))
def test_the_probability_of_a_wait_is_erlangs(servers: int, load: float) -> None:
    a = servers * load
    ln = [n * math.log(a) - math.lgamma(n + 1) for n in range(servers + 1)]
    waiting = math.exp(ln[-1]) / (1.0 - load)
    expected = waiting / (sum(map(math.exp, ln[:-1])) + waiting)
    assert delay_probability(servers, load) == pytest.approx(expected, rel=1e-9)


def loses(load: float, servers: int, patience_s: float, n: int = 60_000) -> float:
    """Share of the jobs of an M/M/k queue, services of 1 s in the mean, that would start later than patience_s and so
    leave at once."""
    rng = np.random.default_rng(1)
    gaps, services = rng.exponential(1.0 / (load * servers), n), rng.exponential(1.0, n)
    free_s, lost = [0.0] * servers, 0
    for at_s, service_s in zip(np.cumsum(gaps).tolist(), services.tolist(), strict=True):
        start_s = max(at_s, free_s[0])
        if start_s - at_s > patience_s:
            lost += 1
        else:
            heapq.heapreplace(free_s, start_s + service_s)
    return lost / n


@pytest.mark.parametrize("load", [0.7, 0.95, 1.0, 1.3])
@pytest.mark.parametrize(("servers", "patience_s"), [(1, 1.0), (4, 0.5), (12, 0.2)])
def test_of_one_class_the_share_that_starts_too_late_is_that_of_a_simulated_queue(
    load: float, servers: int, patience_s: float
) -> None:
    """Exact but for chance: losses come in bursts, of which 60,000 jobs show the share to .01."""
    told = lost_share(0.0, load, load, servers=servers, per_s=float(servers), patience_s=patience_s)
    assert told == pytest.approx(loses(load, servers, patience_s), abs=0.01)


@given(
    ahead=st.floats(0.0, 1.5),
    own=st.floats(0.001, 3.0),
    behind=st.floats(0.0, 2.0),
    more=st.floats(1.0, 2.0),
    servers=st.integers(1, 64),
    patience=st.floats(0.0, 1e4),
)
def test_more_of_everything_never_loses_less(
    ahead: float, own: float, behind: float, more: float, servers: int, patience: float
) -> None:
    less, heavier = (
        lost_share(
            f * ahead,
            f * (ahead + own),
            f * (ahead + own + behind),
            servers=servers,
            per_s=10.0,
            patience_s=patience,
        )
        for f in (1.0, more)
    )
    assert 0.0 <= less <= 1.0
    assert heavier >= less - 1e-5  # what the step around a load of 1 may cost


def test_far_beyond_what_is_borne_only_what_fits_is_served() -> None:
    lost = lost_share(0.5, 1.5, 1.5, servers=8, per_s=80.0, patience_s=10.0)
    assert lost == pytest.approx(0.5, abs=1e-6)
    assert lost_share(1.0, 1.2, 1.2, servers=8, per_s=80.0, patience_s=10.0) == 1.0


def test_the_largest_factor_is_where_the_share_crosses() -> None:
    assert largest_factor(lambda factor: 1.0 - 0.1 * factor, 0.75) == pytest.approx(2.5, abs=1e-6)
    assert largest_factor(lambda factor: 0.5, 0.75) == 0.0
    assert largest_factor(lambda factor: 1.0, 0.75) == pytest.approx(64.0)


@given(z=st.floats(-8.0, 8.0))
def test_the_normal_integral_is_good_to_its_seventh_digit(z: float) -> None:
    assert normal_cdf(np.array([z]))[0] == pytest.approx(0.5 * math.erfc(-z / math.sqrt(2.0)), abs=1.5e-7)
