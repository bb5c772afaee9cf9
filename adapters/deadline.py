"""The deadline of what runs now, for what it asks for in turn: nested tickets, outgoing requests. No framework."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass

from tailwise.adapters.slo import deadline_header
from tailwise.clock import Clock
from tailwise.qos import QoS

__all__ = ["Deadline", "enter", "leave", "left_s", "narrow", "outgoing", "within"]


@dataclass(frozen=True, slots=True)
class Deadline:
    """An instant of one clock, nanoseconds."""

    clock: Clock
    at_ns: int

    @property
    def left_s(self) -> float:
        return (self.at_ns - self.clock.now_ns()) * 1e-9


_CURRENT: ContextVar[Deadline | None] = ContextVar("tailwise deadline", default=None)


def left_s() -> float:
    """Seconds that are left of the current deadline, <= 0 when it is over; inf where there is none."""
    current = _CURRENT.get()
    return math.inf if current is None else current.left_s


def outgoing() -> dict[str, str]:
    """The header that tells a server downstream what is left; empty where there is no deadline."""
    return deadline_header(left_s())


@contextmanager
def within(seconds: float, clock: Clock) -> Iterator[None]:
    """What runs inside has so many seconds from now, or what was left outside where that is less."""
    token = enter(seconds, clock)
    try:
        yield
    finally:
        leave(token)


def enter(seconds: float, clock: Clock) -> Token[Deadline | None] | None:
    """`within` in two halves; None = what stands outside stays."""
    if seconds >= left_s() or seconds == math.inf:
        return None
    return _CURRENT.set(Deadline(clock, clock.now_ns() + math.floor(seconds * 1e9)))


def leave(token: Token[Deadline | None] | None) -> None:
    if token is not None:
        _CURRENT.reset(token)


def narrow(
    qos: QoS, clock: Clock, deadline_s: float | None = None, arrival_s: float | None = None
) -> dict[str, float]:
    """The keywords deadline_s and arrival_s for `select`: what is left of the current deadline where that is less
    than the job's own budget, else as they were given."""
    now_s = clock.now_ns() * 1e-9
    own_s = min(qos.ttft_s, qos.deadline_s) if deadline_s is None else deadline_s
    if arrival_s is not None:
        own_s -= now_s - arrival_s
    outside_s = left_s()
    if own_s <= outside_s:
        said = {"deadline_s": deadline_s, "arrival_s": arrival_s}
        return {name: value for name, value in said.items() if value is not None}
    if outside_s > 0.0:
        return {"deadline_s": outside_s}
    return {
        "deadline_s": 1.0,
        "arrival_s": now_s - 1.0 + outside_s,
    }  # it is over: refused as late, under any contract
