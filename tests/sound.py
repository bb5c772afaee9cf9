"""What holds of every belief, whatever was learned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tailwise._core import reference as ref

_DIAGONAL = np.arange(12) * np.arange(3, 15) // 2  # of a packed lower triangle


def factor_of(belief: Mapping[str, Any]) -> ref.Array:
    """The lower triangle F (d, d) with F'F = L^-1."""
    d = len(belief["mean"])
    factor = np.zeros((d, d))
    factor[np.tril_indices(d)] = belief["factor"]
    return factor


def check_sound(belief: Mapping[str, Any]) -> None:
    """Finite and positive definite: F'F is as long as no diagonal entry of F vanishes."""
    assert np.isfinite(belief["mean"]).all()
    assert np.isfinite(belief["factor"]).all()
    assert (belief["factor"][_DIAGONAL[: len(belief["mean"])]] > 0.0).all()
    assert 0.0 < belief["scale2"] < math.inf
    assert belief["n"] >= 0.0


def check_below_prior(belief: Mapping[str, Any]) -> None:
    """Evidence never adds variance to the vague prior's: 60 of the intercept, 3 of each slope."""
    variance = np.sum(factor_of(belief) ** 2, axis=0)
    assert (variance <= np.array([60.0] + [3.0] * (len(variance) - 1)) * (1 + 1e-9)).all()
