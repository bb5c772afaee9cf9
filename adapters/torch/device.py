"""Ways to a device whose work the calling thread does itself, or waits for in each copy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

import torch

from tailwise.adapters.torch.batch import join, map_tensors
from tailwise.adapters.torch.serving import Path
from tailwise.adapters.torch.worker import Inputs

__all__ = ["Device", "Host", "open_device"]


class Device(Protocol):
    """A device as one worker uses it."""

    def path(self) -> Path:
        """One slot's own way there."""
        ...

    def close(self) -> None:
        """Ends its threads."""
        ...


def open_device(name: str) -> Device:
    """Raises what torch raises when there is no such device."""
    device = torch.device(name)
    if device.type == "cuda":
        from tailwise.adapters.torch.cuda import Cuda

        return Cuda(device)
    return Host(device)


class Host:
    """The CPU, and devices that torch offers no streams for: their copies wait."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        torch.empty(0, device=device)

    def path(self) -> Path:
        return _HostPath(self._device)

    def close(self) -> None:
        return


class _HostPath:
    """See `serving.Path`. A mark is the time itself."""

    mark = staticmethod(time.monotonic_ns)

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._moves = device.type != "cpu"

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        return

    def put(self, members: Sequence[Inputs]) -> Inputs:
        inputs = join(members)
        return tuple(t.to(self._device) for t in inputs) if self._moves else inputs

    def fetch(self, value: Any) -> Any:
        return map_tensors(value, torch.Tensor.cpu) if self._moves else value

    def wait(self, marks: tuple[int, int, int, int]) -> tuple[int, int]:
        begin, inside, done, end = marks
        return end, inside - begin + end - done

    def empty_cache(self) -> None:
        return
