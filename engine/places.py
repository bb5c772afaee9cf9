"""Jobs in their queues and slots: put there, taken out, and settled with the policy, once each. No rule is here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from tailwise.errors import ConfigError
from tailwise.job import Orders, Run
from tailwise.policy import End, Forecasting, Policy
from tailwise.queue import Queues
from tailwise.timers import Timers

__all__ = ["Places"]

T = TypeVar("T")


class Places(Generic[T]):
    """The runs of all jobs; `Dispatch` inherits it and decides where they are put."""

    def __init__(self, slots: Sequence[int], policy: Policy, min_share: Mapping[str, float] | None) -> None:
        self._queues: Queues[Run[T]] = Queues(slots, min_share)
        self._timers: Timers[Run[T]] = Timers()
        self._n_open = 0
        self.policy = policy

    @property
    def policy(self) -> Policy:
        """Who decides. It is replaced while no run is open, since it hears of the end of each that it decided on:
        else raises ConfigError."""
        return self._policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        if self._n_open:
            raise ConfigError(
                f"policy: {self._n_open} runs are open; replace it once they have ended (drain first)"
            )
        self._policy = policy
        self._forecasts = policy if isinstance(policy, Forecasting) else None

    def queued(self, lane: int) -> list[Run[T]]:
        """What waits for a lane, by priority, then deadline."""
        return self._queues.queued(lane)

    def __len__(self) -> int:
        """Open runs: queued or in service, copies and what is left of ended jobs included."""
        return self._n_open

    def _put(self, run: Run[T]) -> None:
        job = run.job
        run.entry = self._queues.put(run, run.lane, job.qos.priority, job.deadline_ns, job.qos.name)

    def _leave(self, run: Run[T], end: End, reason: str | None, now_ns: int, orders: Orders[T]) -> None:
        """A run that left its queue without a start. The job ends with it when it was the last, and as failed where
        another one did fail: that has an error to tell."""
        run.entry = None
        self._settle(run, end, now_ns)
        if run.job.end is None and all(other.settled for other in run.job.runs):
            failed = next((other for other in run.job.runs if other.end == "failed"), None)
            if failed is not None:
                run, end, reason = failed, "failed", None
            self._end_job(run, end, reason, now_ns, orders)

    def _end_job(self, run: Run[T], end: End, reason: str | None, now_ns: int, orders: Orders[T]) -> None:
        """First result wins: a copy that is still queued leaves, one that runs ends by itself and teaches."""
        job = run.job
        job.end, job.end_ns, job.reason, job.last = end, now_ns, reason, run
        orders.ended.append(job)
        for other in job.runs:
            if other.entry is not None and self._queues.remove(other.entry):
                self._leave(other, "cancelled", None, now_ns, orders)

    def _settle(self, run: Run[T], end: End, now_ns: int) -> None:
        self._timers.stop(run.timer)
        run.timer, run.end, run.end_ns = None, end, now_ns
        self._n_open -= 1
        # a clock that went back must not lose the job
        service_s = 0.0 if run.start_ns is None else max(now_ns - run.start_ns, 0) * 1e-9
        self._policy.ended(run.assignment, end, service_s, max(now_ns - run.job.arrival_ns, 0) * 1e-9)
