"""What the twin writes down: jobs, and what the reference says of candidates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import tailwise as tw
from tailwise._core import reference as ref


@dataclass
class Job:
    """An open ticket as the record sees it. start_s None = queued."""

    ticket: tw.Ticket
    lane: int
    level: int
    m: float
    s: float
    urgency: float = 0.0  # at its decision
    start_s: float | None = None


@dataclass(frozen=True)
class Candidates:
    """What reference.py says of every lane for one request, arrays (K,); `error`: relative, of float32 costs."""

    m: ref.Array
    s: ref.Array
    dof: ref.Array
    x: ref.Array
    wait_s: ref.Array
    wait_var: ref.Array
    available: ref.Array
    cost_s: ref.Array
    n_open: np.ndarray
    error: ref.Array


def context_of(model: tw.Model) -> ref.Context:
    at, index = 1, {}
    for f in model.features:
        assert isinstance(f, tw.Feature)
        index[f.name] = at
        at += 1 + f.knee
    return ref.Context(
        load=tuple(bool(c.tracked) or c.reported for c in model.columns),
        square=tuple(c.square for c in model.columns),
        times=tuple(index[c.times] if c.times else None for c in model.columns),
    )
