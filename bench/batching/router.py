"""A policy of the field over the pool: every job goes where it costs least, or is refused there."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numba import njit

from bench.batching.cache import hit
from bench.batching.outcome import Outcome
from bench.batching.policies.least import in_flight
from bench.batching.policies.lmetric import lmetric
from bench.batching.policies.load_aware import load_aware
from bench.batching.policies.observed import learn_observed, load_of, new_memory, observed_ttft
from bench.batching.policies.prefix import prefix_else_least
from bench.batching.pool import Pool, new_pool
from bench.batching.server import advance, submit
from bench.batching.traffic import Traffic

__all__ = ["NEVER", "Admission", "Kind", "Router"]


class Kind(IntEnum):
    """Which policy: numba compiles one loop for all."""

    LEAST = 0
    PREFIX = 1
    LOAD_AWARE = 2
    LMETRIC = 3
    OBSERVED = 4


@dataclass(frozen=True, slots=True)
class Admission:
    """Refuses a job when the replica chosen for it has `jobs` in flight already, or would have more than
    `tokens` of prompts to read, the job's own included: what gateways limit (concurrency and queued prompt
    tokens per backend)."""

    jobs: float
    tokens: float


NEVER = Admission(np.inf, np.inf)


@dataclass(frozen=True, slots=True)
class Router:
    """A player: same traffic and seed, same outcome."""

    name: str
    kind: Kind
    admission: Admission = NEVER

    def play(self, traffic: Traffic, seed: int) -> Outcome:
        pool, n = new_pool(traffic), len(traffic)
        read = np.zeros(n, dtype=np.int64)
        began = time.perf_counter()
        play(pool, traffic.arrival_s, int(self.kind), self.admission.jobs, self.admission.tokens, seed, read)
        wall_s = time.perf_counter() - began
        return Outcome(pool.lane, pool.first_s, pool.end_s, read, np.full(n, np.nan), wall_s)


@njit(cache=True)
def play(pool: Pool, arrival_s, kind: int, most_jobs: float, most_tokens: float, seed: int, read) -> None:
    """read (n,): prompt tokens that were not cached where the job went  # OUT"""
    np.random.seed(seed)
    n_known, (memory, met) = 0, new_memory(len(pool.speed), len(arrival_s))
    for job in range(len(arrival_s)):
        advance(pool, arrival_s[job])
        if kind == 4:
            n_known = learn_observed(pool, arrival_s, memory, met, n_known)
        replica = cheapest(pool, job, kind, memory)
        own = pool.prompt[job] - hit(pool, replica, job)
        if in_flight(pool, replica) >= most_jobs or pool.prefill_left[replica] + own > most_tokens:
            continue
        read[job] = own
        load_of(pool, job, replica, met[job])
        submit(pool, replica, job, arrival_s[job])
    advance(pool, np.inf)


@njit(cache=True)
def cheapest(pool: Pool, job: int, kind: int, memory) -> int:
    """The replica of least cost; among equals one at random."""
    best, least, n_tied = -1, np.inf, 0
    for replica in range(len(pool.speed)):
        cost = cost_of(pool, job, replica, kind, memory)
        if cost < least:
            best, least, n_tied = replica, cost, 1
        elif cost == least:
            n_tied += 1
            if np.random.randint(n_tied) == 0:
                best = replica
    return best


@njit(cache=True)
def cost_of(pool: Pool, job: int, replica: int, kind: int, memory) -> float:
    if kind == 1:
        return prefix_else_least(pool, job, replica)
    if kind == 2:
        return load_aware(pool, job, replica)
    if kind == 3:
        return lmetric(pool, job, replica)
    if kind == 4:
        return observed_ttft(pool, job, replica, memory)
    return float(in_flight(pool, replica))
