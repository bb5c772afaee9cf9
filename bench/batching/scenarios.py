"""Scenarios by permanent id: a changed one gets a new id."""

from __future__ import annotations

from dataclasses import dataclass

from bench.batching.traffic import Traffic, draw_traffic

__all__ = ["CHOOSING_SEEDS", "HORIZON_S", "REPORTED_SEEDS", "SCENARIOS", "BatchingScenario"]

CHOOSING_SEEDS = range(1, 21)  # constants were chosen on these
REPORTED_SEEDS = range(101, 121)  # on these nothing was
HORIZON_S = 120.0


@dataclass(frozen=True, slots=True)
class BatchingScenario:
    """Chats at a steady rate over the pool of bench/batching/pool.py."""

    id: str
    sessions_per_s: float

    def draw(self, seed: int) -> Traffic:
        return draw_traffic(self.sessions_per_s, seed, HORIZON_S)


SCENARIOS = {
    scenario.id: scenario
    for scenario in (BatchingScenario(f"batching.sessions.{rate}", float(rate)) for rate in (16, 24, 30, 36))
}
