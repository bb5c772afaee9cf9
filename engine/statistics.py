"""What an engine has seen, as numbers that add up: of several processes, machines, or days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailwise._core.core import Core
from tailwise.declared import Declared
from tailwise.errors import InputError
from tailwise.validate import as_items, as_number, is_whole

__all__ = ["Statistics", "add_statistics", "collect_statistics"]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Evidence of one (resource, model): data only, no prior in it, so that adding it up counts nothing twice.

    sums: one float64 array (d (d + 1) / 2 + d + 1,) a signal: sum w x x' as packed lower triangle, sum w x y,
    sum w y^2, where y = ln(seconds) - centre, x are encoded features and w weights that fade with age. centre: one
    a signal. succeeded, failed: faded counts behind availability. n_results: completed and failed, ever. work: faded
    items, busy seconds and jobs behind throughput.
    """

    resource: str
    model: str
    sums: tuple[NDArray[np.float64], ...]
    centre: tuple[float, ...]
    succeeded: float
    failed: float
    n_results: int
    work: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def n(self) -> float:
        """Effective number of completions behind the first signal."""
        return float(self.sums[0][0])


def collect_statistics(core: Core, declared: Declared) -> tuple[Statistics, ...]:
    """See `Engine.statistics`."""
    found = []
    for m, model in enumerate(declared.models):
        for lane in core.candidates(m):
            seen = core.seen(m, lane)
            if seen is not None:
                found.append(Statistics(seen[0].name, model.name, *seen[1:]))
    return tuple(found)


def add_statistics(core: Core, declared: Declared, statistics: Sequence[Statistics]) -> None:
    """See `Engine.merge`."""
    checked = []
    expected = "a sequence of Statistics, as engine.statistics() gives them,"
    for one in as_items("merge", "statistics", statistics, Statistics, expected, InputError):
        model = declared.model_index(one.model)
        lane = core.lanes.get(one.resource, -1) if isinstance(one.resource, str) else -1
        if lane not in core.candidates(model):
            raise InputError(f"merge: no resource {one.resource!r} runs {one.model!r} here; leave it out")
        shapes = [core.sums(model, lane, s)[0].shape for s in range(len(declared.models[model].signals))]
        if [np.shape(sums) for sums in one.sums] != shapes or len(one.centre) != len(shapes):
            raise InputError(
                f"merge: sums of {one.model!r} have shapes {[np.shape(s) for s in one.sums]}, here {shapes}: both "
                "engines must declare the same features, columns and signals"
            )
        counts = [one.succeeded, one.failed, one.n, *one.work]
        numbers = [as_number(v) for v in (*counts, *one.centre, *np.concatenate(one.sums))]
        counted = is_whole(one.n_results, 0) and len(one.work) == 3
        if not (np.isfinite(numbers).all() and counted and min(counts) >= 0):
            raise InputError(
                f"merge: {one.model!r} on {one.resource!r} holds a number that is not finite or < 0"
            )
        checked.append((model, one))
    for model, one in checked:
        core.merge(
            model, one.resource, one.sums, one.centre, one.work, one.succeeded, one.failed, one.n_results
        )
