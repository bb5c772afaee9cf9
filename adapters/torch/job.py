"""A job inside the executor, and what its future tells when it has ended."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import torch

from tailwise.policy import Assignment
from tailwise.qos import QoS
from tailwise.queue import Queued

__all__ = ["Job", "JobFuture", "JobRecord"]


@dataclass(frozen=True, slots=True)
class JobRecord:
    """How one job went; times in seconds of the monotonic clock, durations in seconds."""

    model: str
    qos: str
    resource: str | None  #: None when it was refused for want of one
    end: str  #: completed, failed, cancelled, expired or rejected
    arrival_s: float
    service_s: float  #: how long it took its slot; 0 when it never started
    device_s: float  #: of that, on the device itself (CUDA: by its events)
    completion_s: float  #: from arrival to the moment its result was handed over
    on_time: bool  #: completed within the deadline of its class
    expected_s: float | None  #: completion forecast at the decision, where the policy makes one
    p_on_time: float | None


class JobFuture(Future[Any]):
    """The Future of one job; `record` tells how it went, from the moment the future is done."""

    record: JobRecord | None = None


@dataclass(slots=True, eq=False)
class Job:
    """One submitted job; `entry` is its place in a queue, `start_ns` 0 until a worker has it."""

    model: str
    qos: QoS
    inputs: tuple[torch.Tensor, ...]
    future: JobFuture
    arrival_ns: int
    assignment: Assignment
    entry: Queued[Job] | None = None
    start_ns: int = 0
    device_s: float = 0.0

    def deadline_ns(self) -> int:
        return self.arrival_ns + round(self.qos.deadline_s * 1e9)

    def service_s(self, now_ns: int) -> float:
        """How long it has had its slot: hand-over included, since that is what the next job waits for."""
        return (now_ns - self.start_ns) * 1e-9 if self.start_ns else 0.0

    def completion_s(self, now_ns: int) -> float:
        return (now_ns - self.arrival_ns) * 1e-9

    def record(self, end: str, resource: str | None, now_ns: int) -> JobRecord:
        completion_s = self.completion_s(now_ns)
        return JobRecord(
            model=self.model,
            qos=self.qos.name,
            resource=resource,
            end=end,
            arrival_s=self.arrival_ns * 1e-9,
            service_s=self.service_s(now_ns),
            device_s=self.device_s,
            completion_s=completion_s,
            on_time=end == "completed" and completion_s <= self.qos.deadline_s,
            expected_s=self.assignment.expected_s,
            p_on_time=self.assignment.p_on_time,
        )
