"""Models of the executor's tests that a process can load by name, too."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

__all__ = ["count_down", "moody", "never"]


def count_down() -> Callable[[torch.Tensor], Iterator[torch.Tensor]]:
    """A generator: from its input down to 1."""

    def model(x: torch.Tensor) -> Iterator[torch.Tensor]:
        for i in range(int(x), 0, -1):
            yield torch.tensor(float(i))

    return model


def never() -> Callable[[torch.Tensor], torch.Tensor]:
    """Loading it takes longer than any test waits."""
    time.sleep(3600)
    raise AssertionError


def moody() -> Callable[[torch.Tensor], Any]:
    """Doubles numbers >= 0; raises at -1, and hangs at -2 for longer than any test waits."""

    def model(x: torch.Tensor) -> torch.Tensor:
        if float(x) == -1.0:
            raise LookupError("not today")
        if float(x) == -2.0:
            time.sleep(3600)
        return 2.0 * x

    return model
