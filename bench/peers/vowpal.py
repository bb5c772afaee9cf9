"""Vowpal Wabbit's contextual bandit with action-dependent features, K actions a request."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from bench.peers.peer import Entry, Request, Result, encode

__all__ = ["ENTRY"]


class Bandit:
    """Costs are ln(seconds), with a slope per (feature, action): -q sa. Explores by its default, epsilon .05.

    Examples are text, as the library's own tutorials write them; the lane is drawn here from the probabilities that
    it returns, since it leaves that to its caller.
    """

    def __init__(self, k: int, history: Sequence[Result]) -> None:
        from vowpalwabbit import Workspace

        self._workspace = Workspace(f"--cb_explore_adf --epsilon 0.05 -q sa --quiet --random_seed {k}")
        self._actions = [f"|a lane{lane}" for lane in range(k)]
        self._lanes = range(k)
        self._random = random.Random(k)
        self._propensity: dict[Request, float] = {}
        for result in history:
            self.learn(*result)

    def choose(self, x: Request) -> int:
        p = self._workspace.predict([_shared(x), *self._actions])
        lane = self._random.choices(self._lanes, p)[0]
        self._propensity[x] = p[lane]
        return lane

    def learn(self, lane: int, x: Request, seconds: float) -> None:
        p = self._propensity.pop(x, 1.0 / len(self._lanes))  # jobs of the history were dealt out evenly
        actions = self._actions.copy()
        actions[lane] = f"0:{math.log(seconds):.6g}:{p:.6g} {actions[lane]}"
        self._workspace.learn([_shared(x), *actions])


def _shared(x: Request) -> str:
    return "shared |s " + " ".join(f"{i}:{value:.6g}" for i, value in enumerate(encode(x)))


ENTRY = Entry(
    name="vowpalwabbit",
    title="Vowpal Wabbit cb_explore_adf",
    module="vowpalwabbit",
    requirement="vowpalwabbit",
    differs="one hashed linear model of all arms, explores by epsilon; no uncertainty, no wait, no deadline",
    make=Bandit,
)
