"""What the executor carries of a job, and what its future tells when it has ended."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from tailwise.adapters.torch.worker import Outcome, Result
from tailwise.job import Job, Run

__all__ = ["JobFuture", "JobRecord", "Work"]


class JobRecord(NamedTuple):
    """How one job went; moments in seconds of the monotonic clock, durations in seconds."""

    model: str  #: the variant that ran it, where it was submitted for a family
    qos: str
    resource: str | None  #: where it ended, a hedged job's first result; None when refused for want of one
    end: str  #: completed, failed, cancelled, timed_out, expired or rejected
    arrival_s: float
    queue_s: float  #: from arrival to its start, or to its end where it never started
    service_s: (
        float  #: how long it took its slot, with those that it was served with; 0 when it never started
    )
    device_s: float  #: of that, on the device itself (CUDA: by its events)
    copy_s: float  #: of that, copying inputs there and outputs back
    completion_s: float  #: from arrival to the moment its result was handed over
    on_time: bool  #: completed, and within what its class bounds
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
    n_joined: int = 1  #: jobs that were served together, this one included
    n_outputs: int = 0  #: of a generator; then
    ttft_s: float | None = None  #: from arrival to its first output, and
    tpot_s: float | None = None  #: seconds per output after that, where there were two


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
    sink: Callable[[Any], None] | None = None  #: takes each output of a generator
    running: bool = False  #: its future cannot be cancelled any more
    outcome: Outcome | None = None  #: of the run that ended last, until the caller was told
    result: Result | None = None  #: and what of it is this job's
    n_outputs: int = 0
    first_ns: int = 0  #: when the first output came, and the last
    last_ns: int = 0
    speaker: Run[Work] | None = None  #: whose outputs are taken: of a job and its copy, the first to have one

    def record(self, job: Job[Work], resource: str | None) -> JobRecord:
        """Of a job that has ended."""
        assert job.end is not None
        last, ran = job.last, self.outcome
        start_ns = None if last is None else last.start_ns
        slot_ns = 0 if last is None or start_ns is None else last.end_ns - start_ns
        ttft_s = tpot_s = None
        if self.n_outputs:
            ttft_s = (self.first_ns - job.arrival_ns) * 1e-9
        if self.n_outputs > 1:
            tpot_s = (self.last_ns - self.first_ns) * 1e-9 / (self.n_outputs - 1)
        completion_s = (job.end_ns - job.arrival_ns) * 1e-9
        told = (
            job.model,
            job.qos.name,
            resource,
            job.end,
            job.arrival_ns * 1e-9,
            ((job.end_ns if start_ns is None else start_ns) - job.arrival_ns) * 1e-9,  # queue_s
            slot_ns * 1e-9,  # service_s: hand-over included, since that is what the next job waits for
            0.0 if ran is None else (ran.end_ns - ran.start_ns) * 1e-9,  # device_s
            0.0 if ran is None else ran.copy_ns * 1e-9,
            completion_s,
            job.end == "completed" and _in_time(job, completion_s, ttft_s, tpot_s),
            job.assignment.expected_s,
            job.assignment.p_on_time,
            job.reason,
            job.n_moves,
            job.hedged,
            job.assignment.retry_after_s,
            1 if ran is None else len(ran.results),  # n_joined
            self.n_outputs,
            ttft_s,
            tpot_s,
        )
        # what NamedTuple's own constructor does: by names, and in Python, it takes 2 us more
        return tuple.__new__(JobRecord, told)


def _in_time(job: Job[Work], completion_s: float, ttft_s: float | None, tpot_s: float | None) -> bool:
    """Within the job's own deadline (the first output's, where its class bounds that) and the other bounds."""
    qos = job.qos
    if qos.ttft_s < float("inf"):
        first_s = completion_s if ttft_s is None else ttft_s
        return first_s <= job.deadline_s and completion_s <= qos.deadline_s and (tpot_s or 0.0) <= qos.tpot_s
    return completion_s <= job.deadline_s and (tpot_s or 0.0) <= qos.tpot_s
