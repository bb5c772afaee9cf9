"""Profiles measured elsewhere, as priors."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tailwise.validate import is_positive, require

__all__ = ["Profile"]


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile measured elsewhere, as prior for one (resource, model).

    mean_s: expected service seconds at the features' typical values, > 0. spread: standard deviation of
    ln(seconds), > 0. weight: how many observations it counts as, > 0.
    """

    resource: str
    model: str
    mean_s: float
    spread: float = 0.3
    weight: float = 8.0

    def __post_init__(self) -> None:
        for name in ("mean_s", "spread", "weight"):
            value = getattr(self, name)
            require(
                is_positive(value),
                f"Profile ({self.resource!r}, {self.model!r})",
                name,
                value,
                "a finite number > 0",
            )

    @property
    def ln_median(self) -> float:
        """ln of the median seconds of a lognormal with this mean and spread."""
        return math.log(self.mean_s) - 0.5 * self.spread**2
