"""The ticket of one decision, settled through the journal that made it."""

from __future__ import annotations

import math
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tailwise._core.core import Ticket
from tailwise.adapters.decision import Decision, Job
from tailwise.adapters.slo import HeaderError
from tailwise.errors import CapacityError, JobExpired, JobRejected, JobTimedOut, QueueFull, TicketError
from tailwise.qos import QoS

if TYPE_CHECKING:
    from tailwise.adapters.journal import Journal

__all__ = ["REFUSALS", "Entry"]

#: What a job hears of others that it asked for in turn, or of its own headers: it says nothing of what ran this one.
REFUSALS = (HeaderError, JobRejected, QueueFull, JobExpired, CapacityError)


class Entry:
    """A job's ticket, settled through the journal: what `Ticket` can do, written down. Made by `Journal.select`.

    `with entry:` ends it by what the block raised: see the table in `tailwise.adapters.decision`. One that is dropped
    unsettled is cancelled, as its ticket is. `ticket` is to be read: where it is settled itself, the journal does not
    hear how; the job counts as open until the entry is collected, then as cancelled, without a verdict.
    """

    __slots__ = ("_job", "_journal", "_made_ns", "decision", "ticket")

    def __init__(self, journal: Journal, ticket: Ticket, job: Job, decision: Decision) -> None:
        self._journal = journal
        self._job = job
        self._made_ns = journal.engine.clock.now_ns()
        self.ticket = ticket
        self.decision = decision

    @property
    def admitted(self) -> bool:
        return self.ticket.admitted

    @property
    def resource(self) -> str | None:
        """Name of the resource that should run it; of a refused job the nearest candidate."""
        return self.decision.resource

    @property
    def reason(self) -> str | None:
        return self.decision.reason

    @property
    def qos(self) -> QoS:
        """The job's class, as declared."""
        return self._job.qos

    @property
    def settled(self) -> bool:
        return self.ticket.settled

    @property
    def left_s(self) -> float:
        """Seconds that are left now to the deadline of the job (where the class has a ttft_s: of its first token)."""
        return self._job.left_s - self._journal.since_s(self._job.start_ns)

    @property
    def end_left_s(self) -> float:
        """Seconds that are left now to the end of the job; inf where its class bounds the first token alone."""
        qos = self._job.qos
        after_s = qos.deadline_s - qos.ttft_s if qos.ttft_s < math.inf else 0.0
        return self.left_s + after_s

    @property
    def _outlier_s(self) -> float:
        """Seconds after which it has taken longer than forecast, from its decision; 0 where nothing was forecast."""
        ticket = self.ticket
        if ticket.hedge_at_s is None or ticket.wait_s is None or ticket.end_s is None:
            return 0.0
        return max(ticket.wait_s + ticket.hedge_at_s, ticket.end_s)

    def first(self, ttft_s: float | None = None) -> None:
        """The first token is there: see `Ticket.first`."""
        self.ticket.first(ttft_s)
        self.decision.ttft_s = self._journal.since_s(self._job.start_ns)

    def progress(self, tokens: int) -> None:
        self.ticket.progress(tokens)

    def complete(
        self, service_s: float | None = None, *, tokens: int | None = None, warmup: bool = False
    ) -> None:
        """See `Ticket.complete`. The first entry of a job to complete ends the job; others teach only."""
        self.ticket.complete(service_s, tokens=tokens, warmup=warmup)
        self._journal._end(self, "completed", tokens)

    def fail(self, *, retry_after_s: float | None = None) -> None:
        self.ticket.fail(retry_after_s=retry_after_s)
        self._journal._end(self, "failed")

    def timeout(self) -> None:
        """Given up. It counts against the resource, as `Ticket.timeout` does, where it took longer than its forecast
        can explain. Else its deadline was short, which says nothing of the resource: clients that bring deadlines
        would open breakers for all others. It counts as late whenever it comes."""
        if self._journal.since_s(self._made_ns) >= self._outlier_s:
            self.ticket.timeout()
        elif self.end_left_s > 0.0:
            self.ticket.drop()  # cancelled before its deadline, it would count in no certificate
        else:
            self.ticket.cancel()
        self._journal._end(self, "timed_out")

    def drop(self) -> None:
        """It left a queue of ours unserved, as its deadline came or could not be met: see `Ticket.drop`. Ends
        "timed_out"."""
        self.ticket.drop()
        self._journal._end(self, "timed_out")

    def cancel(self) -> None:
        self.ticket.cancel()
        self._journal._end(self, "cancelled")

    def retry(self, Z: Any = None, *, mask: Any = None, retry_after_s: float | None = None) -> Entry:
        """Another try elsewhere, of an open entry that failed: see `Ticket.retry`. The entry that it returns may be
        refused, and then the job has failed."""
        if self.ticket.settled:
            raise TicketError(
                "retry() of an entry that is open: it says that it failed, and where to try again"
            )
        second = self.ticket.retry(Z, mask=mask, retry_after_s=retry_after_s)
        return self._journal._again(self, second)

    def copy(self, Z: Any = None, *, mask: Any = None) -> Entry | None:
        """A second entry of a running job (a hedge): see `Ticket.copy`."""
        second = self.ticket.copy(Z, mask=mask)
        return None if second is None else self._journal._also(self, second)

    def __enter__(self) -> Entry:
        self.ticket.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.settle(error)

    def settle(self, error: BaseException | None) -> None:
        """By what a block or a handler raised, None = nothing; one that is settled stays as it is."""
        if self.ticket.settled:
            return
        try:
            if error is None:
                self.complete()
            elif isinstance(error, JobTimedOut):
                self.timeout()
            elif isinstance(error, Exception) and not isinstance(error, REFUSALS):
                self.fail()
            else:
                self.cancel()
        except TicketError:
            if not self.ticket.settled:  # else another thread settled it just now
                raise

    def __del__(self) -> None:
        ticket = getattr(self, "ticket", None)
        if ticket is not None and ticket.admitted and self.decision.end is None:
            self._journal._drop(self)
