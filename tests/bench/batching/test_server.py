"""The simulated replica: what is conserved, what is never exceeded, and that load and caches act as they
should."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from bench.batching.pool import CHUNK_TOKENS, KV_S, MAX_RUNNING, Pool, new_pool
from bench.batching.server import advance, submit
from bench.batching.traffic import Traffic, draw_traffic

REPLICA = 5  # of speed 1


def jobs(*rows: tuple[float, int, int, int, int]) -> Traffic:
    """rows: (arrival_s, session, prompt, history, answer)."""
    arrival_s, session, prompt, history, answer = (np.array(column) for column in zip(*rows, strict=True))
    return Traffic(arrival_s, session, prompt, history, answer, 100.0)


def serve(traffic: Traffic) -> Pool:
    """All on one replica, each when it arrives."""
    pool = new_pool(traffic)
    for job, now_s in enumerate(traffic.arrival_s):
        advance(pool, now_s)
        submit(pool, REPLICA, job, now_s)
    advance(pool, np.inf)
    return pool


def pace_s(pool: Pool) -> np.ndarray:
    return (pool.end_s - pool.first_s) / (pool.answer - 1)


@pytest.fixture(scope="module")
def crowded() -> Traffic:
    """More than one replica holds, so that batches, budgets and caches are full."""
    return draw_traffic(16.0, 3, 15.0)


def test_every_token_of_every_job_is_produced_and_nothing_is_left_behind(crowded: Traffic) -> None:
    pool = serve(crowded)
    assert_array_equal(pool.tokens, crowded.answer)
    assert not pool.left.any()
    assert np.all(pool.end_s > pool.first_s)
    assert np.all(pool.first_s > crowded.arrival_s)
    for count in (pool.n_running, pool.n_waiting, pool.prefill_left, pool.n_tokens, pool.kv_reserved):
        assert not count.any()
    assert pool.n_cached[REPLICA] == pool.cached[REPLICA].sum() <= pool.kv_limit[REPLICA]


def test_limits_hold_after_every_iteration(crowded: Traffic) -> None:
    """An iteration's budget of tokens, the cache's size, the batch's size; each is reached, so the test could
    fail."""
    pool = new_pool(crowded)
    pool.kv_limit[REPLICA] = 30_000
    most = np.zeros(2)

    def look() -> None:
        n = pool.n_running[REPLICA]
        decoding = np.sum(pool.left[pool.batch[REPLICA, :n]] == 0)
        most[:] = np.maximum(most, (pool.chunk[REPLICA, :n].sum() + decoding, pool.kv_reserved[REPLICA]))
        assert pool.kv_reserved[REPLICA] + pool.n_cached[REPLICA] <= pool.kv_limit[REPLICA]
        assert pool.n_tokens[REPLICA] <= pool.kv_reserved[REPLICA]
        assert n <= MAX_RUNNING

    def run_until(until_s: float) -> None:
        while pool.next_s[REPLICA] <= until_s and np.isfinite(pool.next_s[REPLICA]):
            advance(pool, pool.next_s[REPLICA])
            look()

    for job, now_s in enumerate(crowded.arrival_s):
        run_until(now_s)
        submit(pool, REPLICA, job, now_s)
        look()
    run_until(np.inf)
    assert_array_equal(pool.tokens, crowded.answer)
    assert most[0] == CHUNK_TOKENS
    assert most[1] > 0.95 * pool.kv_limit[REPLICA]


def test_tokens_come_slower_in_a_larger_batch() -> None:
    alone = serve(jobs((0.0, 0, 100, 0, 50)))
    crowd = serve(jobs(*((0.0, i, 100, 0, 50) for i in range(20))))
    assert pace_s(alone)[0] == pytest.approx(14e-3 + 0.25e-3 + KV_S * 125, rel=1e-3)  # 125 tokens in the mean
    assert np.all(pace_s(crowd) > 1.25 * pace_s(alone)[0])


def test_a_long_prompt_slows_down_those_who_are_writing_but_does_not_stop_them() -> None:
    """Chunked prefill: 2000 tokens are 160 ms of reading, in four iterations."""
    pool = serve(jobs((0.0, 0, 100, 0, 200), (1.0, 1, 2000, 0, 2)))
    alone = serve(jobs((0.0, 0, 100, 0, 200)))
    assert pool.end_s[0] - alone.end_s[0] == pytest.approx(0.16, rel=0.05)
    assert pool.first_s[1] - 1.0 == pytest.approx(0.16 + 4 * 14.3e-3 + 7e-3, rel=0.1)


def test_what_a_session_left_in_the_cache_need_not_be_read() -> None:
    """The second turn reads 100 tokens where its history is, 2150 where it is not."""
    first, second = (0.0, 0, 2000, 0, 50), (10.0, 0, 2150, 2050, 2)
    known, other = serve(jobs(first, second)), serve(jobs(first, (10.0, 1, 2150, 2050, 2)))
    assert known.first_s[1] - 10.0 == pytest.approx(14e-3 + 100 * 0.08e-3, rel=0.1)
    assert other.first_s[1] - known.first_s[1] > 0.16


def test_the_session_that_was_idle_longest_gives_way() -> None:
    """The third needs more than is free: the oldest loses as much, the newer one nothing."""
    traffic = jobs((0.0, 0, 900, 0, 100), (5.0, 1, 900, 0, 100), (10.0, 2, 500, 0, 100))
    pool = new_pool(traffic)
    pool.kv_limit[REPLICA] = 2300
    for job, now_s in enumerate(traffic.arrival_s):
        advance(pool, now_s)
        submit(pool, REPLICA, job, now_s)
    advance(pool, np.inf)
    assert_array_equal(pool.cached[REPLICA], (700, 1000, 600))


def test_a_job_that_does_not_fit_waits_for_those_that_run() -> None:
    traffic = jobs((0.0, 0, 900, 0, 100), (0.1, 1, 900, 0, 100))
    pool = new_pool(traffic)
    pool.kv_limit[REPLICA] = 1500
    for job, now_s in enumerate(traffic.arrival_s):
        advance(pool, now_s)
        submit(pool, REPLICA, job, now_s)
    advance(pool, np.inf)
    assert pool.first_s[1] > pool.end_s[0]
