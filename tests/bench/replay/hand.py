"""A policy of the field beside a world in which nothing happens by itself: what it keeps and sees is set by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

import tailwise as tw
from bench.replay.face import Baseline
from bench.replay.outcome import End
from bench.replay.state import prepare
from bench.replay.world import World

__all__ = ["Hand", "N", "even_world"]

N = 800  # jobs, one every 10 ms


def even_world(n_lanes: int = 3, n_models: int = 2, n_gateways: int = 1) -> World:
    """Jobs of input 1 to 4, the models in turn; lane k takes (k + 1) x 10 ms x input, the second model twice that."""
    job = np.arange(N)
    x = 1.0 + job % 4
    service_s = 0.01 * (1 + np.arange(n_lanes)) * x[:, None] * (1.0 + job % n_models)[:, None]
    return World(
        classes=(tw.QoS("any", 0.5),),
        models=tuple(tw.Model(f"m{i}", features=("size",)) for i in range(n_models)),
        resources=tuple(tw.Resource(f"r{k}") for k in range(n_lanes)),
        arrival_s=0.01 * job,
        qos=np.zeros(N, dtype=np.int64),
        model=job % n_models,
        x=x[:, None],
        service_s=service_s,
        mean_s=service_s,
        interference=np.zeros(n_lanes),
        gateway=job % n_gateways if n_gateways > 1 else None,
    )


@dataclass
class Hand:
    """A policy beside a world in which nothing happens by itself."""

    policy: Baseline
    world: World = field(default_factory=even_world)

    def __post_init__(self) -> None:
        self.view, state = prepare(self.world, True)
        if self.policy.retrain is not None:
            self.view = self.view._replace(forecast_s=np.full(self.world.service_s.shape, np.nan))
        self.lanes = state.lanes[0]
        sizes = len(self.world.resources), len(self.world.models), self.world.x.shape[1]
        self.memory = np.zeros(self.policy.n_memory(*sizes))
        self.rng = np.random.default_rng(5)

    def choose(self, job: int = 0, now_s: float = 0.0) -> int:
        return self.policy.choose(self.view, self.lanes, self.memory, self.rng, job, now_s)

    def choices(self, job: int = 0, now_s: float = 0.0, n: int = 60) -> set[int]:
        """What it chooses, from the same memory each time."""
        memory = self.memory.copy()
        chosen = set()
        for _ in range(n):
            chosen.add(self.choose(job, now_s))
            self.memory[:] = memory
        return chosen

    def ended(self, lane: int, service_s: float, **other: float) -> None:
        told = {"job": 0, "end": int(End.COMPLETED), "completion_s": service_s, "now_s": 0.0, **other}
        self.policy.ended(
            self.view,
            self.lanes,
            self.memory,
            self.rng,
            int(told["job"]),
            lane,
            int(told["end"]),
            service_s,
            told["completion_s"],
            told["now_s"],
        )
