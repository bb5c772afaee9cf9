"""What adapters decide and what became of it: the one place that metrics, pages and people on call read."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
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
from tailwise.route import Route

__all__ = ["Decision", "End", "Entry", "Journal", "Listener"]


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
        self._lock = threading.RLock()  # a collected entry ends in whatever call the collector comes
        self._classes = {q.name: ClassTally(q.name) for q in engine.qos}
        self._decisions: deque[Decision] = deque(maxlen=keep)
        self._refusals: deque[Decision] = deque(maxlen=keep)
        self._listeners: tuple[Listener, ...] = ()
        self._n = 0
        self._explain_every_s = 1.0 / explain_per_s if explain_per_s else math.inf
        self._explained_s = {True: -math.inf, False: -math.inf}  # admitted, refused: when last

    @property
    def classes(self) -> Mapping[str, ClassTally]:
        """Counts by the name of the class."""
        return MappingProxyType(self._classes)

    @property
    def decisions(self) -> Sequence[Decision]:
        """The last ones, the latest last."""
        with self._lock:
            return tuple(self._decisions)

    @property
    def refusals(self) -> Sequence[Decision]:
        """The last refused ones, the latest last."""
        with self._lock:
            return tuple(self._refusals)

    def recent(self, qos: str) -> tuple[int, int, int, int]:
        """(offered, refused, known, on time) of a class in the last minute."""
        with self._lock:
            return self._classes[qos].recent.total(int(self._wall()))

    def by_second(self, qos: str) -> list[tuple[int, int, int, int]]:
        """The same of each second of the last minute, the latest last."""
        with self._lock:
            return self._classes[qos].recent.by_second(int(self._wall()))

    def now_s(self) -> float:
        """Seconds since 1970."""
        return self._wall()

    def listen(self, listener: Listener) -> None:
        """Tells it of every decision and end from now on."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def unlisten(self, listener: Listener) -> None:
        """Tells it nothing more; one that does not listen is no error."""
        with self._lock:
            self._listeners = tuple(known for known in self._listeners if known is not listener)

    def since_s(self, at_ns: int) -> float:
        """Seconds since a reading of the engine's clock."""
        return (self.engine.clock.now_ns() - at_ns) * 1e-9

    def select(
        self, route: Route | Family, x: Any, Z: Any = None, *, request_id: str | None = None, **options: Any
    ) -> Entry:
        """`route.select(x, Z, **options)`, written down. Raises what it raises, and then nothing is written."""
        start_ns = self.engine.clock.now_ns()
        explain = isinstance(route, Route) and self._may_explain(True)
        if explain:
            options["explain"] = True
        ticket = route.select(x, Z, **options)
        explanation = ticket.explain() if explain else None
        if (
            explanation is None
            and not ticket.admitted
            and isinstance(route, Route)
            and self._may_explain(False)
        ):
            seen = {name: value for name, value in options.items() if name not in ("default", "explain")}
            explanation = route.peek(x, Z, **seen)  # a refused job has changed nothing: what it saw
        bound_s = options.get("tpot_s")
        with self._lock:
            job = Job(
                self._n + 1,
                route.qos,
                start_ns,
                ticket.left_s,
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
        now_s = self._wall()
        if not now_s - self._explained_s[admitted] >= self._explain_every_s:
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
        job = entry._job
        with self._lock:
            self._classes[job.qos.name].retries += 1
            second = self._write(ticket, job, entry.decision.request_id)
            entry.decision.end = "failed"
            job.n_open -= 1
            if not ticket.admitted:
                self._conclude(entry, "failed")
        self._tell("ended", entry.decision)
        self._tell("decided", second.decision)
        return second

    def _also(self, entry: Entry, ticket: Ticket) -> Entry:
        with self._lock:
            self._classes[entry._job.qos.name].copies += 1
            second = self._write(ticket, entry._job, entry.decision.request_id, copied=True)
        self._tell("decided", second.decision)
        return second

    def _end(self, entry: Entry, end: End, tokens: int | None = None) -> None:
        decision, job = entry.decision, entry._job
        with self._lock:
            decision.end = end
            decision.completion_s = self.since_s(job.start_ns)
            decision.tokens = tokens
            if decision.ttft_s is not None and tokens is not None and tokens > 1:
                decision.tpot_s = (decision.completion_s - decision.ttft_s) / (tokens - 1)
            job.n_open -= 1
            self._conclude(entry, end)
        self._tell("ended", decision)

    def _conclude(self, entry: Entry, end: End) -> None:
        """The job's end, if this one is: the first to complete, or the last to end otherwise."""
        job = entry._job
        if job.end is not None or (end != "completed" and job.n_open):
            return
        job.end = end
        tally = self._classes[job.qos.name]
        tally.ended[end] += 1
        on_time = entry.decision.on_time = verdict(entry.decision, job, end)
        if on_time is not None:
            tally.known += 1
            tally.on_time += on_time
            tally.recent.add(int(self._wall()), known=1, on_time=int(on_time))

    def _tell(self, what: Literal["decided", "ended"], decision: Decision) -> None:
        for listener in self._listeners:
            getattr(listener, what)(decision)
