"""The batching pool (bench/batching): chats on 12 replicas with soft capacities, bounds on first token and pace."""

from __future__ import annotations

import numpy as np

from bench.batching.learned import CHAT, LLM, Learned, Run
from bench.batching.scenarios import BatchingScenario
from bench.headroom.crossing import number
from tailwise.headroom import Headroom

__all__ = ["ASKED", "PLAYED", "attained", "foretold"]

PLAYED = (30.0, 33.0, 36.0, 39.0, 42.0)  # sessions a second
ASKED = (8.0, 16.0, 24.0, 30.0, 36.0, 42.0)
FIRST_ASKED_S, ASKED_EVERY_S = 40.0, 20.0


def attained(task: tuple[float, int]) -> float:
    """Share of the jobs that kept both bounds, at a rate and a seed."""
    rate, seed = task
    traffic = BatchingScenario("", rate).draw(seed)
    return Learned().play(traffic, seed).figures(traffic).both


def foretold(task: tuple[float, int]) -> float:
    """Sessions a second at which they fail, as seen at a rate and a seed: mean of four looks."""
    rate, seed = task
    traffic = BatchingScenario("", rate).draw(seed)
    prompts, told, next_s = traffic.prompt.astype(np.float64).tolist(), [], FIRST_ASKED_S
    headroom: Headroom | None = None

    def look(run: Run, job: int, now_s: float) -> None:
        nonlocal headroom, next_s
        headroom = headroom or Headroom(run.engine)
        headroom.offered(LLM.name, CHAT.name, (prompts[job],), run.Z, lane=int(run.pool.lane[job]))
        if now_s >= next_s:
            next_s += ASKED_EVERY_S
            told.append(number(headroom(CHAT.name)))

    Learned().play(traffic, seed, look)
    return rate * (1.0 + float(np.mean(told)))
