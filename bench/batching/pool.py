"""Replicas that batch continuously: their constants, and the arrays of their state.

An iteration of a replica takes

    (BASE_S + PREFILL_S x prompt tokens read + DECODE_S x sequences that gain a token
        + KV_S x tokens in their cache) / speed

The constants are of the order of what was measured: a 32B model on one H200 (vLLM logs of llm-d: 19.7 ms a
token alone, 0.11 ms per prompt token), Llama 2 70B on eight H100 (Splitwise: 0.054 ms per prompt token, 0.28
ms per sequence), and what reading 262 kB of keys and values per token takes at 3.35 TB/s. Speeds are near the
memory bandwidths of an H200, an H100 and an A100 (4.8, 3.35, 2.0 TB/s; the slowest a little faster, or it
would hold the pace of hardly anybody). Left out: attention's growth with the square of a prompt, and noise:
with the batch given, measured iterations vary by a few percent."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.batching.traffic import Traffic

__all__ = ["COMPLETED", "FIRST", "PROGRESS", "SPEED", "Pool", "new_pool"]

SPEED = (1.4, 1.4, 1.4, 1.4, 1.0, 1.0, 1.0, 1.0, 0.7, 0.7, 0.7, 0.7)
BASE_S = 14e-3
PREFILL_S = 0.08e-3
DECODE_S = 0.25e-3
KV_S = 78e-9
CHUNK_TOKENS = (
    512  # of one iteration, answers' tokens included (vLLM's max_num_batched_tokens with chunked prefill)
)
MAX_RUNNING = 128  # sequences in a batch
KV_TOKENS = (380_000, 150_000, 150_000)  # by speed: 100 and 40 GB beside the weights of 32B in 8 bit

FIRST, PROGRESS, COMPLETED = 0, 1, 2  # events; PROGRESS after every PROGRESS_TOKENS of an answer
PROGRESS_TOKENS = 32


class Pool(NamedTuple):
    """R replicas and n jobs, as numba takes them. Written in place; -1 = none in all lists of indices."""

    # what the jobs are (n,)
    session: NDArray[np.int64]
    prompt: NDArray[np.int64]
    history: NDArray[np.int64]
    answer: NDArray[np.int64]
    # what became of them (n,)
    lane: NDArray[np.int64]  # where, -1 = refused or not there yet
    left: NDArray[np.int64]  # prompt tokens still to read
    tokens: NDArray[np.int64]  # of the answer so far
    first_s: NDArray[np.float64]  # NaN = not yet
    end_s: NDArray[np.float64]
    following: NDArray[np.int64]  # the next that waits on the same replica
    # replicas (R,)
    speed: NDArray[np.float64]
    kv_limit: NDArray[np.int64]
    kv_reserved: NDArray[np.int64]  # prompts and whole answers of running jobs: nobody is ever put out
    next_s: NDArray[np.float64]  # end of the iteration, +inf = idle
    n_running: NDArray[np.int64]
    n_waiting: NDArray[np.int64]
    first_waiting: NDArray[np.int64]
    last_waiting: NDArray[np.int64]
    prefill_left: NDArray[
        np.int64
    ]  # prompt tokens to read of all its jobs, by what was cached when they came
    n_tokens: NDArray[np.int64]  # in the caches of running jobs now
    batch: NDArray[np.int64]  # (R, MAX_RUNNING) jobs in order of admission
    chunk: NDArray[np.int64]  # (R, MAX_RUNNING) tokens that the iteration reads of each
    # prefix caches: idle sessions, least recently used first
    cached: NDArray[np.int64]  # (R, S) tokens
    older: NDArray[np.int64]  # (R, S)
    newer: NDArray[np.int64]  # (R, S)
    oldest: NDArray[np.int64]  # (R,)
    newest: NDArray[np.int64]
    n_cached: NDArray[np.int64]  # (R,) tokens
    # what happened, in order of time
    n_events: NDArray[np.int64]  # (1,)
    event_kind: NDArray[np.int64]
    event_job: NDArray[np.int64]
    event_s: NDArray[np.float64]


def new_pool(traffic: Traffic) -> Pool:
    """Idle replicas with empty caches."""
    n, n_replicas, n_sessions = len(traffic), len(SPEED), traffic.n_sessions
    n_events = int(2 * n + np.sum(traffic.answer // PROGRESS_TOKENS))
    limits = dict(zip(sorted(set(SPEED), reverse=True), KV_TOKENS, strict=True))

    def whole(value: int, *shape: int) -> NDArray[np.int64]:
        return np.full(shape, value, dtype=np.int64)

    return Pool(
        session=traffic.session,
        prompt=traffic.prompt,
        history=traffic.history,
        answer=traffic.answer,
        lane=whole(-1, n),
        left=whole(0, n),
        tokens=whole(0, n),
        first_s=np.full(n, np.nan),
        end_s=np.full(n, np.nan),
        following=whole(-1, n),
        speed=np.array(SPEED),
        kv_limit=np.array([limits[speed] for speed in SPEED]),
        kv_reserved=whole(0, n_replicas),
        next_s=np.full(n_replicas, np.inf),
        n_running=whole(0, n_replicas),
        n_waiting=whole(0, n_replicas),
        first_waiting=whole(-1, n_replicas),
        last_waiting=whole(-1, n_replicas),
        prefill_left=whole(0, n_replicas),
        n_tokens=whole(0, n_replicas),
        batch=whole(-1, n_replicas, MAX_RUNNING),
        chunk=whole(0, n_replicas, MAX_RUNNING),
        cached=whole(0, n_replicas, n_sessions),
        older=whole(-1, n_replicas, n_sessions),
        newer=whole(-1, n_replicas, n_sessions),
        oldest=whole(-1, n_replicas),
        newest=whole(-1, n_replicas),
        n_cached=whole(0, n_replicas),
        n_events=whole(0, 1),
        event_kind=whole(0, n_events),
        event_job=whole(0, n_events),
        event_s=np.zeros(n_events),
    )
