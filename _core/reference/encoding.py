"""Raw numbers to encoded ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FEATURE_LIMIT = 16.0
COLUMN_LIMIT = 6.0


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
