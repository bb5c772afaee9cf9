"""MABWiser's LinUCB: a ridge regression per arm and an optimistic mean (Li et al. 2010)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.peers.peer import Entry, Request, Result, encode

__all__ = ["ENTRY"]


class LinUCB:
    """Rewards are -ln(seconds). The first results are one `fit`, as the library asks; later ones `partial_fit`."""

    def __init__(self, k: int, history: Sequence[Result]) -> None:
        from mabwiser.mab import MAB, LearningPolicy

        self._mab = MAB(list(range(k)), LearningPolicy.LinUCB(alpha=1.0), seed=k)
        lanes, requests, seconds = zip(*history, strict=True)
        self._mab.fit(list(lanes), [-math.log(s) for s in seconds], [encode(x) for x in requests])

    def choose(self, x: Request) -> int:
        return int(self._mab.predict([encode(x)]))

    def learn(self, lane: int, x: Request, seconds: float) -> None:
        self._mab.partial_fit([lane], [-math.log(seconds)], [encode(x)])


ENTRY = Entry(
    name="mabwiser",
    title="MABWiser LinUCB",
    module="mabwiser",
    requirement="mabwiser",
    differs="optimistic mean of each arm; no wait, no deadline, no P(on time); never forgets",
    make=LinUCB,
)
