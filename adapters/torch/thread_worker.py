"""A worker in this process: one thread a slot."""

from __future__ import annotations

import copy
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from tailwise.adapters.torch.batch import results_of
from tailwise.adapters.torch.device import Device, open_device
from tailwise.adapters.torch.loading import load
from tailwise.adapters.torch.serving import Path, Serving
from tailwise.adapters.torch.slots import Job, Slots
from tailwise.adapters.torch.worker import (
    Done,
    Handle,
    Inputs,
    Loaded,
    ModelSource,
    OnOutput,
    Outcome,
    as_exception,
)
from tailwise.errors import WorkerError

__all__ = ["ThreadWorker"]

log = logging.getLogger("tailwise.torch")

Model = Callable[..., Any]


class ThreadWorker:
    """See `tailwise.adapters.torch.Thread`, which builds it."""

    def __init__(self, name: str, device: str, slots: int) -> None:
        self.name = name
        self.slots = slots
        self.closed = False
        self._device_name = device
        self._watcher: Callable[[], None] | None = None
        self._slots = Slots(name, slots, self._ended)
        self._device: Device | None = None
        self._runners: list[_Runner] = []  # by slot
        self._stopping = False
        self._life_lock = threading.Lock()  # start and close, one at a time
        self._runners_lock = threading.Lock()  # held for moments
        self._load_lock = threading.Lock()

    @property
    def alive(self) -> bool:
        return self._slots.alive

    @property
    def loaded(self) -> Mapping[str, Loaded]:
        return self._slots.loaded

    def start(self, models: Mapping[str, ModelSource]) -> None:
        with self._life_lock:
            self._slots.refuse_a_start()
            if self._device is not None:
                self._device.close()  # of a worker that was killed
            try:
                self._device = open_device(self._device_name)
                paths = [self._device.path() for _ in range(self.slots)]
            except Exception as error:
                raise WorkerError(
                    f"worker {self.name!r} cannot use {self._device_name!r}: {error}"
                ) from error
            try:
                loaded = {name: self._load(name, source) for name, source in models.items()}
            except BaseException:
                self._device.close()
                raise
            slots = Slots(
                self.name, self.slots, self._ended
            )  # what an abandoned thread still ends is in the old ones
            slots.begin({name: (info, model) for name, (model, info) in loaded.items()})
            self.closed = self._stopping = False
            self._runners = [self._runner(slot, slots, path) for slot, path in enumerate(paths)]
            self._slots = slots  # last: from here on jobs are taken

    def load(self, name: str, source: ModelSource) -> Loaded:
        slots = self._slots
        with self._load_lock:
            slots.refuse_loaded(name)
            model, loaded = self._load(name, source)
            slots.add(name, loaded, model)
        return loaded

    def unload(self, name: str) -> None:
        self._slots.drop(name)
        if torch.device(self._device_name).type == "cuda":
            torch.cuda.empty_cache()

    def submit(
        self, model: str, batch: Sequence[Inputs], done: Done, *, on_output: OnOutput | None = None
    ) -> Handle:
        slots = self._slots
        job = Job(model, batch, done, on_output, partial(self._give_up, slots))
        slots.take(job)
        self._runners[job.slot].jobs.put(job)
        return job

    def close(self, timeout_s: float = 5.0) -> None:
        self.closed = True
        end_s = time.monotonic() + timeout_s
        with self._life_lock:
            self._stop_runners()
            for runner in self._runners:
                runner.thread.join(max(0.0, end_s - time.monotonic()))
            self._slots.fail(WorkerError(f"worker {self.name!r} is closed"))
            if self._device is not None:
                self._device.close()

    def kill(self) -> None:
        """A thread cannot be killed: its jobs end with WorkerError now, and what they still compute is dropped."""
        self._stop_runners()
        self._slots.fail(WorkerError(f"worker {self.name!r} was killed"))

    def watch(self, ended: Callable[[], None] | None) -> None:
        self._watcher = ended

    def _ended(self) -> None:
        watcher = self._watcher
        if watcher is not None:
            watcher()

    def _load(self, name: str, source: ModelSource) -> tuple[Model, Loaded]:
        if torch.device(self._device_name).type != "cpu" and isinstance(source, torch.nn.Module):
            source = copy.deepcopy(
                source
            )  # .to(device) moves a module in place; the caller's stays where it is
        return load(name, source, self._device_name)

    def _runner(self, slot: int, slots: Slots, path: Path) -> _Runner:
        return _Runner(f"tailwise-{self.name}-{slot}", slots, path, self._stop_runners)

    def _stop_runners(self) -> None:
        """Each ends after its job."""
        with self._runners_lock:
            self._stopping = True
            for runner in self._runners:
                runner.jobs.put(None)

    def _give_up(self, slots: Slots, job: Job, error: BaseException) -> None:
        """Leaves the job's thread to itself and has another one serve its slot."""
        if not slots.take_back(job, free=False):
            return
        log.warning("worker %s: a batch of %r was given up; its thread is replaced", self.name, job.model)
        try:
            with self._runners_lock:
                if slots is self._slots and not self._stopping and self._device is not None:
                    self._runners[job.slot].jobs.put(None)
                    self._runners[job.slot] = self._runner(job.slot, slots, self._device.path())
                    slots.free(job.slot)
        finally:
            job.tell(Outcome.failed(error, len(job.batch), job.start_ns, time.monotonic_ns()))


class _Runner:
    """One slot's thread: takes jobs until it is told None."""

    def __init__(self, name: str, slots: Slots, path: Path, on_lost: Callable[[], None]) -> None:
        """on_lost: called before the worker's jobs are told that the device is lost."""
        self.jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._slots = slots
        self._path = path
        self._on_lost = on_lost
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        with torch.inference_mode():
            while (job := self.jobs.get()) is not None:
                if not job.ended:
                    try:
                        self._serve(job)
                    except BaseException as error:  # not of the model: the slot goes on whatever it was
                        log.exception("a batch of %r could not be served", job.model)
                        now_ns = time.monotonic_ns()
                        failure = as_exception(error)
                        self._slots.end(job, Outcome.failed(failure, len(job.batch), job.start_ns, now_ns))
                del job  # nothing of it is kept until the next one comes

    def _serve(self, job: Job) -> None:
        batch = job.batch
        served = Serving(
            self._path,
            job.entry,
            lambda first, n: batch[first : first + n],
            len(batch),
            job.output if job.on_output is not None else None,
        )
        outcome = Outcome(
            results_of(job.model, served.pieces, job.sizes),
            served.start_ns,
            served.end_ns,
            served.copy_ns,
            served.n_calls,
            served.out_of_memory,
            served.lost is not None,
        )
        if served.lost is not None:
            self._on_lost()
            self._slots.fail(WorkerError(f"its device was lost: {served.lost}"), (job, outcome))
        else:
            self._slots.end(job, outcome)
