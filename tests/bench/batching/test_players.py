"""The routers and tailwise over the pool: paired, reproducible, complete."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from bench.batching.learned import Learned
from bench.batching.outcome import Outcome
from bench.batching.players import PLAYERS, Player
from bench.batching.policies.observed import new_memory
from bench.batching.pool import new_pool
from bench.batching.router import Admission, Kind, Router, cheapest
from bench.batching.server import submit
from bench.batching.traffic import Traffic, draw_traffic


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return draw_traffic(12.0, 7, 30.0)


def assert_same(a: Outcome, b: Outcome) -> None:
    for name in ("lane", "first_s", "end_s", "read", "claim"):
        assert_array_equal(getattr(a, name), getattr(b, name))


def test_traffic_is_a_function_of_its_seed_and_history_is_what_was_said_before() -> None:
    a, b = draw_traffic(20.0, 5, 20.0), draw_traffic(20.0, 5, 20.0)
    assert_array_equal(a.arrival_s, b.arrival_s)
    assert_array_equal(a.prompt, b.prompt)
    assert np.all(np.diff(a.arrival_s) >= 0.0)
    said: dict[int, int] = {}
    for session, prompt, history, answer in zip(a.session, a.prompt, a.history, a.answer, strict=True):
        assert history == said.get(session, 0)
        assert prompt > history
        said[session] = prompt + answer


@pytest.mark.parametrize("player", PLAYERS, ids=lambda player: player.name)
def test_every_admitted_job_is_served_and_the_same_seed_gives_the_same_outcome(
    player: Player, traffic: Traffic
) -> None:
    outcome = player.play(traffic, 1)
    admitted = outcome.lane >= 0
    assert admitted.mean() > 0.8  # the strictest rule refuses a tenth
    assert np.isfinite(outcome.end_s[admitted]).all()
    assert np.isnan(outcome.end_s[~admitted]).all()
    assert_same(outcome, player.play(traffic, 1))


def test_tailwise_learns_the_pool_from_nothing_and_misses_half_as_often() -> None:
    """Without a declared speed or a report, against those who know load and caches exactly but not what they
    mean: at 24 sessions a second 1% miss a bound from 20 s on, where the best bare router (LMetric) misses
    6%. Claims are told of every admitted job, and are within .02 of what happened."""
    traffic = draw_traffic(24.0, 7, 60.0)
    outcome = Learned().play(traffic, 1)
    ours = outcome.figures(traffic)
    best = max(Router("", kind).play(traffic, 1).figures(traffic).both for kind in Kind)
    assert 1.0 - ours.both < 0.5 * (1.0 - best)
    assert np.isfinite(outcome.claim[outcome.lane >= 0]).all()
    assert abs(ours.claimed - ours.kept) < 0.02


def test_admission_refuses_by_jobs_and_by_tokens(traffic: Traffic) -> None:
    by_jobs = Router("", Kind.LEAST, Admission(2, np.inf)).play(traffic, 1)
    by_tokens = Router("", Kind.LEAST, Admission(np.inf, 1000)).play(traffic, 1)
    assert (by_jobs.lane < 0).any()
    assert (by_tokens.lane < 0)[traffic.prompt - traffic.history > 1000].all()
    assert by_tokens.read.max() <= 1000


def test_each_router_takes_the_replica_that_its_rule_names() -> None:
    """Replica 3 has the session's prefix and five jobs, 2 is idle; the others have two jobs each."""
    traffic = draw_traffic(20.0, 5, 20.0)
    pool, (memory, _) = new_pool(traffic), new_memory(12, len(traffic))
    job = int(np.flatnonzero(traffic.history > 0.8 * traffic.prompt)[-1])
    pool.cached[3, traffic.session[job]] = traffic.history[job]
    filler = 0
    for replica, n in enumerate([2, 2, 0, 5] + [2] * 8):
        for _ in range(n):
            submit(pool, replica, filler, 0.0)
            filler += 1
    assert cheapest(pool, job, Kind.LEAST, memory) == 2
    assert cheapest(pool, job, Kind.PREFIX, memory) == 3
    assert cheapest(pool, job, Kind.LOAD_AWARE, memory) == 3
    assert cheapest(pool, job, Kind.LMETRIC, memory) == 2
    memory[:, 0, 0] = 0.5
    memory[7, 0, 0] = 0.1
    assert cheapest(pool, job, Kind.OBSERVED, memory) == 7
