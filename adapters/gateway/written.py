"""The policy of queues whose decisions are written down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tailwise._core.core import Ticket
from tailwise.adapters.entry import Entry
from tailwise.adapters.journal import Journal
from tailwise.family import Family
from tailwise.policy import Assignment, End, Learned, assignment_of
from tailwise.route import Route

if TYPE_CHECKING:
    from tailwise.adapters.gateway.queue import Turn

__all__ = ["Written"]


class Written(Learned):
    """tailwise itself, through a journal. failed: the entry that the next decision is another try of, with the
    seconds for which its backend wants to be left alone; retry_after_s: the same, of a failure that is told next."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal.engine)
        self._journal = journal
        self._turn: Turn | None = None
        self._kept: Ticket | None = None
        self._entries: dict[int, Entry] = {}  # by identity of the ticket, while it is open
        self.failed: tuple[Entry, float | None] | None = None
        self.retry_after_s: float | None = None

    @contextmanager
    def of(self, turn: Turn) -> Iterator[None]:
        """The decision inside is this request's."""
        self._turn = turn
        try:
            yield
        finally:
            self._turn = self.failed = None

    @contextmanager
    def keeping(self, ticket: Ticket) -> Iterator[None]:
        """The end inside is not told of this ticket: what failed is tried again."""
        self._kept = ticket
        try:
            yield
        finally:
            self._kept = None

    def assign(
        self,
        model: str,
        qos: str,
        features: tuple[float, ...],
        mask: int | None,
        deadline_s: float | None = None,
    ) -> Assignment:
        turn = self._turn
        assert turn is not None
        mask = self._narrow(mask)
        if self.failed is not None:
            failed, retry_after_s = self.failed
            entry = failed.retry(mask=mask, retry_after_s=retry_after_s)
        else:
            route = self._route(model, qos)
            options = turn.ask.options()
            entry = self._journal.select(
                route, features, turn.ask.given(route), mask=mask, deadline_s=deadline_s, **options
            )
        turn.decided(entry)
        ticket = entry.ticket
        if entry.admitted:
            self._entries[id(ticket)] = entry
        return assignment_of(ticket)

    def _route(self, model: str, qos: str) -> Route | Family:
        route = self._routes.get((model, qos))
        if route is None:
            route = self._routes[model, qos] = self._resolve(model, qos)
        return route

    def ended(
        self,
        assignment: Assignment,
        end: End,
        service_s: float,
        completion_s: float,
        *,
        warmup: bool = False,
        tokens: int | None = None,
    ) -> None:
        ticket = assignment.ticket
        entry = self._entries.pop(id(ticket), None)
        if entry is None or ticket is self._kept:
            return
        if end == "completed":
            entry.complete(service_s)
        elif end == "failed":
            entry.fail(retry_after_s=self.retry_after_s)
        elif end == "timed_out":
            entry.timeout()
        elif end == "expired":
            entry.drop()
        else:
            entry.cancel()

    def reconsider(self, assignment: Assignment, mask: int | None, bonus: float) -> Assignment:
        second = super().reconsider(assignment, mask, bonus)
        entry = self._entries.get(id(assignment.ticket))
        if entry is not None and second is not assignment:
            entry.decision.resource = entry.ticket.resource.name
        return second
