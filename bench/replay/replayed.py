"""A policy of the field as a player: bare, as its users run it, or with the common layer."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from bench.replay.face import Baseline
from bench.replay.outcome import End, Outcome
from bench.replay.queueing import play
from bench.replay.state import prepare
from bench.replay.world import World

__all__ = ["Replayed"]


@dataclass(frozen=True, slots=True)
class Replayed:
    """layered: with queues by class and deadline, drop at the deadline by the clock, and the breaker. Else each
    resource serves in order of arrival, late jobs too, and nothing is ejected."""

    baseline: Baseline
    layered: bool = True

    @property
    def name(self) -> str:
        return self.baseline.name if self.layered else f"{self.baseline.name}, bare"

    def play(self, world: World, seed: int) -> Outcome:
        """Every job of the world until it has ended."""
        policy = self.baseline
        rng = np.random.default_rng([seed, 0xBA5E])
        began = time.perf_counter()
        view, state = prepare(world, self.layered)
        if policy.retrain is not None:
            view = view._replace(forecast_s=np.full(world.service_s.shape, np.nan))
        n_memory = policy.n_memory(len(world.resources), len(world.models), world.x.shape[1])
        memory = np.zeros((world.n_gateways, n_memory))
        until_s = 0.0
        while until_s < np.inf:
            last = until_s + policy.retrain_s > world.arrival_s[-1:].max(initial=0.0)
            until_s = np.inf if last else until_s + policy.retrain_s
            play(view, state, memory, rng, policy.choose, policy.ended, policy.may_start, until_s)
            if policy.retrain is not None and not last:
                done = np.flatnonzero(view.jobs["end"] == End.COMPLETED)
                policy.retrain(
                    world, view, done[np.argsort(view.jobs["end_s"][done], kind="stable")], until_s
                )
        wall_s = time.perf_counter() - began
        jobs, untold = view.jobs, np.full(len(world), np.nan)
        return Outcome(jobs["lane"].copy(), jobs["end"].copy(), jobs["end_s"].copy(), untold, wall_s)
