"""Which waiting jobs are served as one run, and how large such a batch may grow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tailwise.types import Model
from tailwise.validate import hold_number, hold_whole, is_not_negative, require

__all__ = ["Batching", "items_at", "joined", "one_more"]


@dataclass(frozen=True, slots=True)
class Batching:
    """How jobs of one model that wait at one resource are joined (see `Dispatch`).

    max_items: of all jobs of a batch together, int >= 1, what one run may have at most (memory, the largest size that
    was compiled); a job that has more by itself is served alone. Where the policy forecasts, a batch stays so small
    that each of its jobs ends in time with its class's `on_time` at least.
    hold_s: seconds >= 0 that a run may be held though a slot is free and nothing else waits for it, so that more jobs
    can join: never longer after the arrival of any of its jobs, and only while one item more would keep every one of
    them above its class's `on_time`. 0 (the default) never leaves a free slot idle.
    """

    max_items: int
    hold_s: float = 0.0

    def __post_init__(self) -> None:
        hold_whole(self, "Batching", "max_items", 1)
        hold_number(
            self, "Batching", "hold_s", lambda s: is_not_negative(s) and s < math.inf, "finite seconds >= 0"
        )


def items_at(model: Model) -> int:
    """Which of the model's features is summed when jobs are joined. Raises ConfigError where the model does not say,
    or has two signals: its server batches by itself."""
    me = f"Model {model.name!r}"
    require(
        not model.streams, me, "signals", model.signals, "('service',), since its jobs are to be batched,"
    )
    expected = "the name of the feature that counts a job's items, since its jobs are to be batched,"
    require(model.items is not None, me, "items", model.items, expected)
    return [getattr(f, "name", f) for f in model.features].index(model.items)


def joined(features: Sequence[Sequence[float]], at: int) -> tuple[float, ...]:
    """Features of one run of several jobs: the items, feature number `at`, add up; of any other the largest counts,
    to which inputs are padded."""
    columns = zip(*features, strict=True)
    return tuple(math.fsum(column) if i == at else max(column) for i, column in enumerate(columns))


def one_more(features: Sequence[float], at: int) -> tuple[float, ...]:
    """The same run with one item more."""
    return tuple(value + 1.0 if i == at else value for i, value in enumerate(features))
