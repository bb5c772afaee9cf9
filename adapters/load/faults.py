"""What resources should say of their load and do not: kept for people, and said in the log, not too often."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

__all__ = ["Fault", "Faults", "Kind"]

log = logging.getLogger("tailwise.load")

Kind = Literal["failed", "missing", "renamed", "refused"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that a resource does not say, or not as it should; seconds of the engine's clock.

    what: the field, "report" where nothing came at all, "header" for a response's. kind: "failed" (no report),
    "missing" (nothing tells the field), "renamed" (read by a name that it had before), "refused" (no such number).
    seen_s: when it was last right, None = never. times: reports in a row.
    """

    resource: str
    what: str
    kind: Kind
    why: str
    since_s: float
    seen_s: float | None
    times: int


class Faults:
    """Those of now. quiet_s: one that goes on or comes back is logged once in so many seconds."""

    def __init__(self, quiet_s: float) -> None:
        self._quiet_s = quiet_s
        self._open: dict[tuple[str, str], Fault] = {}
        self._seen_s: dict[tuple[str, str], float] = {}
        self._logged_s: dict[tuple[str, str], float] = {}

    def wrong(self, now_s: float, resource: str, what: str, kind: Kind, why: str) -> None:
        key = (resource, what)
        before, seen_s = self._open.get(key), self._seen_s.get(key)
        since_s, times = (before.since_s, before.times + 1) if before else (now_s, 1)
        self._open[key] = Fault(resource, what, kind, why, since_s, seen_s, times)
        # a clock that went back silences nothing
        if not 0.0 <= now_s - self._logged_s.get(key, -self._quiet_s + now_s) < self._quiet_s:
            self._logged_s[key] = now_s
            seen = "never right yet" if seen_s is None else f"right {now_s - seen_s:.1f} s ago"
            log.warning("%s: %s %s: %s (%s, %d in a row)", resource, what, kind, why, seen, times)

    def right(self, now_s: float, resource: str, what: str) -> None:
        key = (resource, what)
        self._seen_s[key] = now_s
        fault = self._open.pop(key, None)
        if fault is not None:
            log.info("%s: %s is right again, %d in a row were not", resource, what, fault.times)

    def forget(self, resource: str) -> None:
        for table in (self._open, self._seen_s, self._logged_s):
            for key in [key for key in table if key[0] == resource]:
                del table[key]

    def now(self) -> list[Fault]:
        """By resource and what. From any thread."""
        return [fault for _, fault in sorted(self._open.copy().items(), key=lambda one: one[0])]
