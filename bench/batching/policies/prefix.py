"""Where most of the prompt is cached, else fewest jobs in flight.

SGLang's cache-aware router: the best match when it covers `MATCH` of the prompt (cache_threshold 0.5), unless
the pool is out of balance: most - fewest jobs > `ABOVE` and most > `TIMES` x fewest (balance_abs_threshold
32, balance_rel_threshold 1.1, as of its first release); then fewest jobs."""

from numba import njit

from bench.batching.cache import hit
from bench.batching.policies.least import in_flight
from bench.batching.pool import Pool

__all__ = ["prefix_else_least"]

MATCH, ABOVE, TIMES = 0.5, 32, 1.1


@njit(cache=True)
def prefix_else_least(pool: Pool, job: int, replica: int) -> float:
    most, fewest, best = 0, 1 << 30, 0
    for r in range(len(pool.speed)):
        most, fewest = max(most, in_flight(pool, r)), min(fewest, in_flight(pool, r))
        best = max(best, hit(pool, r, job))
    balanced = most - fewest <= ABOVE or most <= TIMES * fewest
    if balanced and best >= MATCH * pool.prompt[job] and hit(pool, replica, job) == best:
        return in_flight(pool, replica) - 1e6
    return in_flight(pool, replica)
