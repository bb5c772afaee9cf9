"""When a resource is taken out, for how long, and how it comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tailwise.validate import hold_number, hold_whole, is_positive, is_share

__all__ = ["Breaker", "Health", "rules_of"]


@dataclass(frozen=True, slots=True)
class Health:
    """When a resource is ejected (its breaker opens), and how it comes back.

    consecutive_failures: this many in a row eject it, 1..1000. min_success: so does a share of successes among
    about its last 20 results below this, [0, 1). An ejected resource gets no job for backoff_s > 0 seconds, then
    one probe: a job of a class that may explore, and that can afford it where one comes within backoff_s. When the
    probe succeeds the resource is back; when it fails the backoff doubles, up to max_backoff_s. Each backoff is
    drawn out by up to a half. max_ejected: the share in [0, 1] of a model's resources that may be out at once;
    beyond it those that went out last take its jobs all the same, and their costs decide.

    A resource has one breaker over all its models: a model that keeps failing there ejects it for the others as well.

    At 100 jobs/s the defaults send a dead resource 1 job in 3,000 (_core/health.pxd derives it).
    """

    consecutive_failures: int = 3
    min_success: float = 0.5
    backoff_s: float = 1.0
    max_backoff_s: float = 30.0
    max_ejected: float = 0.5

    def __post_init__(self) -> None:
        hold_whole(self, "Health", "consecutive_failures", 1, 1000)
        hold_number(self, "Health", "min_success", lambda v: 0.0 <= v < 1.0, "a share in [0, 1)")
        hold_number(self, "Health", "max_ejected", is_share, "a share in [0, 1]")
        hold_number(self, "Health", "backoff_s", is_positive, "a finite number of seconds > 0")
        expected = "backoff_s <= max_backoff_s <= 1e6 seconds"
        hold_number(self, "Health", "max_backoff_s", lambda v: self.backoff_s <= v <= 1e6, expected)


@dataclass(frozen=True, slots=True)
class Breaker:
    """One resource's breaker, over all its models, as `engine.health(name)` tells it."""

    resource: str
    state: Literal["closed", "open", "half-open"]  #: half-open: one probe is out, or the next job may be it
    failures: int  #: in a row
    success: float  #: decayed share of successes, about the last 20 results
    until_s: float | None  #: end of the backoff, seconds of the engine's clock; None while closed


def rules_of(health: Health | None) -> tuple[int, float, float, float, float]:
    """As the core takes them. None keeps the backoff, for resources that ask to be left alone."""
    on = health is not None
    h = health or Health()
    return (
        h.consecutive_failures if on else 0,
        h.min_success if on else 0.0,
        h.backoff_s,
        h.max_backoff_s,
        h.max_ejected,
    )
