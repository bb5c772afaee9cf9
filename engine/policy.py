# cython: annotation_typing=False
"""Who decides where a queued job goes: the face behind which tailwise and the baselines are exchangeable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from tailwise._core.core import Ticket
from tailwise.engine import Engine
from tailwise.errors import InputError
from tailwise.family import Family
from tailwise.route import Route

__all__ = ["Assignment", "End", "Forecasting", "Joining", "Learned", "Policy", "assignment_of"]

#: How a job ended. expired: dropped in the queue, since its deadline came or could not be met any more. timed_out:
#: given up in service, since nobody waits for it any longer.
End = Literal["completed", "failed", "cancelled", "timed_out", "expired", "rejected"]


class Assignment(NamedTuple):
    """One decision: the lane, or a refusal with its stable reason id ("no_resource": lane -1, there is none).
    Forecasts where the policy makes them."""

    lane: int
    reason: str | None = None
    ticket: Ticket | None = None
    expected_s: float | None = None
    p_on_time: float | None = None
    retry_after_s: float | None = None  #: of a refusal, where waiting helps
    model: str | None = None  #: the variant that was chosen, where the job was submitted for a family


class Policy(Protocol):
    """Picks lanes and hears how jobs went. Called under the owner's lock, never concurrently."""

    def assign(
        self,
        model: str,
        qos: str,
        features: tuple[float, ...],
        mask: int | None,
        deadline_s: float | None = None,
    ) -> Assignment:
        """Chooses for one job that arrives now. model: of a model, or of a family whose variants may run it.
        mask: bit set of usable lanes, None = all. deadline_s: the job's own budget, None = its class's."""
        ...

    def started(self, assignment: Assignment) -> None:
        """Service begins now."""
        ...

    def ended(self, assignment: Assignment, end: End, service_s: float, completion_s: float) -> None:
        """The job ended now. service_s, completion_s: seconds since its start and its arrival."""
        ...


@runtime_checkable
class Forecasting(Policy, Protocol):
    """A policy that forecasts, so that the rules of queues (see `Rules`) can be applied to its jobs."""

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
        """As `Policy.ended`. warmup, tokens: as in `Ticket.complete`; left out where the owner says neither."""
        ...

    def wait_s(self, assignment: Assignment) -> float:
        """Seconds from arrival to the predicted start, as of the last decision."""
        ...

    def may_start(self, assignment: Assignment, left_s: float) -> bool:
        """The start test of a queued job whose turn has come, `left_s` seconds before its deadline."""
        ...

    def reconsider(self, assignment: Assignment, mask: int | None, bonus: float) -> Assignment:
        """Decides again for a queued job. Another lane must be better by the share `bonus`."""
        ...

    def hedge_at_s(self, assignment: Assignment) -> float:
        """Seconds of service after which a job is an outlier of its own forecast; inf where it would get no copy."""
        ...

    def copy(self, assignment: Assignment, mask: int | None) -> Assignment | None:
        """A place on another lane for a running job, where it is expected to end sooner; None: there is none."""
        ...

    def disturbed(self) -> int:
        """Bit set of lanes whose queued jobs should be looked at, since an alarm or the breaker went off."""
        ...


@runtime_checkable
class Joining(Forecasting, Protocol):
    """A policy that forecasts jobs that are served together (see `Batching`)."""

    def service_within_s(
        self, assignment: Assignment, features: tuple[float, ...], probability: float
    ) -> float:
        """Seconds within which a run with these features, started now where the job is, ends with `probability`."""
        ...

    def started_batch(self, assignments: Sequence[Assignment], features: tuple[float, ...]) -> None:
        """Service of these jobs, the lead first, begins now, as one run with these features. `started` is not said of
        any; `ended` is of each, of which the lead's says how the run went."""
        ...


