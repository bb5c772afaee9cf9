"""Each policy of the field does what its source says, on a state made by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bench.replay.baselines import quantile_trees
from bench.replay.baselines.c3 import C3, score
from bench.replay.baselines.candidates import at_server
from bench.replay.baselines.ewma_wait import EWMA_WAIT
from bench.replay.baselines.linucb import LINUCB, lower_bound
from bench.replay.baselines.mean_of_last import MEAN_OF_LAST
from bench.replay.baselines.p2c_peak_ewma import P2C_PEAK_EWMA
from bench.replay.baselines.prequal import PREQUAL
from bench.replay.baselines.quantile_trees import QUANTILE_TREES
from bench.replay.baselines.true_means import TRUE_MEANS
from bench.replay.face import Baseline
from bench.replay.outcome import End
from bench.replay.queues import put, take
from bench.replay.replayed import Replayed
from tests.bench.replay.hand import Hand, N, even_world

ALL = (P2C_PEAK_EWMA, C3, PREQUAL, EWMA_WAIT, LINUCB, MEAN_OF_LAST, QUANTILE_TREES, TRUE_MEANS)


@pytest.mark.parametrize("policy", ALL, ids=lambda policy: policy.name)
def test_no_policy_takes_a_lane_that_is_not_allowed(policy: Baseline) -> None:
    hand = Hand(policy)
    hand.lanes["usable"] = (False, True, False)
    for _ in range(20):
        assert hand.choose() == 1
    hand.lanes["usable"] = False
    assert hand.choose() == -1


@pytest.mark.parametrize("policy", ALL, ids=lambda policy: policy.name)
def test_equal_lanes_are_taken_by_chance(policy: Baseline) -> None:
    """60 choices leave out one of three lanes with a chance below 1e-10."""
    hand = Hand(policy)
    hand.view.mean_s[:] = 0.1
    if policy.retrain is not None:
        hand.view.forecast_s[:] = 0.1
    assert hand.choices() == {0, 1, 2}


@pytest.mark.parametrize("policy", ALL, ids=lambda policy: policy.name)
def test_each_policy_tells_its_source_and_is_the_same_again_for_a_seed(policy: Baseline) -> None:
    assert "http" in policy.source or "RFC" in policy.source
    first, again = (Replayed(policy).play(even_world(), seed=3) for _ in range(2))
    assert np.array_equal(first.lane, again.lane)
    assert np.array_equal(first.end_s, again.end_s)
    assert (first.end != End.OPEN).all()


@pytest.mark.parametrize("policy", [C3, EWMA_WAIT, LINUCB, MEAN_OF_LAST, P2C_PEAK_EWMA], ids=lambda p: p.name)
def test_what_has_never_answered_is_tried(policy: Baseline) -> None:
    hand = Hand(policy)
    for lane in (0, 1):
        hand.ended(lane, 0.1)
    assert 2 in hand.choices()


# P2C peak-EWMA


def test_a_peak_replaces_the_average_and_what_is_below_moves_it_by_its_age() -> None:
    hand = Hand(P2C_PEAK_EWMA)
    hand.ended(0, 0.2, now_s=0.0)
    assert hand.memory[0] == 0.2
    hand.ended(0, 0.1, now_s=10.0)  # the decay time, so a weight of 1/e is left
    assert hand.memory[0] == pytest.approx(0.1 + 0.1 / math.e)
    hand.ended(0, 0.5, now_s=10.0)
    assert hand.memory[0] == 0.5


def test_load_is_the_average_times_open_jobs_and_one() -> None:
    """Two lanes, so both are always drawn: 1 x .3 against 4 x .1, then 3 x .1."""
    hand = Hand(P2C_PEAK_EWMA, even_world(n_lanes=2))
    hand.ended(0, 0.3)
    hand.ended(1, 0.1)
    hand.lanes["open"] = (0, 3)
    assert hand.choices() == {0}
    hand.lanes["open"] = (0, 1)
    assert hand.choices() == {1}


def test_an_open_lane_that_never_answered_is_the_last() -> None:
    hand = Hand(P2C_PEAK_EWMA, even_world(n_lanes=2))
    hand.ended(0, 100.0)
    hand.lanes["open"] = (5, 1)
    assert hand.choices() == {0}


# C3


def test_the_score_is_the_papers_formula() -> None:
    """One answer after 1 s of which .2 s were service, with 3 more jobs at the server; new values weigh .9. Two
    clients: q = 1 + 2 x 4 + .9 x 3."""
    hand = Hand(C3, even_world(n_gateways=2))
    hand.view.truth.servers["running"][0] = 3
    hand.ended(0, 0.2, completion_s=1.0)
    hand.lanes["open"] = (4, 0, 0)
    q = 1 + 2 * 4 + 0.9 * 3
    expected = 0.9 * 0.8 + q**3 * 0.9 * 0.2
    assert score(hand.view, hand.lanes, hand.memory, 0) == pytest.approx(expected)


def test_failures_teach_c3_nothing() -> None:
    hand = Hand(C3)
    hand.ended(0, 0.001, end=int(End.FAILED))
    assert not hand.memory.any()


def test_a_server_counts_what_runs_and_waits_there_and_forgets_what_is_gone() -> None:
    """One job in service, then two that wait, of which the first leaves."""
    hand = Hand(C3)
    hand.view.truth.servers["running"][0] = 1
    for job in (4, 6):
        put(hand.view, job, 0)
    assert [at_server(hand.view, lane) for lane in (0, 1)] == [3, 0]
    take(hand.view, 4)
    assert at_server(hand.view, 0) == 2


# EWMA and wait


def test_completion_is_wait_and_average_of_the_profile() -> None:
    """Lane 0 takes .1 and is busy with a job of .1 that began just now; lane 1 takes .15 and is idle."""
    hand = Hand(EWMA_WAIT)
    for lane, seconds in enumerate((0.1, 0.15, 1.0)):
        hand.ended(lane, seconds)
    assert hand.choices() == {0}
    assert hand.view.jobs[0]["expected_s"] == 0.1
    hand.lanes["open"][0] = hand.lanes["running"][0] = 1
    hand.view.slots["job"][0] = 4
    hand.view.jobs["expected_s"][4], hand.view.jobs["start_s"][4] = 0.1, 0.0
    assert hand.choices() == {1}
    hand.ended(1, 0.15 + 8 * 0.1, job=2)  # the same model; an eighth of what is above
    hand.lanes["open"][0] = hand.lanes["running"][0] = 0
    assert hand.choose() == 0
    hand.lanes["usable"][0] = False
    assert hand.choose() == 1
    assert hand.view.jobs[0]["expected_s"] == pytest.approx(0.25)


# mean of last 10


def test_the_mean_is_of_the_last_ten_of_that_model() -> None:
    hand = Hand(MEAN_OF_LAST, even_world(n_lanes=2))
    for _ in range(10):
        hand.ended(1, 0.2)
    hand.ended(0, 5.0)
    assert hand.choices() == {1}
    for _ in range(10):
        hand.ended(0, 0.1)  # the 5 s are forgotten
    assert hand.choices() == {0}
    assert hand.choices(job=1) == {0, 1}  # nothing is known of the other model


def test_a_time_out_counts_as_1000_s_and_another_failure_not() -> None:
    hand = Hand(MEAN_OF_LAST, even_world(n_lanes=2))
    for lane in (0, 1):
        hand.ended(lane, 0.2 - 0.1 * lane)
    hand.ended(1, 0.005, end=int(End.FAILED))
    assert hand.choices() == {1}
    hand.ended(1, math.nan, end=int(End.EXPIRED), completion_s=0.5)
    assert hand.choices() == {0}


# LinUCB


def test_the_bound_is_that_of_a_ridge_regression() -> None:
    """Against NumPy's inverse after a few answers: theta'z - alpha sqrt(z'A^-1 z), alpha 1."""
    hand = Hand(LINUCB)
    hand.lanes["usable"] = (True, False, False)
    A, b = np.eye(3), np.zeros(3)
    for job, seconds in ((0, 0.1), (2, 0.3), (4, 0.15), (6, 0.2)):
        hand.lanes["open"][0] = job // 2
        hand.choose(job)
        hand.ended(0, seconds, job=job)
        z = np.array([1.0, math.log1p(hand.world.x[job, 0]), job // 2])
        A, b = A + np.outer(z, z), b + math.log1p(seconds / 1e-3) * z
    z = np.array([1.0, math.log1p(hand.world.x[8, 0]), 2.0])
    expected = np.linalg.solve(A, b) @ z - math.sqrt(z @ np.linalg.solve(A, z))
    assert lower_bound(hand.view, hand.memory, 8, 2.0, 0) == pytest.approx(expected)


def test_a_failed_job_costs_its_deadline() -> None:
    failed, late = Hand(LINUCB), Hand(LINUCB)
    failed.ended(0, 0.005, end=int(End.FAILED))
    late.ended(0, 0.5)  # the deadline
    assert np.array_equal(failed.memory, late.memory)


# quantile trees


def test_trees_forecast_the_jobs_to_come_from_those_done_and_none_else() -> None:
    """Times are exact here, so the forecast is within the width of a leaf: 20% of the time it will take."""
    hand = Hand(QUANTILE_TREES)
    done = np.arange(400)
    hand.view.jobs["lane"][done] = done // 3 % 3
    hand.view.jobs["start_s"][done] = hand.world.arrival_s[done]
    seconds = hand.world.service_s[done, hand.view.jobs["lane"][done]]
    hand.view.jobs["end_s"][done] = hand.world.arrival_s[done] + seconds
    quantile_trees.retrain(hand.world, hand.view, done, 5.0)
    forecast = hand.view.forecast_s
    assert np.isnan(forecast[:500]).all()
    assert forecast[500:] == pytest.approx(hand.world.service_s[500:], rel=0.2)
    assert hand.choose(job=500) == 0
    assert hand.view.jobs["expected_s"][500] == forecast[500, 0]


def test_trees_wait_for_a_hundred_jobs_and_the_least_loaded_is_taken_until_then() -> None:
    hand = Hand(QUANTILE_TREES)
    quantile_trees.retrain(hand.world, hand.view, np.arange(99), 5.0)
    assert np.isnan(hand.view.forecast_s).all()
    hand.lanes["open"] = (2, 1, 3)
    assert hand.choices() == {1}


def test_a_learner_finds_the_fast_lane_where_the_slow_one_fails_every_deadline() -> None:
    """Two lanes, the second 30 times slower and never on time: who learns sends it few jobs."""
    world = even_world(n_lanes=2, n_models=1)
    service_s = np.stack((world.service_s[:, 0] * 0.3, np.full(N, 0.6)), axis=1)
    world = replace(world, service_s=service_s, mean_s=service_s)
    for policy in (EWMA_WAIT, LINUCB, MEAN_OF_LAST, P2C_PEAK_EWMA):
        assert Replayed(policy).play(world, seed=1).on_time(world).mean() > 0.9, policy.name
