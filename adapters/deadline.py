"""The deadline of what runs now, for what it asks for in turn: nested tickets, outgoing requests. No framework."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from tailwise.adapters.slo import deadline_header
from tailwise.clock import Clock
from tailwise.qos import QoS

__all__ = ["Deadline", "left_s", "narrow", "outgoing", "within"]


class Deadline:
    """An instant of one clock, or that of the block around it where that comes first."""

    __slots__ = ("_at_ns", "_clock", "_outer")

    def __init__(self, seconds: float, clock: Clock, outer: Deadline | None) -> None:
        self._clock = clock
        self._outer = outer
        self._at_ns: float = math.inf
        self.shorten(seconds)

    def shorten(self, seconds: float) -> None:
        """From now on it is no later than so many seconds from now."""
        if seconds < math.inf:
            self._at_ns = min(self._at_ns, self._clock.now_ns() + math.floor(seconds * 1e9))

    @property
    def left_s(self) -> float:
        own_s = math.inf if self._at_ns == math.inf else (self._at_ns - self._clock.now_ns()) * 1e-9
        return own_s if self._outer is None else min(own_s, self._outer.left_s)


_CURRENT: ContextVar[Deadline | None] = ContextVar("tailwise deadline", default=None)


def left_s() -> float:
    """Seconds that are left of the current deadline, <= 0 when it is over; inf where there is none."""
    current = _CURRENT.get()
    return math.inf if current is None else current.left_s


def outgoing() -> dict[str, str]:
    """The header that tells a server downstream what is left; empty where there is no deadline."""
    return deadline_header(left_s())


@contextmanager
def within(seconds: float, clock: Clock) -> Iterator[Deadline]:
    """What runs inside has so many seconds from now, or what was left outside where that is less."""
    deadline = Deadline(seconds, clock, _CURRENT.get())
    token = _CURRENT.set(deadline)
    try:
        yield deadline
    finally:
        with suppress(
            ValueError
        ):  # the loop closes a dropped generator in another context, where nothing is set
            _CURRENT.reset(token)


def narrow(
    qos: QoS, clock: Clock, deadline_s: float | None = None, arrival_s: float | None = None
) -> dict[str, float]:
    """The keywords deadline_s and arrival_s for `select`: what is left of the current deadline where that is less
    than the job's own budget, else as they were given."""
    now_s = clock.now_ns() * 1e-9
    waited_s = 0.0 if arrival_s is None else now_s - arrival_s
    own_s = min(qos.ttft_s, qos.deadline_s) if deadline_s is None else deadline_s
    outer_s = waited_s + left_s()  # from arrival
    if outer_s < own_s:
        deadline_s = outer_s
        if outer_s <= 0.0:  # it was over when the job came, which is refused as late under any contract
            deadline_s, arrival_s = 1.0, now_s - 1.0 + outer_s - waited_s
    said = {"deadline_s": deadline_s, "arrival_s": arrival_s}
    return {name: value for name, value in said.items() if value is not None}
