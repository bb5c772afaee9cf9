"""scikit-learn's BayesianRidge, one per lane: what one would build a router of without an online library."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np

from bench.peers.peer import Entry, Request, Result, encode

__all__ = ["ENTRY", "WINDOW"]

#: Results that a lane's model is fitted on.
WINDOW = 100


class Ridges:
    """Chooses the least mean - std of ln(seconds).

    There is no partial_fit: to learn from a result is to fit the lane again on its last WINDOW results. Every lane
    needs some in the history.
    """

    def __init__(self, k: int, history: Sequence[Result]) -> None:
        from sklearn.linear_model import BayesianRidge

        self._models = [BayesianRidge(fit_intercept=False) for _ in range(k)]
        self._seen: list[deque[tuple[list[float], float]]] = [deque(maxlen=WINDOW) for _ in range(k)]
        for lane, x, seconds in history:
            self._seen[lane].append((encode(x), math.log(seconds)))
        for lane in range(k):
            self._fit(lane)

    def choose(self, x: Request) -> int:
        X = np.array([encode(x)])
        optimistic = [
            mean[0] - std[0] for mean, std in (model.predict(X, return_std=True) for model in self._models)
        ]
        return int(np.argmin(optimistic))

    def learn(self, lane: int, x: Request, seconds: float) -> None:
        self._seen[lane].append((encode(x), math.log(seconds)))
        self._fit(lane)

    def _fit(self, lane: int) -> None:
        X, y = zip(*self._seen[lane], strict=True)
        self._models[lane].fit(np.array(X), np.array(y))


ENTRY = Entry(
    name="scikit-learn",
    title="scikit-learn BayesianRidge",
    module="sklearn",
    requirement="scikit-learn",
    differs=f"K models, mean - std; no partial_fit: to learn is a refit on {WINDOW} results; no wait, no deadline",
    make=Ridges,
)
