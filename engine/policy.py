"""Who decides where a queued job goes: the face behind which tailwise and the baselines are exchangeable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from tailwise._core.core import Ticket
from tailwise.engine import Engine
from tailwise.route import Route

__all__ = ["Assignment", "End", "Learned", "Policy"]

#: How a job ended. expired: its deadline came while it was queued.
End = Literal["completed", "failed", "cancelled", "expired"]


@dataclass(frozen=True, slots=True)
class Assignment:
    """One decision: the lane, or a refusal with its stable reason id ("no_resource": lane -1, there is none).
    Forecasts where the policy makes them."""

    lane: int
    reason: str | None = None
    ticket: Ticket | None = None
    expected_s: float | None = None
    p_on_time: float | None = None


class Policy(Protocol):
    """Picks lanes and hears how jobs went. Called under the owner's lock, never concurrently."""

    def assign(self, model: str, qos: str, features: tuple[float, ...], mask: int | None) -> Assignment:
        """Chooses for one job that arrives now. mask: bit set of usable lanes, None = all."""
        ...

    def started(self, assignment: Assignment) -> None:
        """Service begins now."""
        ...

    def ended(self, assignment: Assignment, end: End, service_s: float, completion_s: float) -> None:
        """The job ended now. service_s, completion_s: seconds since its start and its arrival."""
        ...


class Learned:
    """tailwise itself: every decision is a ticket, every end settles it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._routes: dict[tuple[str, str], Route] = {}

    def assign(self, model: str, qos: str, features: tuple[float, ...], mask: int | None) -> Assignment:
        """Raises UnknownName, InputError, CapacityError as `route.select` does."""
        route = self._routes.get((model, qos))
        if route is None:
            route = self._routes[model, qos] = self.engine.route(model, qos)
        ticket = route.select(features, mask=mask)
        if ticket.resource is None:
            return Assignment(-1, ticket.reason, ticket)
        return Assignment(
            self.engine.lane(ticket.resource.name), ticket.reason, ticket, ticket.expected_s, ticket.p_on_time
        )

    def started(self, assignment: Assignment) -> None:
        assert assignment.ticket is not None
        assignment.ticket.start()

    def ended(self, assignment: Assignment, end: End, service_s: float, completion_s: float) -> None:
        ticket = assignment.ticket
        assert ticket is not None
        if end == "completed":
            ticket.complete(service_s)
        elif end == "failed":
            ticket.fail()
        else:
            ticket.cancel()
