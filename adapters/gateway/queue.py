"""Requests that wait here and not at the backends, where the order is ours: by priority, then by deadline.

One `Dispatch` for all of them, owned by the event loop, which needs no lock. A request is a `Turn`: its ticket, which
it gets when it comes, and its place, which the queues' rules may still change before its turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from tailwise.adapters.entry import Entry
from tailwise.adapters.exchange import Ask
from tailwise.adapters.gateway.written import Written
from tailwise.adapters.journal import Journal
from tailwise.dispatch import Dispatch
from tailwise.errors import JobExpired
from tailwise.job import Job, Orders, Run
from tailwise.rules import Rules
from tailwise.types import Resource

__all__ = ["Queue", "Turn"]

log = logging.getLogger("tailwise.gateway")


class Turn(Entry):
    """An entry of a job that waits for its turn, and is settled through its queue."""

    __slots__ = ("_entry", "_queue", "_started", "ask", "job", "run")

    def __init__(self, queue: Queue, ask: Ask) -> None:
        self._queue = queue
        self.ask = ask
        self.run: Run[Turn] | None = None
        self._started: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def decided(self, entry: Entry) -> None:
        super().__init__(entry._journal, entry.ticket, entry._job, entry.decision)
        self._entry = entry  # which would cancel its ticket if it were let go

    def placed(self, job: Job[Turn]) -> None:
        self.job = job

    async def wait(self) -> None:
        """Until it may run. Raises JobExpired: it was dropped before."""
        if not await self._started:
            raise JobExpired(f"its turn had not come by its deadline, or too late for it ({self.job.reason})")

    def begins(self, run: Run[Turn]) -> None:
        self.run = run
        if not self._started.done():
            self._started.set_result(True)

    def over(self) -> None:
        """The job has ended: if it waits still, it was dropped."""
        if not self._started.done():
            self._started.set_result(False)

    def complete(
        self, service_s: float | None = None, *, tokens: int | None = None, warmup: bool = False
    ) -> None:
        """service_s is the queue's to say: since the turn began."""
        self._queue.end(self, "completed")

    def fail(self, *, retry_after_s: float | None = None) -> None:
        self._queue.end(self, "failed", retry_after_s)

    def timeout(self) -> None:
        self._queue.end(self, "timed_out")

    def cancel(self) -> None:
        self._queue.end(self, "cancelled")

    def retry(self, Z: Any = None, *, mask: Any = None, retry_after_s: float | None = None) -> Turn:
        """It failed, and waits for another turn elsewhere, unless it is refused."""
        return self._queue.again(self, retry_after_s)

    def copy(self, Z: Any = None, *, mask: Any = None) -> None:
        """None: copies are the queue's rule, if anybody's."""

    def __del__(self) -> None:
        """Its entry does what there is to do."""


class Queue:
    """resources: by lane. For one event loop."""

    def __init__(self, journal: Journal, resources: Sequence[Resource]) -> None:
        self._clock = journal.engine.clock
        self._qos = {q.name: q for q in journal.engine.qos}
        self._policy = Written(journal)
        slots = [resource.slots for resource in resources]
        self._dispatch: Dispatch[Turn] = Dispatch(slots, self._policy, rules=Rules(hedge=False))
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns: int | None = None

    def __len__(self) -> int:
        """Requests that wait."""
        return self._dispatch.n_queued

    def submit(self, ask: Ask) -> Turn:
        """Decides; one that is refused has `admitted` False. Raises what `Journal.select` does."""
        return self._submit(Turn(self, ask), ask.deadline_s)

    def _submit(self, turn: Turn, deadline_s: float | None) -> Turn:
        ask, now_ns = turn.ask, self._clock.now_ns()
        with self._policy.of(turn):
            job, orders = self._dispatch.submit(
                turn, ask.model, self._qos[ask.qos], ask.x, now_ns, deadline_s=deadline_s
            )
        turn.placed(job)
        self._carry_out(orders)
        return turn

    def again(self, turn: Turn, retry_after_s: float | None) -> Turn:
        """Another turn of a request that failed."""
        assert turn.run is not None
        with self._policy.keeping(turn.ticket):
            orders = self._dispatch.ended(turn.run, "failed", self._clock.now_ns())
        self._carry_out(orders)
        second = Turn(self, turn.ask)
        self._policy.failed = (turn._entry, retry_after_s)
        return self._submit(second, max(turn.end_left_s, 1e-9))

    def end(self, turn: Turn, end: Any, retry_after_s: float | None = None) -> None:
        now_ns = self._clock.now_ns()
        if turn.run is None:  # it waits still
            self._carry_out(self._dispatch.cancel(turn.job, now_ns))
            return
        self._policy.retry_after_s = retry_after_s
        self._carry_out(self._dispatch.ended(turn.run, end, now_ns))

    def _carry_out(self, orders: Orders[Turn]) -> None:
        if orders.error is not None:
            log.error("the policy raised; the requests go on", exc_info=orders.error)
        for run in orders.start:
            run.job.payload.begins(run)
        for job in orders.ended:
            job.payload.over()
        due_ns = self._dispatch.next_due_ns()
        if due_ns != self._timer_ns:
            self._set_timer(due_ns)

    def _set_timer(self, due_ns: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_ns = None, due_ns
        if due_ns is not None:
            after_s = max(0.0, (due_ns - self._clock.now_ns()) * 1e-9)
            self._timer = asyncio.get_running_loop().call_later(after_s, self._look)

    def _look(self) -> None:
        self._timer = self._timer_ns = None
        self._carry_out(self._dispatch.due(self._clock.now_ns()))