class Learned:
    """tailwise itself: every decision is a ticket, every end settles it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._core = engine._core
        self._routes: dict[tuple[str, str], Route | Family] = {}
        self._n_lanes, self._every = 0, 0  # bit set of all lanes, while there are so many

    def assign(
        self,
        model: str,
        qos: str,
        features: tuple[float, ...],
        mask: int | None,
        deadline_s: float | None = None,
    ) -> Assignment:
        """model: of a model or a family; a model's own name comes first. Raises UnknownName, InputError,
        CapacityError as `route.select` does."""
        route = self._routes.get((model, qos))
        if route is None:
            route = self._routes[model, qos] = self._resolve(model, qos)
        mask = self._narrow(mask)
        if type(route) is Family:
            return self._assign_variant(route, features, mask, deadline_s)
        if mask is None and deadline_s is None:
            return assignment_of(route.select(features))
        try:
            return assignment_of(route.select(features, mask=mask, deadline_s=deadline_s))
        except InputError:
            # no candidate in the mask is nobody's mistake here, and rare: looking first costs as much as deciding
            if mask is None or self._can_run(model, mask):
                raise
            return Assignment(-1, reason="no_resource")

    def _assign_variant(
        self, family: Family, features: tuple[float, ...], mask: int | None, deadline_s: float | None
    ) -> Assignment:
        try:
            ticket = family.select(features, mask=mask, deadline_s=deadline_s)
        except InputError:
            if mask is None or any(self._can_run(route.model.name, mask) for route in family.variants):
                raise
            return Assignment(-1, reason="no_resource")
        return assignment_of(ticket, ticket.model.name)

    def _resolve(self, model: str, qos: str) -> Route | Family:
        models = self.engine.models
        if not any(m.name == model for m in models) and any(m.variant_of == model for m in models):
            return self.engine.family(model, qos)
        return self.engine.route(model, qos)

    def _can_run(self, model: str, mask: int) -> bool:
        return any(mask >> lane & 1 for lane in self.engine.candidates(model))

    def started(self, assignment: Assignment) -> None:
        _ticket(assignment).start()

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
        ticket = _ticket(assignment)
        if end == "completed":
            ticket.complete(service_s, tokens=tokens, warmup=warmup)
        elif end == "failed":
            ticket.fail()
        elif end == "timed_out":
            ticket.timeout()
        elif end == "expired":
            ticket.drop()
        else:
            ticket.cancel()

    def wait_s(self, assignment: Assignment) -> float:
        seconds = _ticket(assignment).wait_s
        # in bypass mode nothing is forecast, and so nothing of a job is looked at again
        return math.inf if seconds is None else seconds

    def may_start(self, assignment: Assignment, left_s: float) -> bool:
        return _ticket(assignment).may_start(left_s)

    def reconsider(self, assignment: Assignment, mask: int | None, bonus: float) -> Assignment:
        ticket = _ticket(assignment)
        if not ticket.reconsider(mask=self._narrow(mask), bonus=bonus):
            return assignment
        return Assignment(ticket.lane, *assignment[1:])

    def hedge_at_s(self, assignment: Assignment) -> float:
        ticket = _ticket(assignment)
        seconds = ticket.hedge_at_s
        return math.inf if seconds is None or ticket.alone else seconds

    def copy(self, assignment: Assignment, mask: int | None) -> Assignment | None:
        ticket = _ticket(assignment).copy(mask=self._narrow(mask))
        return None if ticket is None else assignment_of(ticket, assignment.model)

    def service_within_s(
        self, assignment: Assignment, features: tuple[float, ...], probability: float
    ) -> float:
        seconds = _ticket(assignment).service_within_s(features, probability)
        return 0.0 if seconds is None else seconds  # in bypass mode nothing is forecast, and nothing too long

    def started_batch(self, assignments: Sequence[Assignment], features: tuple[float, ...]) -> None:
        lead, *others = map(_ticket, assignments)
        lead.start_batch(others, features)

    def disturbed(self) -> int:
        return self._core.take_disturbed()

    def _narrow(self, mask: int | None) -> int | None:
        """None where it takes nothing away: a decision without a mask is cheaper."""
        if mask is None:
            return None
        n_lanes = self._core.n_lanes
        if n_lanes != self._n_lanes:
            self._n_lanes, self._every = n_lanes, (1 << n_lanes) - 1
        mask &= self._every
        return None if mask == self._every else mask


def assignment_of(ticket: Ticket, model: str | None = None) -> Assignment:
    """What a ticket says, as queues take it. model: the variant, where a family was asked for."""
    reason = ticket.reason
    again_s = None if reason is None else ticket.retry_after_s
    # what NamedTuple's own constructor does, which is a Python function
    told = ticket.lane, reason, ticket, ticket.expected_s, ticket.p_on_time, again_s, model
    return tuple.__new__(Assignment, told)


def _ticket(assignment: Assignment) -> Ticket:
    assert assignment.ticket is not None
    return assignment.ticket
