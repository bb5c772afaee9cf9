"""Clocks: everything that reads time takes one; nothing reads global time."""

from typing import Protocol, runtime_checkable

from tailwise._core.core import ManualClock, MonotonicClock

__all__ = ["Clock", "ManualClock", "MonotonicClock"]


@runtime_checkable
class Clock(Protocol):
    """Anything that tells nanoseconds that never go back, except in tests."""

    def now_ns(self) -> int:
        """Nanoseconds since an arbitrary moment."""
        ...
