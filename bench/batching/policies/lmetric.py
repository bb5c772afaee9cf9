"""New prefill tokens x batch size (LMetric, arXiv 2603.15202).

Prompt tokens to read there, this job's included, times the jobs that would be there.
"""

from numba import njit

from bench.batching.cache import hit
from bench.batching.policies.least import in_flight
from bench.batching.pool import Pool

__all__ = ["lmetric"]


@njit(cache=True)
def lmetric(pool: Pool, job: int, replica: int) -> float:
    own = pool.prompt[job] - hit(pool, replica, job)
    return float(pool.prefill_left[replica] + own) * (in_flight(pool, replica) + 1)
