"""Models that the workers' tests run; a fresh interpreter imports them by name."""

import os
import sys
from pathlib import Path
from typing import Any

import torch

__all__ = ["SOURCES"]


class Double(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


class Nested(torch.nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> dict[str, Any]:
        return {"sum": x + y, "pair": (x, [y, 3]), "name": "nested", "none": None}


class Raises(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise LookupError("not today")


class Exits(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sys.exit(3)


class RaisesUnpicklable(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        class LocalError(Exception):
            pass

        raise LocalError("local")


class RaisesUnprintable(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        class UnprintableError(Exception):
            def __str__(self) -> str:
                raise LookupError("no words")

        raise UnprintableError


class OnlyThereError(Exception):
    """Can be unpickled only in a process that has ONLY_THERE in its environment."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _only_there, (str(self),)


def _only_there(text: str) -> OnlyThereError:
    os.environ["ONLY_THERE"]
    return OnlyThereError(text)


class RaisesOnlyThere(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise OnlyThereError("there")


class Capability(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[str, int]:
        return torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()


class Until(torch.nn.Module):
    """Runs until the file that its input spells exists; makes a file beside it, .running, first."""

    def forward(self, path: torch.Tensor) -> torch.Tensor:
        name = bytes(path.tolist()).decode()
        Path(name + ".running").touch()
        while not Path(name).exists():
            torch.ones(100).sum()
        return path


MODELS = (
    Double,
    Nested,
    Raises,
    Exits,
    RaisesUnpicklable,
    RaisesUnprintable,
    RaisesOnlyThere,
    Capability,
    Until,
)

SOURCES = {model.__name__: f"{__name__}:{model.__name__}" for model in MODELS}
