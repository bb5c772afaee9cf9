"""Fewest jobs in flight (vLLM production stack and LiteLLM: least busy; nginx: least_conn)."""

from numba import njit

from bench.batching.pool import Pool

__all__ = ["in_flight"]


@njit(cache=True)
def in_flight(pool: Pool, replica: int) -> int:
    return pool.n_running[replica] + pool.n_waiting[replica]
