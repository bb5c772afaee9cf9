"""What the run asks a model, and what makes such requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

__all__ = ["Request", "Source"]


@dataclass(frozen=True, slots=True)
class Request:
    """One job: what to compute and how to know a right answer.

    inputs: positional tensors for the model, on the CPU.
    features: raw values, in the order of the model's declared features.
    check: whether an answer is right; takes microseconds, since it runs once for each job.
    """

    inputs: tuple[torch.Tensor, ...]
    features: tuple[float, ...]
    check: Callable[[Any], bool]


class Source(Protocol):
    """Built once for a run, when it loads its data; then draws from it."""

    def draw(self, rng: np.random.Generator) -> Request:
        """One request, which depends on the generator's state alone."""
        ...

    def accuracy(self) -> float | None:
        """The model's accuracy on data held out of its training, in [0, 1]; None without labels."""
        ...
