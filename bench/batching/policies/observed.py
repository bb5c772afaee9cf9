"""The least time to first token that each replica has shown at its own load.

What llm-d's users ask for on mixed GPUs, where one predictor for the whole pool is wrong (llm-d: "homogeneous
InferencePool" among the gaps of predicted-latency scheduling): per endpoint, observed TTFT against own load. Here a
linear regression a replica, seconds = b0 + b1 x prompt tokens to read (this job's included) + b2 x jobs in flight, by
recursive least squares that forgets (factor `KEEP` a result, about the last 200).
"""

import numpy as np
from numba import njit

from bench.batching.cache import hit
from bench.batching.policies.least import in_flight
from bench.batching.pool import FIRST, Pool

__all__ = ["learn_observed", "new_memory", "observed_ttft"]

KEEP = 0.995
D = 3  # a replica's memory (D, 1 + D): coefficients, then their covariance over the noise's variance


@njit(cache=True)
def new_memory(n_replicas: int, n_jobs: int):
    """(n_replicas, D, 1 + D) with a flat prior at 0 seconds, so that everyone is tried; (n_jobs, D) loads as met."""
    memory = np.zeros((n_replicas, D, 1 + D))
    for i in range(D):
        memory[:, i, 1 + i] = 1.0
    return memory, np.zeros((n_jobs, D))


@njit(cache=True)
def load_of(pool: Pool, job: int, replica: int, out) -> None:
    """In units near 1: one, thousands of tokens, tens of jobs  # OUT"""
    out[0] = 1.0
    out[1] = 1e-3 * (pool.prefill_left[replica] + pool.prompt[job] - hit(pool, replica, job))
    out[2] = 0.1 * in_flight(pool, replica)


@njit(cache=True)
def observed_ttft(pool: Pool, job: int, replica: int, memory) -> float:
    load = np.empty(D)
    load_of(pool, job, replica, load)
    return np.sum(memory[replica, :, 0] * load)


@njit(cache=True)
def learn_observed(pool: Pool, arrival_s, memory, met, n_known: int) -> int:
    """Learns from the first tokens among the events from n_known on; returns how many events there are."""
    for k in range(n_known, pool.n_events[0]):
        if pool.event_kind[k] == FIRST:
            job = pool.event_job[k]
            x, state = met[job], memory[pool.lane[job]]
            gain = np.zeros(D)
            for i in range(D):
                gain[i] = np.sum(state[i, 1:] * x)
            scale = KEEP + np.sum(gain * x)
            error = pool.event_s[k] - arrival_s[job] - np.sum(state[:, 0] * x)
            for i in range(D):
                state[i, 0] += gain[i] / scale * error
                for j in range(D):
                    state[i, 1 + j] = (state[i, 1 + j] - gain[i] * gain[j] / scale) / KEEP
    return pool.n_events[0]
