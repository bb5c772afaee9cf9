"""Raw numbers to encoded ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FEATURE_LIMIT = 16.0
COLUMN_LIMIT = 6.0


@dataclass(frozen=True)
class Context:
    """By column: does it measure load, is its square learned too, which entry of x is its product with (or None)."""

    load: tuple[bool, ...] = ()
    square: tuple[bool, ...] = ()
    times: tuple[int | None, ...] = ()

    @property
    def d(self) -> int:
        """Entries of x that follow the request's: the columns, then per column its square and its product."""
        return len(self.load) + sum(self.square) + sum(t is not None for t in self.times)

    def row(self, x: Array, z: Array) -> Array:
        """The whole encoded row of a request x and columns z."""
        terms = []
        for value, square, factor in zip(z, self.square, self.times, strict=True):
            terms += [value**2] if square else []
            terms += [value * x[factor]] if factor is not None else []
        return np.array([*x, *z, *terms])

    def parts(self, mean: Array) -> list[tuple[float, float, float]]:
        """By column: the slopes of itself, its square and its product in a mean (d,); 0 where there is none."""
        k = len(mean) - self.d
        plain, terms = mean[k : k + len(self.load)], iter(mean[k + len(self.load) :])
        return [
            (
                float(b),
                float(next(terms)) if square else 0.0,
                float(next(terms)) if factor is not None else 0.0,
            )
            for b, square, factor in zip(plain, self.square, self.times, strict=True)
        ]


def encode_features(u: Sequence[float], typical: Sequence[float], knee: Sequence[bool]) -> Array:
    """x = (1, then per feature ln(u / typical) or ln(1 + u), then ln cosh of it where there is a knee)."""
    x = [1.0]
    for value, usual, bends in zip(u, typical, knee, strict=True):
        z = math.log(value) - math.log(usual) if usual > 0 else math.log1p(value)
        x.append(z)
        if bends:
            x.append(float(np.logaddexp(z, -z)) - math.log(2.0))
    return np.clip(x, -FEATURE_LIMIT, FEATURE_LIMIT)


def encode_column(value: float, scale: float) -> float:
    """ln(1 + value / scale), at most 6; NaN (unknown) stays NaN."""
    return min(math.log1p(value / scale), COLUMN_LIMIT) if not math.isnan(value) else value
