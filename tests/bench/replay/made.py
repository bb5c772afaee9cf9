"""Worlds and outcomes small enough to work out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import tailwise as tw
from bench.replay.outcome import End, Outcome
from bench.replay.world import Event, World

URGENT = tw.QoS("urgent", 0.1, priority=0, weight=3.0)
PATIENT = tw.QoS("patient", 1.0, priority=1)


def world(
    arrival_s: Sequence[float],
    qos: Sequence[int] | None = None,
    *,
    events: tuple[Event, ...] = (),
    n_lanes: int = 2,
) -> World:
    """Jobs of 10 ms on every lane; qos: 0 = URGENT, 1 = PATIENT."""
    n = len(arrival_s)
    return World(
        classes=(URGENT, PATIENT),
        models=(tw.Model("m"),),
        resources=tuple(tw.Resource(f"r{k}", slots=1) for k in range(n_lanes)),
        arrival_s=np.array(arrival_s, dtype=float),
        qos=np.zeros(n, dtype=np.int64) if qos is None else np.array(qos, dtype=np.int64),
        model=np.zeros(n, dtype=np.int64),
        x=np.zeros((n, 0)),
        service_s=np.full((n, n_lanes), 0.01),
        mean_s=np.full((n, n_lanes), 0.01),
        interference=np.zeros(n_lanes),
        events=events,
    )


def outcome(
    of: World,
    completion_s: Sequence[float],
    *,
    end: Sequence[End] | None = None,
    lane: Sequence[int] | None = None,
    claim: Sequence[float] | None = None,
) -> Outcome:
    """Everything completed on lane 0 without a claim unless it is said otherwise."""
    n = len(of)
    return Outcome(
        lane=np.zeros(n, dtype=np.int64) if lane is None else np.array(lane, dtype=np.int64),
        end=np.full(n, End.COMPLETED) if end is None else np.array(end, dtype=np.int64),
        end_s=of.arrival_s + np.array(completion_s, dtype=float),
        claim=np.full(n, np.nan) if claim is None else np.array(claim, dtype=float),
        wall_s=0.0,
    )


@dataclass(frozen=True, slots=True)
class Always:
    """A Player: each job takes `completion_s` from its arrival, on lane 0, and is promised with `claim`."""

    name: str
    completion_s: float
    claim: float = float("nan")

    def play(self, world: World, seed: int) -> Outcome:
        n = len(world)
        # a little of the seed, so that seeds differ
        times = self.completion_s * np.random.default_rng(seed).uniform(0.8, 1.2, n)
        return outcome(world, times.tolist(), claim=[self.claim] * n)
