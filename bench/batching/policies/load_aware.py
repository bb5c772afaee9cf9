"""A weighted sum of scores in [0, 1]: cached share of the prompt, jobs waiting, KV in use.

The default profile of the Kubernetes gateway-api-inference-extension and llm-d: prefix-cache-scorer 3,
queue-scorer 2 (fewest waiting 1, most 0), kv-cache-utilization-scorer 2 (1 - used share)."""

from numba import njit

from bench.batching.cache import hit
from bench.batching.pool import Pool

__all__ = ["load_aware"]

PREFIX, QUEUE, KV = 3.0, 2.0, 2.0


@njit(cache=True)
def load_aware(pool: Pool, job: int, replica: int) -> float:
    most, fewest = pool.n_waiting.max(), pool.n_waiting.min()
    queue = (most - pool.n_waiting[replica]) / (most - fewest) if most > fewest else 1.0
    free = 1.0 - pool.n_tokens[replica] / pool.kv_limit[replica]
    cached = hit(pool, replica, job) / pool.prompt[job]
    return -(PREFIX * cached + QUEUE * queue + KV * free)
