"""What the executor carries of a job, and what its future tells when it has ended."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import torch

from tailwise.adapters.torch.worker import Outcome
from tailwise.job import Job

__all__ = ["JobFuture", "JobRecord", "Work"]


@dataclass(frozen=True, slots=True)
class JobRecord:
    """How one job went; times in seconds of the monotonic clock, durations in seconds."""

    model: str
    qos: str
    resource: str | None  #: where it ended, a hedged job's first result; None when refused for want of one
    end: str  #: completed, failed, cancelled, expired or rejected
    arrival_s: float
    service_s: float  #: how long it took its slot; 0 when it never started
    device_s: float  #: of that, on the device itself (CUDA: by its events)
    completion_s: float  #: from arrival to the moment its result was handed over
    on_time: bool  #: completed within its deadline
    expected_s: float | None  #: completion forecast at the decision, where the policy makes one
    p_on_time: float | None
    reason: str | None = (
        None  #: of a refusal; "expired" or "late_start" of a job that was dropped in its queue
    )
    n_moves: int = 0  #: how often it was taken to another queue
    hedged: bool = False  #: a copy of it was queued on a second resource
    retry_after_s: float | None = (
        None  #: of a refusal: when a job like it would be taken if no more work came
    )


class JobFuture(Future[Any]):
    """The Future of one job; `record` tells how it went, and is there from the moment the future is done."""

    record: JobRecord | None = None
    #: Takes the job out of its queue and writes its record; whoever waits for the future is woken after that.
    withdraw: Callable[[], None] | None = None

    def cancel(self) -> bool:
        """Cancels the job unless it runs or has ended; False then."""
        withdraw = self.withdraw
        if withdraw is not None:
            withdraw()
        return super().cancel()


@dataclass(slots=True, eq=False)
class Work:
    """What a job of the executor is made of."""

    inputs: tuple[torch.Tensor, ...]
    future: JobFuture
    running: bool = False  #: its future cannot be cancelled any more
    outcome: Outcome | None = None  #: of the run that ended last, until the caller was told

    def record(self, job: Job[Work], resource: str | None) -> JobRecord:
        """Of a job that has ended."""
        assert job.end is not None
        last, ran = job.last, self.outcome
        slot_ns = 0 if last is None or last.start_ns is None else last.end_ns - last.start_ns
        completion_s = (job.end_ns - job.arrival_ns) * 1e-9
        return JobRecord(
            model=job.model,
            qos=job.qos.name,
            resource=resource,
            end=job.end,
            arrival_s=job.arrival_ns * 1e-9,
            # hand-over included, since that is what the next job waits for
            service_s=slot_ns * 1e-9,
            device_s=0.0 if ran is None else (ran.end_ns - ran.start_ns) * 1e-9,
            completion_s=completion_s,
            on_time=job.end == "completed" and completion_s <= job.deadline_s,
            expected_s=job.assignment.expected_s,
            p_on_time=job.assignment.p_on_time,
            reason=job.reason,
            n_moves=job.n_moves,
            hedged=job.hedged,
            retry_after_s=job.assignment.retry_after_s,
        )
