"""One job over HTTP: which backends tried it, and whether another may."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from tailwise.adapters.entry import Entry
from tailwise.adapters.exchange.answer import Answer
from tailwise.adapters.exchange.ask import Ask
from tailwise.adapters.exchange.backends import Backends
from tailwise.adapters.exchange.fault import Fault
from tailwise.errors import CapacityError, TicketError
from tailwise.family import Family
from tailwise.route import Route

__all__ = ["Exchange", "Leg"]

log = logging.getLogger("tailwise.adapters")


@dataclass(slots=True)
class Leg:
    """One try on one backend: either an answer, up to the first bytes of its body, or an error."""

    entry: Entry
    answer: Answer = field(init=False)  #: unless there is an error
    response: Any = None
    body: Any = None  #: iterator over the rest of it
    chunks: list[bytes] = field(default_factory=list)
    retry_after_s: float | None = None
    error: Exception | None = None
    fault: Fault = Fault.UNKNOWN

    @property
    def failed(self) -> bool:
        return self.error is not None or self.answer.failed


class Exchange:
    """A job's tries. `replay`: its body can be sent twice; `attempts`: on how many backends it may fail."""

    __slots__ = ("_attempts", "_backends", "_failed", "_replay", "_route", "ask", "entry")

    def __init__(
        self,
        ask: Ask,
        route: Route | Family,
        entry: Entry,
        backends: Backends,
        *,
        replay: bool,
        attempts: int,
    ) -> None:
        self.ask = ask
        self.entry = entry
        self._backends = backends
        self._route = route
        self._replay = replay
        self._attempts = attempts
        self._failed: list[int] = []  # lanes

    @property
    def repeatable(self) -> bool:
        """May it be sent though a backend may have begun with it?"""
        return self._replay and self.ask.repeatable

    def again(self, leg: Leg) -> bool:
        """Settles a leg that failed. True: `entry` is another try; False: this leg's end is the job's."""
        if not leg.failed or leg.entry.settled:
            return False
        if self._may_repeat(leg):
            return self._repeat(leg)
        self.settle(leg)
        return False

    def settle(self, leg: Leg) -> None:
        """It failed, and nothing takes its place."""
        self._failed.append(leg.entry.ticket.lane)
        if leg.error is not None:
            leg.fault.settle(leg.entry)
        else:
            leg.entry.fail(retry_after_s=leg.retry_after_s)

    def _may_repeat(self, leg: Leg) -> bool:
        if len(self._failed) + 1 >= self._attempts or leg.entry.end_left_s <= 0.0:
            return False
        if leg.error is not None:
            unreached = leg.fault is Fault.UNREACHED  # and then nothing was read of the body
            return unreached or (leg.fault is Fault.BROKEN and self.repeatable)
        return self._replay and (self.ask.repeatable or leg.answer.status == 429)  # it was turned away

    def _repeat(self, leg: Leg) -> bool:
        entry, Z = leg.entry, self.ask.given(self._route)
        self._failed.append(entry.ticket.lane)
        # the ticket of a copy knows nothing of what the first one met: every lane that failed is left out here
        mask = self._backends.mask(self.ask.mask, self._failed)
        try:
            second = entry.retry(Z, mask=mask, retry_after_s=leg.retry_after_s)
        except CapacityError:
            entry.fail(retry_after_s=leg.retry_after_s)
            return False
        if second.admitted:
            self.entry = second
        return second.admitted

    @property
    def hedge_at_s(self) -> float | None:
        """Seconds from now after which a copy may be worth it; None = never, as of all but priority 0.

        The start is not known: it is where the wait for the jobs ahead is expected to end."""
        ticket, qos = self.entry.ticket, self._route.qos
        if qos.priority > 0 or not self.repeatable or ticket.hedge_at_s is None:
            return None
        return ticket.hedge_at_s + (ticket.wait_s or 0.0)

    def abandon(self) -> None:
        """Nobody goes on with it."""
        if not self.entry.settled:
            self.entry.cancel()

    def copy(self) -> Entry | None:
        """An entry of a second leg beside the one that runs; None when there is no better place for it by now."""
        try:
            return self.entry.copy(self.ask.given(self._route), mask=self._backends.mask(self.ask.mask))
        except TicketError:  # it waits still, behind jobs that take longer than was expected
            return None
        except Exception:  # of the caller's own `Ask.Z`, say
            log.exception("a job gets no copy; it goes on")
            return None
