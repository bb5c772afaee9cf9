"""Where a falling share crosses a target, and how far what was told is from it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["fails_at", "number", "row"]


def number(share: float | None) -> float:
    """NaN where it is not known."""
    return float("nan") if share is None else share


def fails_at(loads: Sequence[float], shares: Sequence[float], target: float) -> float:
    """Where the share first falls below the target, between two loads on a line; NaN where it does not."""
    for (load, share), (heavier, lower) in pairwise(zip(loads, shares, strict=True)):
        if share >= target > lower:
            return load + (share - target) / (share - lower) * (heavier - load)
    return float("nan")


def row(name: str, truth: NDArray[np.float64], told: NDArray[np.float64]) -> str:
    """A line of a table: told (n_seeds, n_loads) over truth (n_seeds,), where it fails; mean, least and most."""
    ratio = told / truth[:, None]
    spread = zip(ratio.mean(axis=0), ratio.min(axis=0), ratio.max(axis=0), strict=True)
    return (
        " | ".join(
            [
                f"| {name}",
                f"{truth.mean():.3g}",
                *(f"{m:.2f} ({least:.2f}-{most:.2f})" for m, least, most in spread),
            ]
        )
        + " |"
    )
