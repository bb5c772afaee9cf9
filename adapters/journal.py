"""What adapters decide and what became of it: the one place that metrics, pages and people on call read."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Literal

from tailwise._core.core import Ticket
from tailwise.adapters.decision import Decision, End, Job, Listener, verdict
from tailwise.adapters.entry import Entry
from tailwise.adapters.tally import ClassTally
from tailwise.engine import Engine
from tailwise.errors import InputError
from tailwise.explanation import Explanation
from tailwise.family import Family
from tailwise.headroom import Headroom
from tailwise.route import Route

__all__ = ["Decision", "End", "Entry", "Journal", "Listener"]

log = logging.getLogger("tailwise.adapters")


class Journal:
    """Decides through an engine and writes down what was decided and what became of it.

    keep: how many decisions, and how many refused ones, are kept. explain_per_s: of how many decisions a second every
    candidate's numbers are kept (tens of microseconds each), and of how many refused ones. wall: seconds since 1970.
    May be called from any thread.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        keep: int = 256,
        explain_per_s: float = 2.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        if keep < 1 or not explain_per_s >= 0.0:
            raise InputError(
                f"Journal: keep={keep!r}, explain_per_s={explain_per_s!r}: keep >= 1, explain_per_s >= 0"
            )
        self.engine = engine
        self._wall = wall
        self._lock = (
            threading.RLock()
        )  # a finalizer of the user's may settle an entry in whatever call it comes
        self._dropped: deque[tuple[Decision, Job, float | None]] = deque()  # entries collected, and when
        self._classes = {q.name: ClassTally(q.name) for q in engine.qos}
        self._decisions: deque[Decision] = deque(maxlen=keep)
        self._refusals: deque[Decision] = deque(maxlen=keep)
        self._listeners: tuple[Listener, ...] = ()
        self._headroom = Headroom(engine)
        self._n = 0
        self._explain_every_s = 1.0 / explain_per_s if explain_per_s else math.inf
        self._explained_s = {True: -math.inf, False: -math.inf}  # admitted, refused: when last

    @property
    def classes(self) -> Mapping[str, ClassTally]:
        """Counts by the name of the class."""
        self._settle_dropped()
        return MappingProxyType(self._classes)

    @property
    def decisions(self) -> Sequence[Decision]:
        """The last ones, the latest last."""
        self._settle_dropped()
        with self._lock:
            return tuple(self._decisions)

    @property
    def refusals(self) -> Sequence[Decision]:
        """The last refused ones, the latest last."""
        with self._lock:
            return tuple(self._refusals)

    def recent(self, qos: str) -> tuple[int, int, int, int]:
        """(offered, refused, known, on time) of a class in the last minute."""
        self._settle_dropped()
        with self._lock:
            return self._classes[qos].recent.total(int(self._wall()))

    def by_second(self, qos: str) -> list[tuple[int, int, int, int]]:
        """The same of each second of the last minute, the latest last."""
        self._settle_dropped()
        with self._lock:
            return self._classes[qos].recent.by_second(int(self._wall()))

    def headroom(self, qos: str) -> float | None:
        """By what share the arrivals of everything could grow before the class misses its on_time; None = not known.
        See `tailwise.headroom.Headroom`. Cost: some milliseconds, at most every five seconds."""
        return self._headroom(qos)

    def now_s(self) -> float:
        """Seconds since 1970."""
        return self._wall()

    def listen(self, listener: Listener) -> None:
        """Tells it of every decision and end from now on."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def since_s(self, at_ns: int) -> float:
        """Seconds since a reading of the engine's clock."""
        return (self.engine.clock.now_ns() - at_ns) * 1e-9

    def select(
        self, route: Route | Family, x: Any, Z: Any = None, *, request_id: str | None = None, **options: Any
    ) -> Entry:
        """`route.select(x, Z, **options)`, written down. Raises what it raises, and then nothing is written."""
        self._settle_dropped()
        now_ns = self.engine.clock.now_ns()
        explain = isinstance(route, Route) and self._may_explain(True)
        if explain:
            options["explain"] = True
        ticket = route.select(x, Z, **options)
        # in bypass mode nothing was decided, and there is nothing to explain
        explanation = ticket.explain() if explain and ticket.expected_s is not None else None
        if (
            explanation is None
            and not ticket.admitted
            and isinstance(route, Route)
            and self._may_explain(False)
        ):
            seen = {name: value for name, value in options.items() if name not in ("default", "explain")}
            explanation = route.peek(x, Z, **seen)  # a refused job has changed nothing: what it saw
        bound_s, arrival_s = options.get("tpot_s"), options.get("arrival_s")
        start_ns = now_ns if arrival_s is None else min(round(float(arrival_s) * 1e9), now_ns)
        with suppress(InputError):  # in bypass mode nobody has looked at x
            self._headroom.offered(
                ticket.model.name,
                route.qos.name,
                x,
                Z,
                lane=ticket.lane if ticket.admitted else -1,
                left_s=ticket.left_s,
                tpot_s=bound_s,
            )
        with self._lock:
            job = Job(
                self._n + 1,
                route.qos,
                start_ns,
                ticket.left_s + (now_ns - start_ns) * 1e-9,
                route.qos.tpot_s if bound_s is None else bound_s,
            )
            entry = self._write(ticket, job, request_id, explanation)
            tally, second = self._classes[job.qos.name], int(self._wall())
            tally.offered += 1
            if ticket.admitted:
                tally.admitted += 1
                tally.recent.add(second, offered=1)
            else:
                tally.refused[ticket.reason or ""] += 1
                tally.known += 1
                tally.recent.add(second, offered=1, refused=1, known=1)
        self._tell("decided", entry.decision)
        return entry

    def _may_explain(self, admitted: bool) -> bool:
        now_s, every_s = self._wall(), self._explain_every_s
        if every_s == math.inf or abs(now_s - self._explained_s[admitted]) < every_s:  # a clock may go back
            return False
        self._explained_s[admitted] = now_s
        return True

    def _write(
        self,
        ticket: Ticket,
        job: Job,
        request_id: str | None,
        explanation: Explanation | None = None,
        copied: bool = False,
    ) -> Entry:
        self._n += 1
        resource, preferred = ticket.resource, ticket.preferred
        decision = Decision(
            number=self._n,
            job=job.number,
            at_s=self._wall(),
            model=ticket.model.name,
            qos=job.qos.name,
            request_id=request_id,
            resource=resource and resource.name,
            preferred=preferred and preferred.name,
            regret_s=ticket.regret_s,
            reason=ticket.reason,
            retry_after_s=None if ticket.admitted else ticket.retry_after_s,
            attempt=ticket.attempt,
            copied=copied,
            probe=ticket.probe,
            p_on_time=ticket.p_on_time,
            wait_s=ticket.wait_s,
            service_s=ticket.service_s,
            expected_s=ticket.expected_s,
            bound_s=ticket.bound_s,
            left_s=ticket.left_s,
            explanation=explanation,
        )
        self._decisions.append(decision)
        if ticket.admitted:
            job.n_open += 1
            self._classes[job.qos.name].probes += decision.probe
        else:
            self._refusals.append(decision)
        return Entry(self, ticket, job, decision)

    def _again(self, entry: Entry, ticket: Ticket) -> Entry:
        job, failed = entry._job, entry.decision
        with self._lock:
            self._classes[job.qos.name].retries += 1
            second = self._write(ticket, job, failed.request_id)
            open_still = failed.end is None  # no other thread has settled it meanwhile
            if open_still:
                failed.end = "failed"
                job.n_open -= 1
                if not ticket.admitted:
                    self._conclude(failed, job, "failed")
        if open_still:
            self._tell("ended", failed)
        self._tell("decided", second.decision)
        return second

    def _also(self, entry: Entry, ticket: Ticket) -> Entry:
        with self._lock:
            self._classes[entry._job.qos.name].copies += 1
            second = self._write(ticket, entry._job, entry.decision.request_id, copied=True)
        self._tell("decided", second.decision)
        return second

    def _end(self, entry: Entry, end: End, tokens: int | None = None) -> None:
        self._close(entry.decision, entry._job, end, self.since_s(entry._job.start_ns), tokens)

    def _drop(self, entry: Entry) -> None:
        """It was collected unsettled, or settled when and how nobody told; in any thread, amid any call, of a
        listener too, which may hold locks of its own. So it is written down by whoever comes next."""
        after_s = None if entry.ticket.settled else self.since_s(entry._job.start_ns)
        self._dropped.append((entry.decision, entry._job, after_s))

    def _settle_dropped(self) -> None:
        while self._dropped:
            with suppress(IndexError):  # another thread was faster
                decision, job, after_s = self._dropped.popleft()
                self._close(decision, job, "cancelled", after_s)

    def _close(
        self, decision: Decision, job: Job, end: End, after_s: float | None, tokens: int | None = None
    ) -> None:
        with self._lock:
            if decision.end is not None:
                return
            decision.end = end
            decision.completion_s = after_s
            decision.tokens = tokens
            if after_s is not None and decision.ttft_s is not None and tokens is not None and tokens > 1:
                decision.tpot_s = (after_s - decision.ttft_s) / (tokens - 1)
            job.n_open -= 1
            self._conclude(decision, job, end)
        self._tell("ended", decision)

    def _conclude(self, decision: Decision, job: Job, end: End) -> None:
        """The job's end, if this one is: the first to complete, or the last to end otherwise."""
        if job.end is not None or (end != "completed" and job.n_open):
            return
        job.end = end
        tally = self._classes[job.qos.name]
        tally.ended[end] += 1
        on_time = decision.on_time = verdict(decision, job, end)
        if on_time is not None:
            tally.known += 1
            tally.on_time += on_time
            tally.recent.add(int(self._wall()), known=1, on_time=int(on_time))

    def _tell(self, what: Literal["decided", "ended"], decision: Decision) -> None:
        for listener in self._listeners:
            try:
                getattr(listener, what)(decision)
            except Exception:
                log.exception("a listener raised in %s(); the job goes on", what)
