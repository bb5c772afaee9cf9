"""The embedded models in fewer bits, as variants of themselves: what they lose is measured, their speed learned.

Whether fewer bits are faster is a property of the processor: bfloat16 is where it has instructions for it, and
several times slower where it has not. `in_bfloat16` and `in_int8` work on models of one's own, too.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import TypeVar, cast

import torch
from torch import nn

from tailwise.adapters.cli.workloads import code, digits
from tailwise.adapters.cli.workloads.cache import Progress, remembered
from tailwise.errors import ConfigError

__all__ = ["accurate_bf16", "in_bfloat16", "in_int8", "next_character_bf16", "next_character_int8", "prepare"]

_M = TypeVar("_M", bound=nn.Module)


class _Bfloat16(nn.Module):
    """Takes and gives float32 around a model in bfloat16; whole numbers pass as they are."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        cast_inputs = [x.to(torch.bfloat16) if x.is_floating_point() else x for x in inputs]
        return cast(torch.Tensor, self.model(*cast_inputs)).to(torch.float32)


def in_bfloat16(model: nn.Module) -> nn.Module:
    """A copy of a model that computes in bfloat16: half the memory, 8 bits of mantissa. One tensor is its answer."""
    return _Bfloat16(copy.deepcopy(model).to(torch.bfloat16)).eval()


def in_int8(model: _M) -> _M:
    """A copy whose linear layers and LSTMs have weights of 8 bits and scale their inputs as they come, without
    calibration; convolutions stay as they are. Raises ConfigError where this torch cannot."""
    try:
        from torch.ao.quantization import quantize_dynamic
    except ImportError as error:
        raise ConfigError(
            f"torch {torch.__version__} has no torch.ao.quantization; leave int8 variants out of the workload file"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that a package of its own will take this over
        return cast(_M, quantize_dynamic(model, {nn.Linear, nn.LSTM}, dtype=torch.qint8))


def accurate_bf16() -> nn.Module:
    """`digits.accurate` in bfloat16."""
    return in_bfloat16(digits.accurate())


def next_character_bf16() -> nn.Module:
    """`code.next_character` in bfloat16."""
    return in_bfloat16(code.next_character())


def next_character_int8() -> nn.Module:
    """`code.next_character` with weights of 8 bits. Raises ConfigError."""
    return in_int8(code.next_character())


def prepare(progress: Progress | None = None) -> dict[str, float]:
    """Trains what is missing; the held-out accuracy of each variant in [0, 1], measured once for a version of torch
    and kept. Raises MissingExtra, ConfigError."""
    digits.prepare(progress)
    code.prepare(progress)
    measures: dict[str, Callable[[], float]] = {
        "accurate_bf16": lambda: digits.held_out_accuracy(accurate_bf16()),
        "next_character_bf16": lambda: code.held_out_accuracy(code.next_character().to(torch.bfloat16)),
        "next_character_int8": lambda: code.held_out_accuracy(next_character_int8()),
    }
    return {name: remembered(f"precision-{name}", measure, progress) for name, measure in measures.items()}
