"""A route: one model under one QoS class, names resolved once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tailwise._core.core import Observing
from tailwise.summary import Candidate

__all__ = ["Route"]


class Route(Observing):
    """One model under one QoS class; made by `engine.route(model, qos)`.

    `select` (compiled) is the hot path; `peek` explains it; `observe` is for jobs that somebody else sends.
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
    ) -> list[Candidate]:
        """Every candidate's numbers for this request, best rank first; nothing is claimed, nothing changes.

        Parameters as in `select`. Raises InputError. Cost: tens of microseconds; for people and logs.
        """
        resources = self.core.resources
        rows = self.forecasts(x, Z, mask=mask, deadline_s=deadline_s, arrival_s=arrival_s)
        candidates = [Candidate(resource=resources[row.pop("lane")], **row) for row in rows]
        return sorted(candidates, key=lambda c: c.rank_s)
