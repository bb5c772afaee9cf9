"""A route: one model under one QoS class, names resolved once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailwise._core.core import Batching
from tailwise.explanation import Explanation

__all__ = ["Route"]


class Route(Batching):
    """One model under one QoS class, its `model` and `qos`; made by `engine.route(model, qos)`.

    `select` (compiled) is the hot path, `select_many` the same for a batch; `peek` explains it; `observe` is for jobs
    that somebody else sends.
    """

    __slots__ = ()

    def peek(
        self,
        x: tuple[float, ...] | NDArray[np.float64],
        Z: NDArray[np.float64] | None = None,
        *,
        mask: NDArray[np.bool_] | int | None = None,
        deadline_s: float | None = None,
        arrival_s: float | None = None,
        tpot_s: float | None = None,
    ) -> Explanation:
        """Every candidate's numbers for this request, best first; nothing is claimed, nothing changes.

        Parameters as in `select`. Raises InputError. Cost: tens of microseconds; for people and logs.
        """
        rows = self._forecasts(x, Z, mask=mask, deadline_s=deadline_s, arrival_s=arrival_s, tpot_s=tpot_s)
        return self._explanation(rows)

    def _explanation(self, rows: Sequence[Mapping[str, Any]], **seen: Any) -> Explanation:
        return Explanation.of(self.model, self.qos, rows, self._resources, **seen)
