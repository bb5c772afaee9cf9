"""What became of every job of a world under one policy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from bench.replay.world import World

__all__ = ["End", "Outcome"]


class End(IntEnum):
    """How a job ended; OPEN: it had not when the replay stopped."""

    COMPLETED = 0
    FAILED = 1
    EXPIRED = 2
    REJECTED = 3
    OPEN = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """Arrays over the n jobs of a world, in order of arrival."""

    lane: NDArray[np.int64]  #: where it ran last, or was queued; -1 = refused
    end: NDArray[np.int64]  #: an End
    end_s: NDArray[np.float64]  #: when; NaN while open
    claim: NDArray[np.float64]  #: P(on time) told at the decision; NaN where the policy tells none
    wall_s: float  #: seconds of this machine that the replay took, compiling aside

    def completion_s(self, world: World) -> NDArray[np.float64]:
        """(n,) arrival to end of the completed ones, inf for all others."""
        done = self.end == End.COMPLETED
        return np.where(done, self.end_s - world.arrival_s, np.inf)

    def on_time(self, world: World) -> NDArray[np.bool_]:
        """(n,) completed within the deadline."""
        return self.completion_s(world) <= world.deadline_s
