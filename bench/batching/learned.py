"""tailwise over the pool, through its public API with a simulated clock.

It is told what any gateway knows: the prompt's length, how much of it each replica has not cached, and of its
own jobs the first token, every 32nd token and the end. Replicas report nothing; their speeds are not
declared."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

import tailwise as tw
from bench.batching.cache import hit
from bench.batching.outcome import TPOT_S, TTFT_S, Outcome
from bench.batching.pool import COMPLETED, FIRST, MAX_RUNNING, PROGRESS_TOKENS, Pool, new_pool
from bench.batching.server import advance, submit
from bench.batching.traffic import Traffic

__all__ = ["CHAT", "LLM", "Learned", "Run"]

LLM = tw.Model(
    "llm",
    features=(tw.Feature("prompt_tokens", typical=512),),
    signals=("ttft", "tpot"),
    columns=(
        tw.Column("ahead", tracked="prefill_tokens", plus="uncached", scale=512, square=True),
        tw.Column("busy", tracked="running", scale=4, square=True),
        tw.Column("kv", tracked="kv_tokens", scale=20_000),
    ),
)
CHAT = tw.QoS("chat", ttft_s=TTFT_S, tpot_s=TPOT_S, on_time=0.95, objective="shared")


@dataclass(frozen=True, slots=True)
class Learned:
    """A player: same traffic and seed, same outcome."""

    name: str = "tailwise"
    model: tw.Model = LLM
    qos: tw.QoS = CHAT

    def play(
        self, traffic: Traffic, seed: int, look: Callable[[Run, int, float], None] | None = None
    ) -> Outcome:
        """look(run, job, now_s): called when a job was placed."""
        began = time.perf_counter()
        run = Run(self, traffic, seed)
        for job, now_s in enumerate(traffic.arrival_s.tolist()):
            run.hear_until(now_s)
            run.place(job, now_s)
            if look is not None:
                look(run, job, now_s)
        run.hear_until(np.inf)
        assert run.engine.in_flight == 0
        wall_s = time.perf_counter() - began
        return Outcome(run.pool.lane, run.pool.first_s, run.pool.end_s, run.read, run.claim, wall_s)


class Run:
    """One engine over one pool."""

    def __init__(self, player: Learned, traffic: Traffic, seed: int) -> None:
        self.pool, self.clock, self.n_heard = new_pool(traffic), tw.ManualClock(), 0
        kinds = [f"{speed:g}" for speed in self.pool.speed]
        self.engine = tw.Engine(
            [
                tw.Resource(f"r{i}", max_running=MAX_RUNNING, kv_tokens=int(limit), kind=kinds[i])
                for i, limit in enumerate(self.pool.kv_limit)
            ],
            [player.model],
            [player.qos],
            clock=self.clock,
            seed=seed,
        )
        self.route = self.engine.route(player.model.name, player.qos.name)
        self.Z = self.route.buffer()
        self.tickets: dict[int, tw.Ticket] = {}
        self.prompts = traffic.prompt.astype(np.float64).tolist()
        self.answers = traffic.answer.tolist()
        self.produced = [0] * len(traffic)
        self.read = np.zeros(len(traffic), dtype=np.int64)
        self.claim = np.full(len(traffic), np.nan)

    def place(self, job: int, now_s: float) -> None:
        """Asks tailwise, at a time up to which everything was heard."""
        self.clock.set(now_s)
        uncached(self.pool, job, self.Z[0])
        ticket = self.route.select((self.prompts[job],), self.Z)
        if not ticket.admitted:
            return
        lane = int(ticket.resource.name[1:])
        self.tickets[job], self.claim[job], self.read[job] = ticket, ticket.p_on_time, self.Z[0, lane]
        submit(self.pool, lane, job, now_s)

    def hear_until(self, until_s: float) -> None:
        """Tells tailwise what happens until then, each at its time."""
        pool = self.pool
        advance(pool, until_s)
        for k in range(self.n_heard, int(pool.n_events[0])):
            kind, job = int(pool.event_kind[k]), int(pool.event_job[k])
            self.clock.set(float(pool.event_s[k]))
            if kind == FIRST:
                self.tickets[job].first()
            elif kind == COMPLETED:
                self.tickets.pop(job).complete(tokens=self.answers[job])
            else:
                self.produced[job] += PROGRESS_TOKENS
                self.tickets[job].progress(self.produced[job])
        self.n_heard = int(pool.n_events[0])


@njit(cache=True)
def uncached(pool: Pool, job: int, out: NDArray[np.float64]) -> None:
    """Prompt tokens that each replica would have to read (R,)  # OUT"""
    for replica in range(len(out)):
        out[replica] = pool.prompt[job] - hit(pool, replica, job)
