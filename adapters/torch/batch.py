"""Members of a batch: what can be joined, how it is joined, and how its output is split again."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch

from tailwise.adapters.torch.worker import Inputs, Result
from tailwise.errors import InputError, WorkerError

__all__ = ["Piece", "join", "map_tensors", "results_of", "sizes_of", "split"]

#: Members that share an end: how many, the value of all of them together, or their error.
Piece = tuple[int, Any, BaseException | None]


def sizes_of(model: str, batch: Sequence[Inputs]) -> list[int]:
    """Rows of each member; [] of a batch of one, which needs none. Raises InputError when they cannot be joined."""
    if len(batch) == 1:
        return []
    if not batch:
        raise InputError(f"a batch for {model!r} has no members: give at least one")
    first = batch[0]
    if not first:
        raise InputError(f"a batch of {len(batch)} for {model!r} has no inputs, so nothing to split by")
    kinds = [(t.dtype, t.shape[1:]) for t in first]
    for i, member in enumerate(batch):
        if not all(t.ndim for t in member):
            raise InputError(
                f"member {i} of a batch for {model!r} has an input without dimensions: send it alone"
            )
        if [(t.dtype, t.shape[1:]) for t in member] != kinds:
            raise InputError(
                f"member {i} of a batch for {model!r} has inputs {_spelled(member)}, which cannot be joined along "
                f"dimension 0 with {_spelled(first)} of the first: batch only what differs in dimension 0"
            )
        if len({t.shape[0] for t in member}) > 1:
            raise InputError(
                f"member {i} of a batch for {model!r} has inputs {_spelled(member)} of different sizes in dimension "
                "0: its part of the output is not known, send it alone"
            )
    return [member[0].shape[0] for member in batch]


def join(batch: Sequence[Inputs]) -> Inputs:
    """The inputs of all members; those of one as they are."""
    if len(batch) == 1:
        return batch[0]
    return tuple(torch.cat(tensors) for tensors in zip(*batch, strict=True))


def split(model: str, value: Any, sizes: Sequence[int]) -> list[Any]:
    """Each member's part of a batch's output, its tensors views of the whole. Raises WorkerError where they are not
    as many rows as the members."""
    total = sum(sizes)

    def refuse(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.ndim == 0 or tensor.shape[0] != total:
            raise WorkerError(
                f"model {model!r} returned a tensor of shape {tuple(tensor.shape)} for a batch of {total} rows "
                f"({len(sizes)} members): ({total}, ...) is expected; a model that mixes rows takes no batches"
            )
        return tensor

    map_tensors(value, refuse)
    parts, start = [], 0
    for size in sizes:
        parts.append(map_tensors(value, lambda t, a=start, n=size: t.narrow(0, a, n)))  # type: ignore[misc]
        start += size
    return parts


def results_of(model: str, pieces: Sequence[Piece], sizes: Sequence[int]) -> tuple[Result, ...]:
    """Of every member; sizes: as `sizes_of` gave them."""
    results: list[Result] = []
    for n, value, error in pieces:
        if error is not None:
            results += [Result(None, error)] * n
        elif n == 1:
            results.append(Result(value))
        else:
            first = len(results)
            try:
                results += [Result(part) for part in split(model, value, sizes[first : first + n])]
            except Exception as wrong:  # of a container's constructor, too
                results += [Result(None, wrong)] * n
    return tuple(results)


def map_tensors(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The same value with other tensors; lists, tuples, named tuples, mappings and dataclasses keep their type."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if type(value) is dict:
        return {key: map_tensors(item, change) for key, item in value.items()}
    if isinstance(value, dict):  # of a type that may want more than its items
        other = copy.copy(value)
        for key, item in value.items():
            other[key] = map_tensors(item, change)
        return other
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(item, change) for item in value))
    if isinstance(value, list | tuple):
        return type(value)(map_tensors(item, change) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            f.name: map_tensors(getattr(value, f.name), change) for f in dataclasses.fields(value) if f.init
        }
        return dataclasses.replace(value, **fields)
    return value


def _spelled(inputs: Inputs) -> str:
    return ", ".join(f"{str(t.dtype).removeprefix('torch.')}{list(t.shape)}" for t in inputs) or "none"
