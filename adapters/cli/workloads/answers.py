"""The part of a check that every workload shares."""

from __future__ import annotations

import math
from typing import Any

import torch

__all__ = ["has_shape"]


def has_shape(answer: Any, shape: tuple[int, ...]) -> bool:
    """Whether an answer is one tensor of this shape with finite entries only.

    One sum tells about all entries, since a NaN or an infinity never sums to a finite number; a finite
    float32 answer would have to reach 3e38 to be refused wrongly.
    """
    return (
        isinstance(answer, torch.Tensor)
        and tuple(answer.shape) == shape
        and math.isfinite(float(answer.sum()))
    )
