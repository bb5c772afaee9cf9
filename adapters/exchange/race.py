"""A job and a copy of it on asyncio: the first answer wins."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from tailwise.adapters.entry import Entry
from tailwise.adapters.exchange.exchange import Exchange, Leg
from tailwise.adapters.journal import Journal

if TYPE_CHECKING:
    from tailwise.adapters.exchange.asynchronous import AsyncSender

__all__ = ["Race", "close", "may_copy"]

#: Copies per decision: the executor's, `Rules.hedge_budget`.
BUDGET = 0.02


class Race:
    """The job's own leg runs in its caller's task: one more task for each would cost as much as all else. Only a copy
    has one, and when it wins, it ends the other as `asyncio.timeout` does: by a cancellation that is taken back.

    at_s: seconds from now after which a copy is looked for.
    """

    def __init__(self, sender: AsyncSender[Any, Any], exchange: Exchange, request: Any, at_s: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sender, self._exchange, self._request = sender, exchange, request
        self._task: asyncio.Task[Any] = task
        self._at_s = at_s
        self._timer = task.get_loop().call_later(at_s, self._look)
        self._copy: asyncio.Task[Leg] | None = None
        self._copied: Entry | None = None
        self._ended = self._won = False  # the job's own leg; the copy

    async def run(self) -> Leg:
        """The leg that answers the job, or the last one that failed; the other one is let go."""
        own, before = self._exchange.entry, self._task.cancelling()
        try:
            leg = await self._sender._try(self._exchange, own, self._request)
            self._ended = True
            if self._won:  # and the cancellation was swallowed on its way
                self._task.uncancel()
            if not leg.failed or self._copy is None:
                return leg
            self._exchange.settle(leg)
            await close(leg)
            await asyncio.wait([self._copy])
            return self._take(self._copy)
        except asyncio.CancelledError:
            if not self._won or self._task.uncancel() > before or self._copy is None:
                raise
            if not own.settled:
                own.cancel()
            return self._take(self._copy)
        finally:
            self._ended = True
            self._timer.cancel()
            if self._copy is not None and self._copied is not None:
                self._sender._drop(self._copy, self._copied)

    def _take(self, copy: asyncio.Task[Leg]) -> Leg:
        leg = copy.result()
        self._copy = None
        self._exchange.entry = leg.entry
        return leg

    def _look(self) -> None:
        """Sends a copy, where there is a better place by now; else looks again later."""
        copied = self._exchange.copy() if may_copy(self._sender.journal) else None
        if copied is None:
            self._at_s *= 2.0
            self._timer = self._task.get_loop().call_later(self._at_s, self._look)
            return
        self._copied = copied
        self._copy = asyncio.create_task(self._sender._try(self._exchange, copied, self._request))
        self._copy.add_done_callback(self._back)

    def _back(self, copy: asyncio.Task[Leg]) -> None:
        if self._ended:
            return  # it was let go, or it is waited for
        if copy.cancelled() or copy.exception() is not None:
            self._copy = None
        elif copy.result().failed:
            self._copy = None
            self._exchange.settle(copy.result())
            self._sender._behind(close(copy.result()))
        else:
            self._won = True
            self._task.cancel()


async def close(leg: Leg) -> None:
    """Lets go of its connection; what that raises is nothing to the job."""
    if leg.response is not None:
        with contextlib.suppress(Exception):
            await leg.response.aclose()


def may_copy(journal: Journal) -> bool:
    """Whether one more copy is within the budget of all that the journal has decided."""
    tallies = journal.classes.values()
    return sum(t.copies for t in tallies) + 1 <= BUDGET * sum(t.admitted for t in tallies)
