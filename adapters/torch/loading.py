"""From what a user names to a callable: inside the worker, once."""

from __future__ import annotations

import importlib
import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tailwise.adapters.torch.worker import Loaded, ModelSource
from tailwise.errors import ConfigError, WorkerError

__all__ = ["Shipped", "load", "n_bytes_of", "ship", "unship"]

#: A source as it crosses to another process: ("path" | "file", text) or ("object", pickled bytes).
Shipped = tuple[str, str | bytes]


def load(name: str, source: ModelSource, device: str) -> tuple[Callable[..., Any], Loaded]:
    """Loads a model onto a device, in eval mode. Raises ConfigError, WorkerError naming the model."""
    on_cuda = torch.device(device).type == "cuda"
    begin_s = time.monotonic()
    before = torch.cuda.memory_allocated(device) if on_cuda else 0
    model = _load(name, source, device)
    n_bytes = n_bytes_of(model)
    if on_cuda:
        # jobs use it on other streams than the one that its copies went through
        torch.cuda.current_stream(torch.device(device)).synchronize()
        n_bytes = max(n_bytes, torch.cuda.memory_allocated(device) - before)
    return model, Loaded(n_bytes, time.monotonic() - begin_s)


def _load(name: str, source: ModelSource, device: str) -> Callable[..., Any]:
    try:
        model = _resolve(source, device)
    except ConfigError as error:
        raise ConfigError(f"model {name!r}: {error}") from None
    except Exception as error:
        raise WorkerError(f"model {name!r} could not be loaded: {type(error).__name__}: {error}") from error
    if not callable(model):
        raise ConfigError(f"model {name!r}: {source!r} gave a {type(model).__name__}, which cannot be called")
    loaded: Callable[..., Any] = model
    if isinstance(model, torch.nn.Module):
        loaded = model.to(device).eval()
    return loaded


def n_bytes_of(model: Callable[..., Any]) -> int:
    """Of its parameters and buffers; 0 for what is no module."""
    if not isinstance(model, torch.nn.Module):
        return 0
    tensors = [*model.parameters(), *model.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _resolve(source: ModelSource, device: str) -> Any:
    if isinstance(source, str) and ":" in source and not Path(source).exists():
        module_name, _, attribute = source.partition(":")
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            raise ConfigError(f"cannot import {module_name!r}: {error}") from None
        if not hasattr(module, attribute):
            raise ConfigError(f"module {module_name!r} has no {attribute!r}")
        return getattr(module, attribute)()
    if isinstance(source, str | os.PathLike):
        if not Path(source).is_file():
            raise ConfigError(f"{os.fspath(source)!r} is neither 'module:factory' nor a TorchScript file")
        return torch.jit.load(os.fspath(source), map_location=device)
    return source


def ship(name: str, source: ModelSource) -> Shipped:
    """What another process needs to load it. Raises ConfigError for what it could not load."""
    if isinstance(source, str | os.PathLike):
        text = os.fspath(source)
        return ("path", text) if ":" in text else ("file", str(Path(text).resolve()))
    home = getattr(source, "__module__", None)
    try:
        if "__main__" in (home, type(source).__module__):
            raise pickle.PicklingError("it is defined in __main__")
        return ("object", pickle.dumps(source))
    except Exception as error:
        raise _not_shippable(name, error) from None


def unship(name: str, shipped: Shipped) -> ModelSource:
    """The other side of `ship`; the bytes come from our own parent process. Raises ConfigError."""
    _, data = shipped
    if isinstance(data, str):
        return data
    try:
        source: ModelSource = pickle.loads(data)
    except Exception as error:  # mostly a part of it that only the parent's __main__ defines
        raise _not_shippable(name, error) from None
    return source


def _not_shippable(name: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"model {name!r} cannot be sent to a process worker ({error}); give it as 'package.module:factory'"
    )
