"""river's LinUCB: an online Bayesian linear regression per arm."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.peers.peer import Entry, Request, Result, encode

__all__ = ["ENTRY"]


class Disjoint:
    """Rewards are -ln(seconds). Features are dictionaries, as everywhere in river."""

    def __init__(self, k: int, history: Sequence[Result]) -> None:
        from river.bandit import LinUCBDisjoint

        self._policy = LinUCBDisjoint(seed=k)
        self._lanes = list(range(k))
        for result in history:
            self.learn(*result)

    def choose(self, x: Request) -> int:
        return int(self._policy.pull(self._lanes, context=dict(enumerate(encode(x)))))

    def learn(self, lane: int, x: Request, seconds: float) -> None:
        self._policy.update(lane, dict(enumerate(encode(x))), -math.log(seconds))


ENTRY = Entry(
    name="river",
    title="river LinUCBDisjoint",
    module="river",
    requirement="river",
    differs="Bayesian regression of each arm, mean + std; noise is given, not learned; no wait, no deadline",
    make=Disjoint,
)
