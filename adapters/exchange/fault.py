"""What an exception says of the backend that it came from, and so what the job's entry is told."""

from __future__ import annotations

from enum import Enum

from tailwise.adapters.entry import Entry

__all__ = ["Fault"]


class Fault(Enum):
    """See the table of ends in `tailwise.adapters.decision`."""

    UNREACHED = "unreached"  # it never had the request
    BROKEN = "broken"  # it may have begun with it
    TIMED_OUT = "timed out"
    OURS = "ours"  # the request was never fit to be sent, or a limit of our own was met
    UNKNOWN = "unknown"  # it failed, and nobody knows whether another would not

    def settle(self, entry: Entry) -> None:
        if self is Fault.TIMED_OUT:
            entry.timeout()
        elif self is Fault.OURS:
            entry.cancel()
        else:
            entry.fail()
