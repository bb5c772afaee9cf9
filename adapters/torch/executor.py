"""Runs jobs on torch devices: decide, queue, start, stream the result back into the posterior, resolve a Future."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any

import torch

from tailwise.adapters.torch.answers import Callbacks, Listener, answer
from tailwise.adapters.torch.fit import Features, Fit
from tailwise.adapters.torch.job import JobFuture, Work
from tailwise.adapters.torch.pool import Pool
from tailwise.adapters.torch.service import Service, Watch
from tailwise.adapters.torch.stats import ExecutorStats
from tailwise.adapters.torch.stream import JobStream
from tailwise.adapters.torch.timer import Timer
from tailwise.adapters.torch.worker import ModelSource, Worker, WorkerSpec
from tailwise.batching import Batching
from tailwise.dispatch import Dispatch
from tailwise.engine import Engine
from tailwise.errors import QueueFull, WorkerError
from tailwise.job import Job, Orders
from tailwise.policy import Learned, Policy
from tailwise.rules import Rules

__all__ = ["Executor"]


class Executor:
    """Owns the queues of an engine's resources and runs registered models on their workers.

    engine: its resources name the workers, its models name the callables. models: by name, what runs (see
    `ModelSource`). workers: by resource name, a `Thread` or `Process` specification, or a Worker that was started
    already and stays its owner's to close; slots as the resource has.
    features: by model or family, a function from a job's inputs to its raw features (default: none, or given at
    submit). policy: who decides, default tailwise itself; it may be replaced while no job is open. rules: what it
    does with queued and running jobs beyond expiry by the clock.
    batching: by model or family, how jobs that wait at a resource are joined to one call, along dimension 0 of their
    inputs, which must be alike in the others; its items (`Model.items`) are what that dimension counts.
    timeout_s: seconds of service, > 0, after which a job is given up (JobTimedOut), for all models or by model;
    None = never. A thread that hangs is left to itself and replaced; a process is killed, with its other jobs, and
    replaced. max_queued: jobs that may wait in all, >= 1; None = any number. warmup_calls: calls of a model after it
    was loaded whose times are not learned, >= 0. progress_s: how often the log "tailwise.torch" tells at level INFO
    what was done, seconds > 0, while jobs are open; None = never. listeners: called with the `JobRecord` of every job
    that has ended.
    Where a resource has `memory_bytes`, the models that it loads are kept within it: see `Residency`.
    A resource that joins the engine later has no worker here and gets no jobs. Use it in a `with`, or call `close`.
    Raises ConfigError, UnknownName, and what loading a model raises.
    """

    def __init__(
        self,
        engine: Engine,
        models: Mapping[str, ModelSource],
        workers: Mapping[str, WorkerSpec | Worker],
        *,
        features: Mapping[str, Features] | None = None,
        policy: Policy | None = None,
        rules: Rules | None = None,
        batching: Mapping[str, Batching] | None = None,
        timeout_s: float | Mapping[str, float] | None = None,
        max_queued: int | None = None,
        warmup_calls: int = 1,
        progress_s: float | None = 10.0,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self._fit = Fit(engine, models, workers, features or {}, batching or {}, timeout_s)
        self._fit.hold_options(max_queued, warmup_calls, progress_s)
        self.engine = engine
        self._max_queued = max_queued
        self._listeners = tuple(listeners)
        self._now_ns = engine.clock.now_ns
        self._lock = threading.Lock()
        self._empty = threading.Condition(self._lock)  # of jobs: for whoever drains,
        self._n_draining = 0  # and how many do: mostly nobody is to be told
        for resource in engine.resources:
            engine.own_queue(resource.name)
        self._callbacks = Callbacks()
        self._closed = False
        self._pool = Pool(engine, models, workers, warmup_calls, self._worker_back)
        self._dispatch: Dispatch[Work] = Dispatch(
            [r.slots for r in engine.resources],
            Learned(engine) if policy is None else policy,
            min_share={q.name: q.min_share for q in engine.qos},
            rules=rules,
            usable=self._pool.usable,
            batching=self._fit.batching,
            models=engine.models,
        )
        self._service = Service(
            self._dispatch, self._pool, self._fit, self._lock, self._accept, self._carry_out, progress_s
        )
        self._timer = Timer(self._lock, self._now_ns, self._due, self._service.next_due_ns)
        self._pool.start()
        self._timer.start()

    @property
    def policy(self) -> Policy:
        """Who decides; to be replaced only while no job is open, what lost to its copy included: else raises
        ConfigError."""
        return self._dispatch.policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        with self._lock:
            self._dispatch.policy = policy

    def submit(
        self,
        model: str,
        qos: str,
        inputs: torch.Tensor | tuple[torch.Tensor, ...],
        *,
        features: tuple[float, ...] | None = None,
        deadline_s: float | None = None,
    ) -> JobFuture:
        """Decides and queues one job; returns at once.

        model: of a model, or of a family whose variants may run it. inputs: what it is called with, CPU tensors.
        features: raw, in the model's declared order. deadline_s: this job's own budget from now, > 0; None = its
        class's (for a class with a `ttft_s` that of the first output).
        The Future carries the model's result (late ones too), its exception, JobTimedOut, JobExpired, or JobRejected.
        Raises UnknownName, InputError, CapacityError, QueueFull, and WorkerError once closed.
        """
        return self._submit(model, qos, inputs, features, deadline_s, None)

    async def run(
        self,
        model: str,
        qos: str,
        inputs: torch.Tensor | tuple[torch.Tensor, ...],
        *,
        features: tuple[float, ...] | None = None,
        deadline_s: float | None = None,
    ) -> Any:
        """As `submit`, awaited: the result of the job. A task that is cancelled cancels its job, unless that runs
        already. What it takes of the event loop is a submit: microseconds, and for a process a copy of the inputs."""
        return await asyncio.wrap_future(
            self.submit(model, qos, inputs, features=features, deadline_s=deadline_s)
        )

    def stream(
        self,
        model: str,
        qos: str,
        inputs: torch.Tensor | tuple[torch.Tensor, ...],
        *,
        features: tuple[float, ...] | None = None,
        deadline_s: float | None = None,
    ) -> JobStream:
        """As `submit` for a model that returns a generator: its outputs as they come, to iterate or `async for`.

        A model with the signals ("ttft", "tpot") is taught the time to the first output, from its start, and the time
        from each to the next.
        """
        stream = JobStream()
        stream.future = self._submit(model, qos, inputs, features, deadline_s, stream._put)
        stream.future.add_done_callback(stream._end)
        return stream

    def _submit(
        self,
        model: str,
        qos: str,
        inputs: torch.Tensor | tuple[torch.Tensor, ...],
        features: tuple[float, ...] | None,
        deadline_s: float | None,
        sink: Callable[[Any], None] | None,
    ) -> JobFuture:
        declared = self._fit.qos(qos)
        inputs, features = self._fit.job(model, inputs, features)
        shape = self._fit.shape(model, inputs) if sink is None else None
        future = JobFuture()
        with self._lock:
            if self._closed:
                raise WorkerError("the executor is closed: build a new one")
            if self._max_queued is not None and self._dispatch.n_queued >= self._max_queued:
                raise QueueFull(f"{self._max_queued} jobs are queued, as many as may be: submit it later")
            work = Work(inputs, future, sink)
            job, orders = self._dispatch.submit(
                work, model, declared, features, self._now_ns(), deadline_s=deadline_s, shape=shape
            )
            future.withdraw = partial(self._withdraw, job)
            self._accept(orders)
        self._carry_out(orders)
        if job.end == "rejected":
            self._pool.residency.missed(self._fit.variants(model))
        return future

    @property
    def workers(self) -> tuple[Worker, ...]:
        """By lane, in the order of the engine's resources."""
        return self._pool.workers

    def stats(self) -> ExecutorStats:
        """What was done so far and what is going on now. Cost: tens of microseconds a resource."""
        return self._service.stats()

    def cancel_queued(self) -> int:
        """Cancels every job that has not started; returns how many."""
        with self._lock:
            orders = self._dispatch.clear(self._now_ns())
            self._accept(orders)
        self._carry_out(orders)
        return len(orders.ended)

    def drain(self, timeout_s: float | None = None) -> bool:
        """Waits until no job is queued or running; False when `timeout_s` passed first.

        Raises WorkerError in the callback of a job, which may run in a thread that it would wait for; not in one
        that `future.cancel()` calls.
        """
        self._callbacks.refuse("drain")
        with self._empty:
            self._n_draining += 1
            try:
                return self._empty.wait_for(lambda: not self._dispatch, timeout_s)
            finally:
                self._n_draining -= 1

    def close(self, *, drain: bool = True, timeout_s: float = 10.0) -> None:
        """Takes no more jobs, ends what runs, then the workers. Idempotent.

        drain: first wait up to `timeout_s` for what is queued; what is left then is cancelled, and what runs gets
        up to `timeout_s` more, as does a model that is being loaded. Raises WorkerError in the callback of a job, as
        `drain`.
        """
        self._callbacks.refuse("close")
        with self._lock:
            self._closed = True
        if drain:
            self.drain(timeout_s)
        self.cancel_queued()
        self.drain(timeout_s)
        self._pool.close(timeout_s)
        self._timer.close()

    def __enter__(self) -> Executor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(drain=kind is None)

    def _accept(self, orders: Orders[Work]) -> None:
        """Takes note of what is to be done. Under the lock."""
        self._service.accept(orders)
        self._timer.hurry()
        if self._n_draining and not self._dispatch:
            self._empty.notify_all()

    def _carry_out(self, orders: Orders[Work]) -> None:
        """Starts what is to run and wakes whoever waits for what ended; not under the lock, since callbacks run."""
        if orders.start or orders.ended:
            with self._callbacks:
                try:
                    if orders.start:
                        self._service.launch(orders)
                finally:  # Ctrl-C in a caller's thread
                    if orders.ended:
                        answer(orders, self._listeners)

    def _withdraw(self, job: Job[Work]) -> None:
        """Takes a job that has not started out of its queue."""
        with self._lock:
            if job.payload.running:
                return
            orders = self._dispatch.cancel(job, self._now_ns())
            self._accept(orders)
        self._service.launch(orders)
        answer(orders, self._listeners)  # not among `_callbacks`: this thread is the caller's own

    def _due(self, now_ns: int) -> Callable[[], None] | None:
        """What the clock brings: queued jobs expire or are looked at again, running ones are given up."""
        orders = self._dispatch.due(now_ns)
        self._accept(orders)
        overdue, progress = self._service.overdue(now_ns), self._service.progress(now_ns)
        if not (orders.start or orders.ended or overdue or progress):
            return None
        return partial(self._carry_out_due, orders, overdue, progress)

    def _carry_out_due(self, orders: Orders[Work], overdue: list[Watch], progress: str | None) -> None:
        self._carry_out(orders)
        self._service.give_up(overdue, progress)

    def _worker_back(self, lane: int, n_slots: int) -> None:
        """A replaced worker is ready: its slots are free again."""
        with self._lock:
            orders = self._dispatch.free(lane, n_slots, self._now_ns())
            self._accept(orders)
        self._carry_out(orders)
