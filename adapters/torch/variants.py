"""One network as several models, in fewer bits or compiled: what each loses is measured, how fast it is, learned."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, cast, get_args

import torch
from torch import nn

from tailwise.adapters.torch.loading import n_bytes_of
from tailwise.adapters.torch.worker import Inputs
from tailwise.errors import ConfigError
from tailwise.types import Model

__all__ = ["Kind", "Variant", "compiled", "in_bfloat16", "in_int8", "top1", "variants"]

#: fp32: as it is. bf16, int8: in fewer bits. compiled: by torch.compile. graphs: and on CUDA replayed as graphs.
Kind = Literal["fp32", "bf16", "int8", "compiled", "graphs"]

_M = TypeVar("_M", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Variant:
    """What the engine is told, and what the executor loads."""

    model: Model
    source: nn.Module


def variants(
    base: Model,
    network: nn.Module,
    kinds: Iterable[Kind],
    validation: Sequence[tuple[Inputs, Any]],
    *,
    score: Callable[[Any, Any], float] | None = None,
) -> list[Variant]:
    """A network in several kinds, each with its accuracy on a validation set, on the CPU.

    base: what all have in common; its name is the family's, those of the variants are "NAME-KIND". network: on the
    CPU, in eval mode from here on. validation: inputs of a call with what is expected of it, one at least. score: of
    an answer and what was expected, in [0, 1]; None = `top1`. Accuracies are means over the calls, in (0, 1].
    Which of them is fast depends on the processor, and is learned. Raises ConfigError: an unknown kind, no
    validation, a variant that is never right, an int8 that this torch cannot do. Cost: each kind runs the whole set
    once; what is compiled is compiled for it, which takes seconds to minutes.
    """
    if not validation:
        raise ConfigError(
            "variants: validation is empty; at least one call with what is expected of it is needed"
        )
    network.eval()
    made = []
    for kind in kinds:
        if kind not in get_args(Kind):
            raise ConfigError(f"variants: kind={kind!r}, but one of {', '.join(get_args(Kind))} is expected")
        source = _made(network, kind)
        with torch.inference_mode():
            scores = [(score or top1)(source(*inputs), expected) for inputs, expected in validation]
        model = replace(
            base,
            name=f"{base.name}-{kind}",
            variant_of=base.name,
            accuracy=sum(scores) / len(scores),
            memory_bytes=max(n_bytes_of(source), 1),
        )
        made.append(Variant(model, source))
    return made


def top1(answer: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of rows (n, n_classes) whose largest number is at the label (n,)."""
    return float((answer.argmax(-1) == labels).float().mean())


def in_bfloat16(model: nn.Module) -> nn.Module:
    """A copy of a model that computes in bfloat16: half the memory, 8 bits of mantissa. One tensor is its answer."""
    return _Bfloat16(copy.deepcopy(model).to(torch.bfloat16)).eval()


def in_int8(model: _M) -> _M:
    """A copy whose linear layers and LSTMs have weights of 8 bits and scale their inputs as they come, without
    calibration; convolutions stay as they are. For the CPU. Raises ConfigError where this torch cannot."""
    try:
        from torch.ao.quantization import quantize_dynamic
    except ImportError as error:
        raise ConfigError(
            f"torch {torch.__version__} has no torch.ao.quantization; leave int8 variants out"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that a package of its own will take this over
        return cast(_M, quantize_dynamic(model, {nn.Linear, nn.LSTM}, dtype=torch.qint8))


def compiled(model: nn.Module, *, graphs: bool = False) -> nn.Module:
    """The model, compiled by torch.compile in the worker that loads it, at its first call: `warmup_calls` keeps that
    call's time from what is learned. graphs: replays CUDA graphs (mode "reduce-overhead"), for workers with one slot,
    since the graph's memory is used again by the next call; elsewhere the same as without."""
    return _Compiled(model, "reduce-overhead" if graphs else "default").eval()


def _made(network: nn.Module, kind: Kind) -> nn.Module:
    if kind == "bf16":
        return in_bfloat16(network)
    if kind == "int8":
        return in_int8(network)
    if kind in ("compiled", "graphs"):
        return compiled(copy.deepcopy(network), graphs=kind == "graphs")
    return network


class _Bfloat16(nn.Module):
    """Takes and gives float32 around a model in bfloat16; whole numbers pass as they are."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        cast_inputs = [x.to(torch.bfloat16) if x.is_floating_point() else x for x in inputs]
        return cast(torch.Tensor, self.model(*cast_inputs)).to(torch.float32)


class _Compiled(nn.Module):
    """What was compiled belongs to its process: a copy, or the other end of a pipe, compiles it again."""

    def __init__(self, model: nn.Module, mode: str) -> None:
        super().__init__()
        self.model = model
        self._mode = mode
        self._run: Callable[..., Any] | None = None

    def forward(self, *inputs: torch.Tensor) -> Any:
        if self._run is None:
            # one program for all batch sizes, not one for each
            self._run = torch.compile(self.model, mode=self._mode, dynamic=True)
        return self._run(*inputs)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_run": None}
