"""Tickets for jobs that run as coroutines: settled by how their block ends, with a deadline that reaches inside."""

from __future__ import annotations

import asyncio
import math
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any

from tailwise.adapters.deadline import Deadline, narrow, within
from tailwise.adapters.entry import Entry
from tailwise.adapters.journal import Journal
from tailwise.adapters.refusal import EntryRefused
from tailwise.errors import JobTimedOut, TicketError
from tailwise.family import Family
from tailwise.route import Route

__all__ = ["AsyncRoute", "TimeLimit"]


class AsyncRoute:
    """A route whose tickets are held by a block of a coroutine: `async with route.ticket(x) as entry`.

    Nothing here waits: a decision takes microseconds on the loop, and no thread is used.
    """

    def __init__(self, route: Route | Family, journal: Journal) -> None:
        self.route = route
        self.journal = journal

    def ticket(self, x: Any, Z: Any = None, *, enforce: bool = False, **options: Any) -> HeldEntry:
        """Decides when the block is entered; `entry.resource` is the name of what should run the job.

        x, Z, options: as `Route.select` takes them, and request_id=. The job has no longer than what is left of the
        block or request around it, and what runs inside no longer than the job: nested tickets and outgoing requests.
        enforce: ends the block when the bound on its end is over, or on the first token before `entry.first()`.
        On leaving it completes, an Exception fails and anything else, such as asyncio's cancellation, cancels it,
        unless the block has settled it. Raises EntryRefused (a JobRejected), and with enforce JobTimedOut (a
        TimeoutError), then settled as timed out; InputError, CapacityError.
        """
        return HeldEntry(self, x, Z, enforce, options)


class HeldEntry:
    """One job's block; made by `AsyncRoute.ticket`, entered once."""

    __slots__ = ("_asked", "_deadline", "_entry", "_limit", "_route")

    def __init__(self, route: AsyncRoute, x: Any, Z: Any, enforce: bool, options: dict[str, Any]) -> None:
        self._route = route
        self._asked = (x, Z, options)
        self._limit = TimeLimit() if enforce else None
        self._entry: Entry
        self._deadline: AbstractContextManager[Deadline]

    async def __aenter__(self) -> Entry:
        (x, Z, options), route, journal = self._asked, self._route.route, self._route.journal
        clock = journal.engine.clock
        if self._limit is not None:
            await self._limit.__aenter__()
        options |= narrow(route.qos, clock, options.pop("deadline_s", None), options.pop("arrival_s", None))
        entry = journal.select(route, x, Z, **options)
        if not entry.admitted:
            raise EntryRefused(entry)
        self._entry = entry
        self._deadline = within(entry.end_left_s, clock)
        self._deadline.__enter__()
        if self._limit is not None:
            self._limit.hold(entry)
        return entry

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._limit is not None:
                await self._limit.__aexit__(kind, error, traceback)
        finally:  # one that the limit has settled stays as it is
            self._entry.__exit__(kind, error, traceback)
            self._deadline.__exit__(None, None, None)


class TimeLimit:
    """Ends what runs inside, with JobTimedOut, when the time of the jobs that it was told of is over."""

    __slots__ = ("_entries", "_first", "_inside", "_timeout")

    def __init__(self) -> None:
        self._timeout = asyncio.timeout(None)
        self._entries: list[Entry] = []
        self._first: list[asyncio.TimerHandle] = []
        self._inside = False

    async def __aenter__(self) -> TimeLimit:
        await self._timeout.__aenter__()
        self._inside = True
        return self

    def hold(self, entry: Entry, end_left_s: float = math.inf) -> None:
        """This job's bounds hold from now on, and this one on its end; called in the loop, inside."""
        self._entries.append(entry)
        loop = asyncio.get_running_loop()
        self._no_later_than(loop.time() + min(end_left_s, entry.end_left_s))
        if entry.qos.ttft_s < math.inf:
            self._first.append(loop.call_later(entry.left_s, self._expect_first, entry))

    def end(self) -> None:
        """Now, whatever is left."""
        self._no_later_than(0.0)

    def release(self) -> None:
        """No bound holds any more."""
        self._stop_watching()
        if self._inside and not self._timeout.expired():
            self._timeout.reschedule(None)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop_watching()
        self._inside = False
        try:
            await self._timeout.__aexit__(kind, error, traceback)
        except TimeoutError:
            for entry in self._entries:
                with suppress(TicketError):  # the block has settled it
                    entry.timeout()
            raise JobTimedOut(
                "the job was given up in service: the time of its class, or its own, was over"
            ) from error

    def _expect_first(self, entry: Entry) -> None:
        if not entry.settled and entry.decision.ttft_s is None:
            self._no_later_than(0.0)

    def _no_later_than(self, when: float) -> None:
        until = self._timeout.when()
        if self._inside and not self._timeout.expired() and when < (math.inf if until is None else until):
            self._timeout.reschedule(when)

    def _stop_watching(self) -> None:
        while self._first:
            self._first.pop().cancel()
