"""The iterations of a replica: decode everybody, read prompts in chunks with what is left of the budget, in
order.

As vLLM's scheduler with chunked prefill has it, but for one rule: a job is admitted when its prompt and its
whole answer fit beside those of the running ones (TensorRT-LLM's GUARANTEED_NO_EVICT), so nobody is ever
preempted."""

from __future__ import annotations

from numba import njit

from bench.batching.cache import forget, hit, keep, make_room
from bench.batching.pool import (
    BASE_S,
    CHUNK_TOKENS,
    COMPLETED,
    DECODE_S,
    FIRST,
    KV_S,
    MAX_RUNNING,
    PREFILL_S,
    PROGRESS,
    PROGRESS_TOKENS,
    Pool,
)

__all__ = ["advance", "submit"]


@njit(cache=True)
def submit(pool: Pool, replica: int, job: int, now_s: float) -> None:
    """Queues a job on a replica. Call `advance` up to now_s first."""
    pool.lane[job] = replica
    pool.left[job] = pool.prompt[job] - hit(pool, replica, job)
    pool.prefill_left[replica] += pool.left[job]
    if pool.first_waiting[replica] < 0:
        pool.first_waiting[replica] = job
    else:
        pool.following[pool.last_waiting[replica]] = job
    pool.last_waiting[replica] = job
    pool.n_waiting[replica] += 1
    if pool.next_s[replica] == float("inf"):
        begin(pool, replica, now_s)


@njit(cache=True)
def advance(pool: Pool, until_s: float) -> None:
    """Ends all iterations up to until_s in order of time, and begins those that follow."""
    while True:
        replica = 0
        for r in range(1, len(pool.next_s)):
            if pool.next_s[r] < pool.next_s[replica]:
                replica = r
        now_s = pool.next_s[replica]
        if now_s > until_s or now_s == float("inf"):
            return
        finish(pool, replica, now_s)
        begin(pool, replica, now_s)


@njit(cache=True)
def begin(pool: Pool, replica: int, now_s: float) -> None:
    """Starts an iteration over what runs and what can be admitted; none when there is nothing."""
    n_decoding, n_read, budget = 0, 0, CHUNK_TOKENS
    for i in range(pool.n_running[replica]):
        if pool.left[pool.batch[replica, i]] == 0:
            n_decoding += 1
    budget -= n_decoding
    i = 0
    while i < pool.n_running[replica] or (budget > 0 and admit(pool, replica)):
        job = pool.batch[replica, i]
        pool.chunk[replica, i] = min(budget, pool.left[job])
        budget -= pool.chunk[replica, i]
        n_read += pool.chunk[replica, i]
        i += 1
    if i == 0:
        pool.next_s[replica] = float("inf")
        return
    work_s = BASE_S + PREFILL_S * n_read + DECODE_S * n_decoding + KV_S * pool.n_tokens[replica]
    pool.next_s[replica] = now_s + work_s / pool.speed[replica]


@njit(cache=True)
def admit(pool: Pool, replica: int) -> bool:
    """Moves the first that waits into the batch, if it fits."""
    job = pool.first_waiting[replica]
    if job < 0 or pool.n_running[replica] == MAX_RUNNING:
        return False
    need = pool.prompt[job] + pool.answer[job]
    if pool.kv_reserved[replica] + need > pool.kv_limit[replica]:
        return False
    found = hit(
        pool, replica, job
    )  # others may have pushed out, or its own turn before it left, what was there
    pool.prefill_left[replica] += pool.prompt[job] - found - pool.left[job]
    pool.left[job] = pool.prompt[job] - found
    forget(pool, replica, pool.session[job])
    pool.n_tokens[replica] += found
    pool.kv_reserved[replica] += need
    make_room(pool, replica)
    pool.first_waiting[replica] = pool.following[job]
    pool.n_waiting[replica] -= 1
    pool.batch[replica, pool.n_running[replica]] = job
    pool.n_running[replica] += 1
    return True


@njit(cache=True)
def finish(pool: Pool, replica: int, now_s: float) -> None:
    """What the iteration that ends now has done. Keeps the order of those that stay."""
    kept = 0
    for i in range(pool.n_running[replica]):
        job, read = pool.batch[replica, i], pool.chunk[replica, i]
        if pool.left[job] > 0:
            pool.left[job] -= read
            pool.prefill_left[replica] -= read
            pool.n_tokens[replica] += read
            if pool.left[job] == 0:
                pool.tokens[job] = 1
                pool.n_tokens[replica] += 1
                pool.first_s[job] = now_s
                note(pool, FIRST, job, now_s)
        else:
            pool.tokens[job] += 1
            pool.n_tokens[replica] += 1
            if pool.tokens[job] == pool.answer[job]:
                leave(pool, replica, job, now_s)
                continue
            if pool.tokens[job] % PROGRESS_TOKENS == 0:
                note(pool, PROGRESS, job, now_s)
        pool.batch[replica, kept] = job
        kept += 1
    pool.n_running[replica] = kept


@njit(cache=True)
def leave(pool: Pool, replica: int, job: int, now_s: float) -> None:
    """A whole answer: what it held stays as its session's prefix."""
    whole = pool.prompt[job] + pool.answer[job]
    pool.end_s[job] = now_s
    pool.n_tokens[replica] -= whole
    pool.kv_reserved[replica] -= whole
    keep(pool, replica, pool.session[job], whole)
    note(pool, COMPLETED, job, now_s)


@njit(cache=True)
def note(pool: Pool, kind: int, job: int, now_s: float) -> None:
    k = pool.n_events[0]
    pool.event_kind[k], pool.event_job[k], pool.event_s[k] = kind, job, now_s
    pool.n_events[0] = k + 1
