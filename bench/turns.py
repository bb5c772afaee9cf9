"""Rounds in which everything that is compared takes its turn: the speed of a shared machine drifts."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

__all__ = ["in_turns"]

T = TypeVar("T")


def in_turns(runs: Mapping[str, Callable[[], T]], rounds: Iterable[int]) -> dict[str, list[T]]:
    """What each run gave in each round, their order rotated. One turn before is not kept: it compiles and warms."""
    results: dict[str, list[T]] = {name: [] for name in runs}
    names = list(runs)
    for run in runs.values():
        run()
    gc.disable()
    try:
        for r in rounds:
            turn = r % len(names)
            for name in names[turn:] + names[:turn]:
                results[name].append(runs[name]())
    finally:
        gc.enable()
    return results
