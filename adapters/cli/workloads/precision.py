"""The embedded models in fewer bits, as variants of themselves: what they lose is measured, their speed learned.

Whether fewer bits are faster is a property of the processor: bfloat16 is where it has instructions for it, and
several times slower where it has not. For models of one's own: `tailwise.adapters.torch.variants`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from tailwise.adapters.cli.workloads import code, digits
from tailwise.adapters.cli.workloads.cache import Progress, remembered
from tailwise.adapters.torch.variants import in_bfloat16, in_int8

__all__ = ["accurate_bf16", "next_character_bf16", "next_character_int8", "prepare"]


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
