"""The prefix cache of a replica: what idle sessions left there, the least recently used forgotten first.

By session, not by block: a session that gives way loses its last tokens first, as blocks of a hash chain do.
"""

from __future__ import annotations

from numba import njit

from bench.batching.pool import Pool

__all__ = ["forget", "hit", "keep", "make_room"]


@njit(cache=True)
def hit(pool: Pool, replica: int, job: int) -> int:
    """Prompt tokens of the job that the replica need not read: the last one is always read, to begin the
    answer."""
    return min(pool.cached[replica, pool.session[job]], pool.history[job], pool.prompt[job] - 1)


@njit(cache=True)
def forget(pool: Pool, replica: int, session: int) -> None:
    """Takes a session out. Nothing where it is not in."""
    if pool.cached[replica, session] == 0:
        return
    older, newer = pool.older[replica, session], pool.newer[replica, session]
    if older >= 0:
        pool.newer[replica, older] = newer
    else:
        pool.oldest[replica] = newer
    if newer >= 0:
        pool.older[replica, newer] = older
    else:
        pool.newest[replica] = older
    pool.older[replica, session] = pool.newer[replica, session] = -1
    pool.n_cached[replica] -= pool.cached[replica, session]
    pool.cached[replica, session] = 0


@njit(cache=True)
def make_room(pool: Pool, replica: int) -> None:
    """Idle sessions give way until running jobs have what they reserved."""
    over = pool.n_cached[replica] + pool.kv_reserved[replica] - pool.kv_limit[replica]
    while over > 0:
        session = pool.oldest[replica]
        lost = min(over, pool.cached[replica, session])
        if lost == pool.cached[replica, session]:
            forget(pool, replica, session)
        else:
            pool.cached[replica, session] -= lost
            pool.n_cached[replica] -= lost
        over -= lost


@njit(cache=True)
def keep(pool: Pool, replica: int, session: int, tokens: int) -> None:
    """Puts a session in as the most recently used, with what it had at most before or now."""
    tokens = max(tokens, pool.cached[replica, session])
    forget(pool, replica, session)
    pool.cached[replica, session] = tokens
    pool.older[replica, session] = pool.newest[replica]
    if pool.newest[replica] >= 0:
        pool.newer[replica, pool.newest[replica]] = session
    else:
        pool.oldest[replica] = session
    pool.newest[replica] = session
    pool.n_cached[replica] += tokens
    make_room(pool, replica)
