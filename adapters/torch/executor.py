"""Runs jobs on torch devices: decide, queue, start, stream the result back into the posterior, resolve a Future."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import TracebackType

import torch

from tailwise.adapters.torch.answers import answer
from tailwise.adapters.torch.fit import refuse_streams, same_names
from tailwise.adapters.torch.job import JobFuture, Work
from tailwise.adapters.torch.pool import Pool
from tailwise.adapters.torch.worker import ModelSource, Outcome, Worker, WorkerSpec, as_exception
from tailwise.dispatch import Dispatch
from tailwise.engine import Engine
from tailwise.errors import InputError, UnknownName, WorkerError
from tailwise.job import Job, Orders, Run
from tailwise.policy import Learned, Policy
from tailwise.rules import Rules

__all__ = ["Executor"]

log = logging.getLogger("tailwise.torch")

Features = Callable[[tuple[torch.Tensor, ...]], tuple[float, ...]]


class Executor:
    """Owns the queues of an engine's resources and runs registered models on their workers.

    engine: its resources name the workers, its models name the callables. models: by name, what runs (see
    `ModelSource`). workers: by resource name, a `Thread` or `Process` specification, or a Worker that was started
    already and stays its owner's to close; slots as the resource has.
    features: by model name, a function from a job's inputs to its raw features (default: none, or given at
    submit). policy: who decides, default tailwise itself; it may be replaced while no job is open. rules: what it
    does with queued and running jobs beyond expiry by the clock.
    A resource that joins the engine later has no worker here and gets no jobs from this executor.
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
        rules: Rules | None = None,
    ) -> None:
        same_names("models", models, [m.name for m in engine.models])
        same_names("workers", workers, [r.name for r in engine.resources])
        refuse_streams(engine.models, engine.qos)
        self.engine = engine
        self._features = dict(features or {})
        self._models = frozenset(models)
        self._qos = {q.name: q for q in engine.qos}
        self._now_ns = engine.clock.now_ns
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._resources = engine.resources
        self._names = tuple(r.name for r in self._resources)
        self._wakes_ns: int | None = None  # when the timer's thread looks next
        self._serves = threading.local()  # .now: callbacks of jobs run in this thread
        self._closed = False
        self._ended = False
        for resource in engine.resources:
            engine.own_queue(resource.name)
        self._pool = Pool([(r, workers[r.name]) for r in engine.resources], models, self._worker_back)
        self._dispatch: Dispatch[Work] = Dispatch(
            [r.slots for r in engine.resources],
            Learned(engine) if policy is None else policy,
            min_share={q.name: q.min_share for q in engine.qos},
            rules=rules,
            usable=self._usable,
        )
        self._pool.start()
        self._timer = threading.Thread(target=self._run_timer, name="tailwise-timer", daemon=True)
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

        inputs: what the model is called with, CPU tensors. features: raw, in the model's declared order.
        deadline_s: this job's own budget from now, > 0; None = its class's.
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
        with self._lock:
            if self._closed:
                raise WorkerError("the executor is closed: build a new one")
            work = Work(inputs, future)
            job, orders = self._dispatch.submit(
                work, model, self._qos[qos], features, self._now_ns(), deadline_s=deadline_s
            )
            future.withdraw = partial(self._withdraw, job)
            runs = self._accept(orders)
        self._carry_out(runs, orders)
        return future

    @property
    def workers(self) -> tuple[Worker, ...]:
        """By lane, in the order of the engine's resources."""
        return self._pool.workers

    def cancel_queued(self) -> int:
        """Cancels every job that has not started; returns how many."""
        with self._lock:
            orders = self._dispatch.clear(self._now_ns())
            runs = self._accept(orders)
        self._carry_out(runs, orders)
        return len(orders.ended)

    def drain(self, timeout_s: float | None = None) -> bool:
        """Waits until no job is queued or running; False when `timeout_s` passed first.

        Raises WorkerError in the callback of a job, which may run in a thread that it would wait for; not in one
        that `future.cancel()` calls.
        """
        self._refuse_in_a_callback("drain")
        with self._changed:
            return self._changed.wait_for(lambda: not self._dispatch, timeout_s)

    def close(self, *, drain: bool = True, timeout_s: float = 10.0) -> None:
        """Takes no more jobs, ends what runs, then the workers. Idempotent.

        drain: first wait up to `timeout_s` for what is queued; what is left then is cancelled, and what runs gets
        up to `timeout_s` more. Raises WorkerError in the callback of a job, as `drain`.
        """
        self._refuse_in_a_callback("close")
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
        self._timer.join()

    def __enter__(self) -> Executor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(drain=kind is None)

    def _usable(self) -> int | None:
        """Bit set of the lanes that are this executor's and whose worker runs; None when all of the engine's are."""
        mask, lanes = self._pool.mask(), self.engine.by_lane
        if lanes == self._resources:
            return mask
        mine = sum(1 << k for k, r in enumerate(self._resources) if lanes[k] is r)
        return mine if mask is None else mask & mine

    def _accept(self, orders: Orders[Work]) -> list[Run[Work]]:
        """Takes note of what is to be done; returns the runs to launch. Under the lock."""
        for run in orders.start:
            work = run.job.payload
            if not work.running:  # a copy's job runs already
                work.future.set_running_or_notify_cancel()
                work.running = True
        for job in orders.ended:
            lane = job.assignment.lane if job.last is None else job.last.lane
            job.payload.future.record = job.payload.record(job, self._names[lane] if lane >= 0 else None)
        due_ns = self._dispatch.next_due_ns()
        sooner = due_ns is not None and (self._wakes_ns is None or due_ns < self._wakes_ns)
        if sooner or not self._dispatch:
            self._changed.notify_all()
        return orders.start

    def _carry_out(self, runs: list[Run[Work]], orders: Orders[Work]) -> None:
        """Starts what is to run and wakes whoever waits for what ended; not under the lock, since callbacks run."""
        with self._serving():
            self._launch(runs)
            answer(orders)

    def _launch(self, runs: list[Run[Work]]) -> None:
        """Hands started runs to their workers; one that cannot be handed over fails, and the next is tried."""
        for run in runs:  # grows while it is walked through
            worker = self._pool[run.lane]
            try:
                worker.submit(run.job.model, [run.job.payload.inputs], partial(self._done, run))
            except BaseException as error:
                now_ns = self._now_ns()
                failure = as_exception(error)
                outcome = Outcome.failed(failure, 1, now_ns, now_ns, worker_died=not worker.alive)
                more, orders = self._end(run, outcome)
                runs += more
                answer(orders)
                if not isinstance(error, Exception):  # Ctrl-C in the caller's thread
                    self._launch(runs[runs.index(run) + 1 :])
                    raise

    def _done(self, run: Run[Work], outcome: Outcome) -> None:
        """A worker hands a result back: learn, keep the slot busy, only then wake whoever waits for the job."""
        self._carry_out(*self._end(run, outcome))

    def _end(self, run: Run[Work], outcome: Outcome) -> tuple[list[Run[Work]], Orders[Work]]:
        """Settles a started run and frees its slot; what then starts and ends."""
        with self._lock:
            now_ns = self._now_ns()
            if not run.settled and run.job.end is None:
                run.job.payload.outcome = outcome
            slot_lost = outcome.worker_died and not self._pool.lost_slot(run.lane)
            failed = outcome.results[0].error is not None
            orders = self._dispatch.ended(
                run, "failed" if failed else "completed", now_ns, slot_lost=slot_lost
            )
            if slot_lost:
                more = self._dispatch.look_again(1 << run.lane, now_ns)
                orders.start += more.start
                orders.ended += more.ended
            return self._accept(orders), orders

    def _withdraw(self, job: Job[Work]) -> None:
        """Takes a job that has not started out of its queue."""
        with self._lock:
            if not job.payload.running:
                self._accept(self._dispatch.cancel(job, self._now_ns()))
                job.payload.future.withdraw = None  # a caller who keeps the future keeps no inputs

    def _run_timer(self) -> None:
        """One timer for all queues: sleeps until a queued job expires or any job is to be looked at again."""
        while True:
            with self._changed:
                if self._ended:
                    return
                now_ns = self._now_ns()
                orders = self._dispatch.due(now_ns)
                runs = self._accept(orders)
                if not runs and not orders.ended:
                    due_ns = self._wakes_ns = self._dispatch.next_due_ns()
                    # a wait of centuries overflows; waking once an hour costs nothing
                    self._changed.wait(
                        None if due_ns is None else min(max(due_ns - now_ns, 0) * 1e-9, 3600.0)
                    )
            try:
                self._carry_out(runs, orders)
            except BaseException:  # no later job would expire
                log.exception("the timer goes on")

    @contextlib.contextmanager
    def _serving(self) -> Iterator[None]:
        """Callbacks of jobs run in this thread, for which `close` and `drain` may wait."""
        before = getattr(self._serves, "now", False)
        self._serves.now = True
        try:
            yield
        finally:
            self._serves.now = before

    def _refuse_in_a_callback(self, call: str) -> None:
        if getattr(self._serves, "now", False):
            raise WorkerError(
                f"{call}() may wait for the thread that runs this callback of a job: call it in another one"
            )

    def _worker_back(self, lane: int, n_slots: int) -> None:
        """A replaced worker is ready: its slots are free again."""
        with self._lock:
            orders = self._dispatch.free(lane, n_slots, self._now_ns())
            runs = self._accept(orders)
        self._carry_out(runs, orders)
