"""Each policy of the field does what its source says, on a state made by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

import tailwise as tw
from bench.replay.baselines import prequal, quantile_trees
from bench.replay.baselines.c3 import C3, score
from bench.replay.baselines.ewma_wait import EWMA_WAIT
from bench.replay.baselines.linucb import LINUCB, lower_bound
from bench.replay.baselines.mean_of_last import MEAN_OF_LAST
from bench.replay.baselines.p2c_peak_ewma import P2C_PEAK_EWMA
from bench.replay.baselines.prequal import PREQUAL
from bench.replay.baselines.quantile_trees import QUANTILE_TREES
from bench.replay.face import Baseline
from bench.replay.outcome import End
from bench.replay.replayed import Replayed
from bench.replay.state import prepare
from bench.replay.world import World

N = 800  # jobs, one every 10 ms


def _world(n_lanes: int = 3, n_models: int = 2, n_gateways: int = 1) -> World:
    """Jobs of input 1 to 4, the models in turn; lane k takes (k + 1) x 10 ms x input, the second model twice that."""
    job = np.arange(N)
    x = 1.0 + job % 4
    service_s = 0.01 * (1 + np.arange(n_lanes)) * x[:, None] * (1.0 + job % n_models)[:, None]
    return World(
        classes=(tw.QoS("any", 0.5),),
        models=tuple(tw.Model(f"m{i}", features=("size",)) for i in range(n_models)),
        resources=tuple(tw.Resource(f"r{k}") for k in range(n_lanes)),
        arrival_s=0.01 * job,
        qos=np.zeros(N, dtype=np.int64),
        model=job % n_models,
        x=x[:, None],
        service_s=service_s,
        mean_s=service_s,
        interference=np.zeros(n_lanes),
        gateway=job % n_gateways if n_gateways > 1 else None,
    )


@dataclass
class Hand:
    """A policy beside a world in which nothing happens by itself."""

    policy: Baseline
    world: World = field(default_factory=_world)

    def __post_init__(self) -> None:
        self.view, state = prepare(self.world, True)
        if self.policy.retrain is not None:
            self.view = self.view._replace(forecast_s=np.full(self.world.service_s.shape, np.nan))
        self.lanes = state.lanes[0]
        sizes = len(self.world.resources), len(self.world.models), self.world.x.shape[1]
        self.memory = np.zeros(self.policy.n_memory(*sizes))
        self.rng = np.random.default_rng(5)

    def choose(self, job: int = 0, now_s: float = 0.0) -> int:
        return self.policy.choose(self.view, self.lanes, self.memory, self.rng, job, now_s)

    def choices(self, job: int = 0, now_s: float = 0.0, n: int = 60) -> set[int]:
        """What it chooses, from the same memory each time."""
        memory = self.memory.copy()
        chosen = set()
        for _ in range(n):
            chosen.add(self.choose(job, now_s))
            self.memory[:] = memory
        return chosen

    def ended(self, lane: int, service_s: float, **other: float) -> None:
        told = {"job": 0, "end": int(End.COMPLETED), "completion_s": service_s, "now_s": 0.0, **other}
        self.policy.ended(
            self.view,
            self.lanes,
            self.memory,
            self.rng,
            int(told["job"]),
            lane,
            int(told["end"]),
            service_s,
            told["completion_s"],
            told["now_s"],
        )


ALL = (P2C_PEAK_EWMA, C3, PREQUAL, EWMA_WAIT, LINUCB, MEAN_OF_LAST, QUANTILE_TREES)


@pytest.mark.parametrize("policy", ALL, ids=lambda policy: policy.name)
def test_no_policy_takes_a_lane_that_is_not_allowed(policy: Baseline) -> None:
    hand = Hand(policy)
    hand.lanes["usable"] = (False, True, False)
    for _ in range(20):
        assert hand.choose() == 1
    hand.lanes["usable"] = False
    assert hand.choose() == -1


@pytest.mark.parametrize("policy", ALL, ids=lambda policy: policy.name)
def test_each_policy_tells_its_source_and_is_the_same_again_for_a_seed(policy: Baseline) -> None:
    assert "http" in policy.source or "RFC" in policy.source
    first, again = (Replayed(policy).play(_world(), seed=3) for _ in range(2))
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
    hand = Hand(P2C_PEAK_EWMA, _world(n_lanes=2))
    hand.ended(0, 0.3)
    hand.ended(1, 0.1)
    hand.lanes["open"] = (0, 3)
    assert hand.choices() == {0}
    hand.lanes["open"] = (0, 1)
    assert hand.choices() == {1}


def test_an_open_lane_that_never_answered_is_the_last() -> None:
    hand = Hand(P2C_PEAK_EWMA, _world(n_lanes=2))
    hand.ended(0, 100.0)
    hand.lanes["open"] = (5, 1)
    assert hand.choices() == {0}


# C3


def test_the_score_is_the_papers_formula() -> None:
    """One answer after 1 s of which .2 s were service, with 3 more jobs at the server; new values weigh .9. Two
    clients: q = 1 + 2 x 4 + .9 x 3."""
    hand = Hand(C3, _world(n_gateways=2))
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
    hand = Hand(MEAN_OF_LAST, _world(n_lanes=2))
    for _ in range(10):
        hand.ended(1, 0.2)
    hand.ended(0, 5.0)
    assert hand.choices() == {1}
    for _ in range(10):
        hand.ended(0, 0.1)  # the 5 s are forgotten
    assert hand.choices() == {0}
    assert hand.choices(job=1) == {0, 1}  # nothing is known of the other model


def test_a_time_out_counts_as_1000_s_and_another_failure_not() -> None:
    hand = Hand(MEAN_OF_LAST, _world(n_lanes=2))
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


# Prequal


def _fill(hand: Hand, *probes: tuple[int, float, float]) -> None:
    """A pool of (lane, RIF, latency), oldest first, none of it aged; RIFs of 1 to 10 were probed before."""
    memory = hand.memory
    memory[prequal._N_PROBES] = 10
    memory[prequal._HEAD : prequal._HEAD + 10] = np.arange(1, 11)
    memory[prequal._N_POOL] = len(probes)
    for i, (lane, rif, latency) in enumerate(probes):
        at = prequal._AT_POOL + i * prequal._PROBE
        memory[at : at + prequal._PROBE] = (lane, rif, latency, 0.0, 0.0)


def _picked(hand: Hand, worst: bool = False) -> int:
    i = prequal.pick(hand.view, hand.lanes, hand.memory, 0, worst)
    return int(hand.memory[prequal._AT_POOL + i * prequal._PROBE])


def test_the_cold_probe_of_least_latency_is_taken_and_among_hot_ones_the_least_loaded() -> None:
    """Six tenths of 1 to 10 are below 7: 7 and more is hot."""
    hand = Hand(PREQUAL)
    _fill(hand, (0, 7.0, 0.1), (1, 6.0, 0.4), (2, 1.0, 0.5))
    assert (_picked(hand), _picked(hand, worst=True)) == (1, 0)
    _fill(hand, (0, 9.0, 0.1), (1, 8.0, 0.4), (2, 10.0, 0.2))
    assert (_picked(hand), _picked(hand, worst=True)) == (1, 2)
    _fill(hand, (0, 3.0, 0.1), (1, 5.0, 0.4), (2, 1.0, 0.2))
    assert (_picked(hand), _picked(hand, worst=True)) == (0, 1)


def test_the_latency_of_a_server_is_the_median_at_about_its_load() -> None:
    """Eight answers, of which those at 1 to 5 in flight are the five nearest to 3."""
    hand = Hand(PREQUAL)
    for rif, latency in ((1, 0.5), (2, 0.1), (3, 0.3), (4, 0.2), (5, 0.4), (20, 9.0), (30, 9.0), (40, 9.0)):
        hand.view.jobs["expected_s"][0] = rif
        hand.ended(1, latency)
    assert prequal.latency_at(hand.memory, 1, 3.0) == 0.3
    assert prequal.latency_at(hand.memory, 0, 3.0) == 0.0


def test_probes_ask_the_server_age_and_never_double() -> None:
    """Three servers and three probes a job: after one job all are in the pool, after a second still once each, and
    what is older than a second is gone before the next choice."""
    hand = Hand(PREQUAL)
    hand.view.truth.servers["running"] = (4, 5, 6)
    hand.choose(now_s=0.0)
    hand.choose(now_s=0.01)
    pool = hand.memory[prequal._AT_POOL :].reshape(-1)[: 3 * prequal._PROBE].reshape(3, prequal._PROBE)
    assert hand.memory[prequal._N_POOL] == 3
    assert sorted(pool[:, prequal._LANE]) == [0, 1, 2]
    assert sorted(pool[:, prequal._RIF]) == [4, 5, 6]
    hand.lanes["usable"] = False
    hand.choose(now_s=2.0)
    assert hand.memory[prequal._N_POOL] == 0


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
    world = _world(n_lanes=2, n_models=1)
    service_s = np.stack((world.service_s[:, 0] * 0.3, np.full(N, 0.6)), axis=1)
    world = replace(world, service_s=service_s, mean_s=service_s)
    for policy in (EWMA_WAIT, LINUCB, MEAN_OF_LAST, P2C_PEAK_EWMA):
        assert Replayed(policy).play(world, seed=1).on_time(world).mean() > 0.9, policy.name
