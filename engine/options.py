"""What an engine is built with besides its declarations."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tailwise._core.core import LIMITS
from tailwise.clock import Clock
from tailwise.health import Health
from tailwise.validate import hold_flag, hold_number, hold_whole, is_whole, require

__all__ = ["Options"]

BLOCK = 16  # lanes that the core lays out together (layout.pxd, LANES): room for fewer costs as much


@dataclass(frozen=True, slots=True)
class Options:
    """Checked; `Engine` says what each means. Raises ConfigError."""

    n_resources: int  #: declared ones
    clock: Clock
    seed: int
    tau_s: float
    detect_change: bool
    idle_gap_s: float | None
    health: Health | None
    max_resources: int | None
    max_tickets: int

    def __post_init__(self) -> None:
        me = "Engine"
        expected = "an object with now_ns(), as MonotonicClock() is,"
        require(callable(getattr(self.clock, "now_ns", None)), me, "clock", self.clock, expected)
        require(is_whole(self.seed, -math.inf), me, "seed", self.seed, "an int or None")
        hold_number(self, me, "tau_s", lambda v: v > 0.0, "seconds > 0 (inf = never forget)")
        hold_flag(self, me, "detect_change")
        within = "seconds in 1e-9..1e9"
        hold_number(self, me, "idle_gap_s", lambda v: 1e-9 <= v <= 1e9, within, or_none=True)
        ours = self.health is None or isinstance(self.health, Health)
        require(ours, me, "health", self.health, "a Health or None")
        # more than the core holds is its refusal where they are declared
        most = max(LIMITS["resources"], self.n_resources)
        hold_whole(self, me, "max_resources", self.n_resources, most, or_none=True)
        hold_whole(self, me, "max_tickets", 1, 1 << 20)

    @property
    def capacity(self) -> int:
        """Resources that there is room for."""
        if self.max_resources is not None:
            return self.max_resources
        return -(-self.n_resources // BLOCK) * BLOCK
