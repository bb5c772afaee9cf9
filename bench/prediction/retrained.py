"""What one would use instead: scikit-learn models, retrained on a window of results every so often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import BayesianRidge

from bench.calibration.foresee import Asked, Told
from bench.prediction.foretold import LEVELS, Step

__all__ = ["EVERY", "Predictor", "Ridge", "Trees", "foretell"]

EVERY = 100  # results between two fits
EARLY = (20, 50)  # and the first ones, so that they are not kept waiting for a hundred
WINDOW = 2000  # results that a fit sees

Rows = NDArray[np.float64]


class Predictor(Protocol):
    """Learns X (n, d) raw numbers and y (n,) ln(seconds), foretells (n, LEVELS) quantiles."""

    def fit(self, X: Rows, y: Rows) -> None: ...

    def quantiles(self, X: Rows) -> Rows: ...


class Ridge:
    """scikit-learn's BayesianRidge on the very rows that tailwise regresses on; a normal predictive."""

    def __init__(self) -> None:
        self._model = BayesianRidge()

    def fit(self, X: Rows, y: Rows) -> None:
        self._model.fit(X, y)

    def quantiles(self, X: Rows) -> Rows:
        mean, sd = self._model.predict(X, return_std=True)
        quantiles: Rows = mean[:, None] + sd[:, None] * norm.ppf(LEVELS)
        return quantiles


class Trees:
    """Gradient-boosted trees on the raw numbers, one ensemble a quantile, sorted where they cross."""

    def __init__(self, **options: float) -> None:
        self._models = [
            HistGradientBoostingRegressor(loss="quantile", quantile=level, random_state=0, **options)
            for level in LEVELS
        ]

    @classmethod
    def small(cls) -> Trees:
        """The best of seven settings on the H200 log (rates .03-.1, 50-200 rounds, 4-31 leaves of 20-50 rows): what
        somebody who knows trees would use."""
        return cls(learning_rate=0.05, max_leaf_nodes=4, min_samples_leaf=50)

    def fit(self, X: Rows, y: Rows) -> None:
        for model in self._models:
            model.fit(X, y)

    def quantiles(self, X: Rows) -> Rows:
        return np.sort(np.column_stack([model.predict(X) for model in self._models]), axis=1)


def foretell(
    predictor: Predictor,
    X: Rows,
    y: Rows,
    steps: Sequence[Step],
    progress: Callable[[], None] = lambda: None,
) -> Rows:
    """(n, LEVELS) of every row, in the order of steps, from what had been heard of until then.

    Before the first fit: the quantiles of the results heard of; before the first result NaN. progress: called after
    every EVERY rows.
    """
    quantile = np.full((len(y), len(LEVELS)), np.nan)
    heard: list[int] = []
    asked: list[int] = []  # since the last fit
    fitted = False

    def answer() -> None:
        if asked and fitted:
            quantile[asked] = predictor.quantiles(X[asked])
        asked.clear()

    for step in steps:
        if isinstance(step, Asked):
            asked.append(step.k)
            if heard and not fitted:
                quantile[step.k] = np.quantile(y[heard], LEVELS)
            if step.k % EVERY == EVERY - 1:
                progress()
        elif isinstance(step, Told):
            heard.append(step.k)
            if len(heard) in EARLY or len(heard) % EVERY == 0:
                answer()
                seen = heard[-WINDOW:]
                predictor.fit(X[seen], y[seen])
                fitted = True
    answer()
    return quantile
