"""Models that the workers' tests run; a fresh interpreter imports them by name."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

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
        class UnprintableError(RuntimeError):
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


class Rows(torch.nn.Module):
    """Doubles rows, unless there is a 13 among them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if (x == 13).any():
            raise LookupError("there is a 13")
        return x * 2


class Small(torch.nn.Module):
    """A device that holds two rows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return x * 2


class SaysOutOfMemory(torch.nn.Module):
    """As libraries do that are not torch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 2:
            raise RuntimeError("cublas: CUBLAS_STATUS_ALLOC_FAILED, device out of memory")
        return x * 2


class Mixes(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum(0, keepdim=True)


class Pair(NamedTuple):
    whole: torch.Tensor
    label: str


class Contains(torch.nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> dict[str, Any]:
        return {"pair": Pair(x + y, "sum"), "list": [x, (y, 3)]}


class Counts(torch.nn.Module):
    """Yields its input as often as that says, one more each time."""

    def forward(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        return (x + i for i in range(int(x[0])))


class YieldsUntil(torch.nn.Module):
    """Yields its input, and again when the file exists that it spells."""

    def forward(self, path: torch.Tensor) -> Iterator[torch.Tensor]:
        yield path
        yield Until()(path)


class Endless(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        while True:
            yield x


class LosesTheDevice(torch.nn.Module):
    """Raises what torch does when a kernel asserts: nothing but a CUDA device could do so itself."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")


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
    Rows,
    Small,
    SaysOutOfMemory,
    Mixes,
    Contains,
    Counts,
    YieldsUntil,
    Endless,
    LosesTheDevice,
)

SOURCES = {model.__name__: f"{__name__}:{model.__name__}" for model in MODELS}
