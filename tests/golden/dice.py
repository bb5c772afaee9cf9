"""Random numbers that are the same everywhere: of `random.Random.random`, which Python promises not to change."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Dice"]

T = TypeVar("T")


#: Entries of the tables that whole rows are taken from: drawing each would take longer than the decisions.
_N_ROWS = 4096


class Dice:
    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed).random

    def chance(self, p: float) -> bool:
        return self._draw() < p

    def real(self, low: float, high: float) -> float:
        return low + (high - low) * self._draw()

    def whole(self, low: int, high: int) -> int:
        """Both ends included."""
        return low + int((high - low + 1) * self._draw())

    def one_of(self, choices: Sequence[T]) -> T:
        return choices[int(len(choices) * self._draw())]

    def mostly(self, usual: T, others: Sequence[T], p_other: float) -> T:
        return self.one_of(others) if self._draw() < p_other else usual

    def exponential(self, mean: float) -> float:
        return -mean * math.log1p(-self._draw())

    def normal(self) -> float:
        """Of mean 0 and variance 1, and never beyond 4.25: the sum of six uniform numbers."""
        draw = self._draw
        return (draw() + draw() + draw() + draw() + draw() + draw() - 3.0) * math.sqrt(2.0)

    def given(self, n: int) -> NDArray[np.float64]:
        """n exponential numbers of mean 1, one in five NaN."""
        at = self.whole(0, _N_ROWS - n)
        return _given()[at : at + n]

    def bits(self, n: int) -> int:
        """n bits, three in five set."""
        return _bits() >> self.whole(0, _N_ROWS - n) & (1 << n) - 1


@cache
def _given() -> NDArray[np.float64]:
    dice = Dice(1)
    return np.array([dice.mostly(dice.exponential(1.0), (math.nan,), 0.2) for _ in range(_N_ROWS)])


@cache
def _bits() -> int:
    dice = Dice(2)
    return sum(1 << i for i in range(_N_ROWS) if dice.chance(0.6))
