"""What preparing a model measured of it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HELD_OUT", "Measured"]

HELD_OUT = "held-out accuracy"


@dataclass(frozen=True, slots=True)
class Measured:
    """value: a share in [0, 1]. of: what it is a share of, as the table of models says it."""

    value: float
    of: str = HELD_OUT

    @property
    def is_accuracy(self) -> bool:
        """Only an accuracy may bound what a class accepts."""
        return self.of == HELD_OUT
