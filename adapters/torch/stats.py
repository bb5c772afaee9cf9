"""What an executor has done so far: counted as it goes, read as one picture."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tailwise.adapters.torch.job import JobRecord
from tailwise.adapters.torch.memory import Residence
from tailwise.adapters.torch.worker import Outcome

__all__ = ["ClassStats", "Counts", "ExecutorStats", "Progress", "ResourceStats"]

_ENDS = ("completed", "failed", "timed_out", "expired", "rejected", "cancelled")


@dataclass(frozen=True, slots=True)
class ClassStats:
    """Jobs of one class that have ended, by their end; on_time of the completed ones."""

    qos: str
    completed: int
    on_time: int
    failed: int
    timed_out: int
    expired: int
    rejected: int
    cancelled: int

    @property
    def attainment(self) -> float | None:
        """On-time jobs over those that ended, the cancelled aside; None while there are none."""
        n = self.completed + self.failed + self.timed_out + self.expired + self.rejected
        return self.on_time / n if n else None


@dataclass(frozen=True, slots=True)
class ResourceStats:
    """One resource. n_served: runs that ended, each of one job or of several that were joined, n_jobs in all.
    n_failed: runs with a job that failed. n_out_of_memory: runs that the device's memory did not hold at once.
    n_deaths: runs that ended because the worker did. device_s, copy_s: seconds of runs on the device, and of them
    copying. max_items: models whose batches are kept smaller for now, since it ran out of memory. models: what it has
    in memory."""

    resource: str
    alive: bool
    slots: int
    running: int
    queued: int
    n_served: int
    n_jobs: int
    n_failed: int
    n_out_of_memory: int
    n_deaths: int
    device_s: float
    copy_s: float
    max_items: dict[str, int]
    models: tuple[Residence, ...]


@dataclass(frozen=True, slots=True)
class ExecutorStats:
    """See `Executor.stats`. n_open: jobs queued or running, copies included."""

    n_open: int
    classes: tuple[ClassStats, ...]
    resources: tuple[ResourceStats, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and numbers, for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        lines = [f"{self.n_open} open"]
        for c in self.classes:
            ends = ", ".join(f"{n} {end}" for end in _ENDS if (n := getattr(c, end)))
            share = "" if c.attainment is None else f", {c.attainment:.4f} on time"
            lines.append(f"  {c.qos}: {ends or 'nothing yet'}{share}")
        for r in self.resources:
            state = f"{r.running} of {r.slots} slots busy, {r.queued} queued" if r.alive else "down"
            loaded = ", ".join(f"{m.model} {m.state}" for m in r.models)
            lines.append(f"  {r.resource}: {state}, {r.n_jobs} jobs in {r.n_served} runs; {loaded}")
        return "\n".join(lines)


@dataclass(slots=True)
class _Lane:
    """As `ResourceStats` has them."""

    n_served: int = 0
    n_jobs: int = 0
    n_failed: int = 0
    n_out_of_memory: int = 0
    n_deaths: int = 0
    device_ns: int = 0
    copy_ns: int = 0


class Counts:
    """The counters behind it. Called under the executor's lock."""

    def __init__(self, classes: Iterable[str], n_lanes: int) -> None:
        self._ends: dict[str, Counter[str]] = {name: Counter() for name in classes}
        self._lanes = [_Lane() for _ in range(n_lanes)]

    def ended(self, record: JobRecord) -> None:
        ends = self._ends[record.qos]
        ends[record.end] += 1
        ends["on_time"] += record.on_time

    def served(self, lane: int, outcome: Outcome) -> None:
        counts, results = self._lanes[lane], outcome.results
        counts.n_served += 1
        counts.n_jobs += len(results)
        for result in results:
            if result.error is not None:
                counts.n_failed += 1
                break
        counts.n_out_of_memory += outcome.out_of_memory
        counts.n_deaths += outcome.worker_died
        counts.device_ns += outcome.end_ns - outcome.start_ns
        counts.copy_ns += outcome.copy_ns

    def total(self) -> Counter[str]:
        """Ends of all classes."""
        return sum(self._ends.values(), Counter[str]())

    def classes(self) -> tuple[ClassStats, ...]:
        return tuple(
            ClassStats(name, **{end: ends[end] for end in (*_ENDS, "on_time")})
            for name, ends in self._ends.items()
        )

    def resource(
        self,
        lane: int,
        name: str,
        alive: bool,
        slots: int,
        load: tuple[int, int],
        max_items: dict[str, int],
        models: Sequence[Residence],
    ) -> ResourceStats:
        counts = self._lanes[lane]
        running, queued = load
        return ResourceStats(
            resource=name,
            alive=alive,
            slots=slots,
            running=running,
            queued=queued,
            n_served=counts.n_served,
            n_jobs=counts.n_jobs,
            n_failed=counts.n_failed,
            n_out_of_memory=counts.n_out_of_memory,
            n_deaths=counts.n_deaths,
            device_s=counts.device_ns * 1e-9,
            copy_s=counts.copy_ns * 1e-9,
            max_items=max_items,
            models=tuple(models),
        )


class Progress:
    """A line for the log now and then, while there is something to tell. Called under the executor's lock."""

    def __init__(self, counts: Counts, every_s: float | None) -> None:
        self._counts = counts
        self._every_ns = None if every_s is None else round(every_s * 1e9)
        #: When `line` has something to say next; None while nothing is going on.
        self.due_ns: int | None = None
        self._told: Counter[str] = Counter()

    def begin(self, now_ns: int) -> None:
        """Jobs are open."""
        if self.due_ns is None and self._every_ns is not None:
            self.due_ns = now_ns + self._every_ns

    def line(self, now_ns: int, n_open: int, n_queued: int) -> str | None:
        """What was done since the last line; None when it is not time yet."""
        due_ns, every_ns = self.due_ns, self._every_ns
        if due_ns is None or every_ns is None or now_ns < due_ns:
            return None
        total = self._counts.total()
        ended = total - self._told
        seconds = (now_ns - due_ns + every_ns) * 1e-9
        self.due_ns, self._told = (now_ns + every_ns if n_open else None), total
        ends = (
            ", ".join(f"{ended[end]} {end}" for end in (*_ENDS, "on_time") if ended[end]) or "nothing ended"
        )
        return f"{seconds:.0f} s: {ends.replace('_', ' ')}; {n_open - n_queued} running, {n_queued} queued"
