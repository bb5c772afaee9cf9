"""Runs jobs on torch devices: decide, queue, start, stream the result back into the posterior, resolve a Future."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import InvalidStateError
from functools import partial
from types import TracebackType

import torch

from tailwise.adapters.torch.job import Job, JobFuture, JobRecord
from tailwise.adapters.torch.pool import Pool
from tailwise.adapters.torch.worker import ModelSource, Outcome, Worker, WorkerSpec, as_exception
from tailwise.engine import Engine
from tailwise.errors import ConfigError, InputError, JobExpired, JobRejected, UnknownName, WorkerError
from tailwise.policy import Assignment, End, Learned, Policy
from tailwise.queue import Queues

__all__ = ["Executor"]

Features = Callable[[tuple[torch.Tensor, ...]], tuple[float, ...]]


class Executor:
    """Owns the queues of an engine's resources and runs registered models on their workers.

    engine: its resources name the workers, its models name the callables. models: by name, what runs (see
    `ModelSource`). workers: by resource name, a `Thread` or `Process` specification, or a Worker that was started
    already and stays its owner's to close; slots as the resource has.
    features: by model name, a function from a job's inputs to its raw features (default: none, or given at
    submit). policy: who decides, default tailwise itself; it may be replaced while no job is open.
    Raises ConfigError, UnknownName, and what loading a model raises. Use as a context manager, or call `close`.
    """

    def __init__(
        self,
        engine: Engine,
        models: Mapping[str, ModelSource],
        workers: Mapping[str, WorkerSpec | Worker],
        *,
        features: Mapping[str, Features] | None = None,
        policy: Policy | None = None,
    ) -> None:
        _same_names("models", models, [m.name for m in engine.models])
        _same_names("workers", workers, [r.name for r in engine.resources])
        self.engine = engine
        self.policy: Policy = Learned(engine) if policy is None else policy
        self._features = dict(features or {})
        self._models = frozenset(models)
        self._qos = {q.name: q for q in engine.qos}
        self._now_ns = engine.clock.now_ns
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._names = tuple(r.name for r in engine.resources)
        self._queues: Queues[Job] = Queues([r.slots for r in engine.resources])
        self._n_open = 0
        self._closed = False
        self._ended = False
        for resource in engine.resources:
            engine.own_queue(resource.name)
        self._pool = Pool([(r, workers[r.name]) for r in engine.resources], models, self._worker_back)
        self._pool.start()
        self._expirer = threading.Thread(target=self._expire_loop, name="tailwise-expiry", daemon=True)
        self._expirer.start()

    def submit(
        self,
        model: str,
        qos: str,
        inputs: torch.Tensor | tuple[torch.Tensor, ...],
        *,
        features: tuple[float, ...] | None = None,
    ) -> JobFuture:
        """Decides and queues one job; returns at once.

        inputs: what the model is called with, CPU tensors. features: raw, in the model's declared order.
        The Future carries the model's result (late ones too), its exception, JobExpired, or JobRejected.
        Raises UnknownName, InputError, CapacityError, and WorkerError once closed.
        """
        if model not in self._models:
            raise UnknownName(f"no model {model!r}; there are {', '.join(map(repr, sorted(self._models)))}")
        if qos not in self._qos:
            raise UnknownName(f"no QoS class {qos!r}; there are {', '.join(map(repr, self._qos))}")
        inputs = inputs if isinstance(inputs, tuple) else (inputs,)
        if not all(isinstance(tensor, torch.Tensor) for tensor in inputs):
            raise InputError(f"inputs of {model!r}: a tensor or a tuple of tensors is expected")
        if features is None:
            features = self._features[model](inputs) if model in self._features else ()
        future = JobFuture()
        started = None
        with self._lock:
            if self._closed:
                raise WorkerError("the executor is closed: build a new one")
            now_ns = self._now_ns()
            assignment = self._assign(model, qos, features)
            job = Job(model, self._qos[qos], inputs, future, now_ns, assignment)
            if assignment.reason is None:
                self._n_open += 1
                job.entry = self._queues.put(job, assignment.lane, job.qos.priority, job.deadline_ns())
                started = self._take(assignment.lane, now_ns)
                if self._queues.next_expiry_ns() == job.deadline_ns():
                    self._changed.notify_all()
        if assignment.reason is not None:
            message = f"{model!r} in class {qos!r} was refused: {assignment.reason}"
            future.record = self._record(job, "rejected", now_ns)
            future.set_exception(JobRejected(message, assignment.reason))
            return future
        future.add_done_callback(lambda done: self._cancelled(job) if done.cancelled() else None)
        self._launch(started)
        return future

    @property
    def workers(self) -> tuple[Worker, ...]:
        """By lane, in the order of the engine's resources."""
        return self._pool.workers

    def cancel_queued(self) -> int:
        """Cancels every job that has not started; returns how many."""
        with self._lock:
            queued = self._queues.clear()
            for job in queued:
                self._settle(job, "cancelled", self._now_ns())
        for job in queued:
            job.future.cancel()
        return len(queued)

    def drain(self, timeout_s: float | None = None) -> bool:
        """Waits until no job is open; False when `timeout_s` passed first."""
        with self._changed:
            return self._changed.wait_for(lambda: self._n_open == 0, timeout_s)

    def close(self, *, drain: bool = True, timeout_s: float = 10.0) -> None:
        """Takes no more jobs, ends what runs, then the workers. Idempotent.

        drain: first wait up to `timeout_s` for what is queued; what is left then is cancelled, and what runs gets
        up to `timeout_s` more.
        """
        with self._lock:
            self._closed = True
        if drain:
            self.drain(timeout_s)
        self.cancel_queued()
        self.drain(timeout_s)
        self._pool.close()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._expirer.join()

    def __enter__(self) -> Executor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(drain=kind is None)

    def _assign(self, model: str, qos: str, features: tuple[float, ...]) -> Assignment:
        """Leaves the choice to the policy, among the lanes whose worker runs."""
        mask = self._pool.mask()
        if mask is not None:
            candidates = self.engine.candidates(model)
            mask &= sum(1 << lane for lane in candidates)
            if mask == 0:
                return Assignment(-1, reason="no_resource")
        return self.policy.assign(model, qos, features, mask)

    def _take(self, lane: int, now_ns: int) -> Job | None:
        """The next job of a lane that nobody cancelled, marked as started. Under the lock."""
        while (job := self._queues.take(lane, now_ns)) is not None:
            if job.future.set_running_or_notify_cancel():
                job.start_ns = now_ns
                self.policy.started(job.assignment)
                return job
            self._queues.release(lane)
            self._settle(job, "cancelled", now_ns)
        return None

    def _launch(self, job: Job | None) -> None:
        """Hands a started job to its worker; one that cannot be handed over fails, and the next is tried."""
        while job is not None:
            current, worker = job, self._pool[job.assignment.lane]
            try:
                worker.submit(current.model, current.inputs, partial(self._done, current))
                return
            except BaseException as error:
                now_ns = self._now_ns()
                outcome = Outcome(None, as_exception(error), now_ns, now_ns, worker_died=not worker.alive)
                job = self._end(current, outcome)
                _resolve(current, outcome)
                if not isinstance(error, Exception):  # Ctrl-C in the caller's thread
                    self._launch(job)
                    raise

    def _done(self, job: Job, outcome: Outcome) -> None:
        """A worker hands a result back: learn, keep the slot busy, only then wake whoever waits for the job."""
        following = self._end(job, outcome)
        self._launch(following)
        _resolve(job, outcome)

    def _end(self, job: Job, outcome: Outcome) -> Job | None:
        """Settles a started job and frees its slot; returns the job that takes it."""
        lane = job.assignment.lane
        job.device_s = (outcome.end_ns - outcome.start_ns) * 1e-9
        with self._lock:
            now_ns = self._now_ns()
            self._settle(job, "completed" if outcome.error is None else "failed", now_ns)
            if outcome.worker_died and not self._pool.lost_slot(lane):
                return None
            self._queues.release(lane)
            return self._take(lane, now_ns)

    def _settle(self, job: Job, end: End, now_ns: int) -> None:
        """Streams the end of a job into the policy. Under the lock."""
        job.future.record = self._record(job, end, now_ns)
        self.policy.ended(job.assignment, end, job.service_s(now_ns), job.completion_s(now_ns))
        self._n_open -= 1
        if self._n_open == 0:
            self._changed.notify_all()

    def _cancelled(self, job: Job) -> None:
        with self._lock:
            if job.entry is not None and self._queues.remove(job.entry):
                self._settle(job, "cancelled", self._now_ns())

    def _record(self, job: Job, end: str, now_ns: int) -> JobRecord:
        lane = job.assignment.lane
        return job.record(end, self._names[lane] if lane >= 0 else None, now_ns)

    def _expire_loop(self) -> None:
        """One timer for all queues: sleeps until the next deadline of a queued job."""
        while True:
            with self._changed:
                if self._ended:
                    return
                now_ns = self._now_ns()
                expired = self._queues.expire(now_ns)
                for job in expired:
                    self._settle(job, "expired", now_ns)
                if not expired:
                    at_ns = self._queues.next_expiry_ns()
                    self._changed.wait(None if at_ns is None else max(at_ns - now_ns, 0) * 1e-9)
            for job in expired:
                message = (
                    f"{job.model!r} in class {job.qos.name!r} was still queued after {job.qos.deadline_s} s"
                )
                with contextlib.suppress(InvalidStateError):  # cancelled by its owner at the same moment
                    job.future.set_exception(JobExpired(message))

    def _worker_back(self, lane: int, n_slots: int) -> None:
        """A replaced worker is ready: its slots are free again."""
        jobs = []
        with self._lock:
            for _ in range(n_slots):
                self._queues.release(lane)
                jobs.append(self._take(lane, self._now_ns()))
        for job in jobs:
            self._launch(job)


def _resolve(job: Job, outcome: Outcome) -> None:
    if outcome.error is None:
        job.future.set_result(outcome.value)
    else:
        job.future.set_exception(outcome.error)


def _same_names(what: str, given: Mapping[str, object], expected: list[str]) -> None:
    if set(given) != set(expected):
        raise ConfigError(f"Executor: {what} for {sorted(given)}, but the engine declares {sorted(expected)}")
