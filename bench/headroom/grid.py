"""Grid worlds (bench/replay, without events): three classes on eight resources with slots."""

from __future__ import annotations

from functools import partial

import numpy as np

import tailwise as tw
from bench.headroom.crossing import number
from bench.replay.drawn import CLASSES, Grid, draw_grid
from bench.replay.learned import Tailwise
from tailwise.headroom import Headroom
from tailwise.policy import Assignment, Learned

DURATION_S, WARM_S = 40.0, 10.0
PLAYED = (0.8, 0.95, 1.05, 1.15, 1.25, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 3.5)
ASKED = (0.3, 0.5, 0.65, 0.8, 0.95, 1.2)
FIRST_ASKED_S, ASKED_EVERY_S = 20.0, 6.5


class Watched(Learned):
    """tailwise with a look at its headroom now and then."""

    def __init__(self, engine: tw.Engine, told: list[dict[str, float]], every_s: float) -> None:
        super().__init__(engine)
        self.headroom = Headroom(engine)
        self.told, self.every_s, self.next_s = told, every_s, FIRST_ASKED_S

    def assign(
        self,
        model: str,
        qos: str,
        features: tuple[float, ...],
        mask: int | None,
        deadline_s: float | None = None,
    ) -> Assignment:
        self.headroom.offered(model, qos, features)
        if self.engine.clock.now_ns() * 1e-9 >= self.next_s:
            self.next_s += self.every_s
            self.told.append({q.name: number(self.headroom(q.name)) for q in CLASSES})
        return super().assign(model, qos, features, mask, deadline_s)


def attained(task: tuple[float, int]) -> dict[str, float]:
    """On-time share by class, at a load and a seed."""
    load, seed = task
    world = draw_grid(Grid(load, duration_s=DURATION_S), seed)
    on_time = Tailwise("tailwise", tw.Rules()).play(world, seed).on_time(world)
    warm = world.arrival_s >= WARM_S
    return {q.name: float(on_time[warm & (world.qos == c)].mean()) for c, q in enumerate(CLASSES)}


def foretold(task: tuple[float, int]) -> dict[str, float]:
    """Load at which each class fails, as seen at a load and a seed: mean of four looks."""
    load, seed = task
    told: list[dict[str, float]] = []
    player = Tailwise("watched", tw.Rules(), partial(Watched, told=told, every_s=ASKED_EVERY_S))
    player.play(draw_grid(Grid(load, duration_s=DURATION_S), seed), seed)
    return {q.name: load * (1.0 + float(np.mean([t[q.name] for t in told]))) for q in CLASSES}
