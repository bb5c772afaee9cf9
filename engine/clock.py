"""Clocks: everything that reads time takes one; nothing reads global time."""

from typing import Protocol, runtime_checkable

from tailwise._core.core import ManualClock, MonotonicClock

__all__ = ["Clock", "ManualClock", "MonotonicClock", "as_ns"]


@runtime_checkable
class Clock(Protocol):
    """Anything that tells nanoseconds that never go back, except in tests."""

    def now_ns(self) -> int:
        """Nanoseconds since an arbitrary moment."""
        ...


def as_ns(seconds: float) -> int:
    """Nanoseconds; what is thirty years off or more, and infinity, is as good as never."""
    return round(seconds * 1e9) if seconds < 1e9 else 1_000_000_000_000_000_000
