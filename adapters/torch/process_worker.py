"""A worker in its own process: messages over inherited pipes, tensors through shared memory."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from tailwise.adapters.torch.child_process import ChildProcess
from tailwise.adapters.torch.loading import ship
from tailwise.adapters.torch.slots import Job, Slots
from tailwise.adapters.torch.worker import Done, Handle, Inputs, Loaded, ModelSource, OnOutput, Outcome
from tailwise.errors import WorkerError

__all__ = ["ProcessWorker"]


class ProcessWorker:
    """See `tailwise.adapters.torch.Process`, which builds it."""

    def __init__(self, name: str, device: str, slots: int, threads: int, env: Mapping[str, str]) -> None:
        self.name = name
        self.slots = slots
        self.closed = False
        self._device = device
        self._threads = threads
        self._env = dict(env)
        self._watcher: Callable[[], None] | None = None
        self._idle = Slots(name, slots, self._ended)  # never begun: says so
        self._process: ChildProcess | None = None
        self._numbers = itertools.count()  # of loaded models: a name may be loaded again
        self._life_lock = threading.Lock()  # start and close, one at a time
        self._load_lock = threading.Lock()

    @property
    def alive(self) -> bool:
        return self._slots.alive

    @property
    def loaded(self) -> Mapping[str, Loaded]:
        return self._slots.loaded

    @property
    def pid(self) -> int | None:
        """Of the process; None before `start`."""
        return None if self._process is None else self._process.pid

    @property
    def _slots(self) -> Slots:
        return self._idle if self._process is None else self._process.slots

    def start(self, models: Mapping[str, ModelSource]) -> None:
        with self._life_lock:
            shipped = [(next(self._numbers), name, ship(name, source)) for name, source in models.items()]
            self._slots.refuse_a_start()
            if self._process is not None:
                self._process.end()
            slots = Slots(self.name, self.slots, self._ended)
            process = ChildProcess(self.name, self._device, slots, self.slots, self._threads, self._env)
            self._process = process
            process.begin(shipped)
            self.closed = False

    def load(self, name: str, source: ModelSource) -> Loaded:
        shipped = ship(name, source)
        slots, process = self._slots, self._process
        with self._load_lock:
            slots.refuse_loaded(name)
            assert process is not None
            number = next(self._numbers)
            loaded = process.load(number, name, shipped)
            slots.add(name, loaded, number)
        return loaded

    def unload(self, name: str) -> None:
        slots, process = self._slots, self._process
        number: int = slots.drop(name)
        assert process is not None
        process.unload(number)

    def submit(
        self, model: str, batch: Sequence[Inputs], done: Done, *, on_output: OnOutput | None = None
    ) -> Handle:
        process, slots = self._process, self._slots
        job = Job(model, batch, done, on_output, partial(self._give_up, process))
        slots.take(job)
        assert process is not None
        try:
            process.send(job)
        except BaseException:
            if slots.take_back(job):
                raise
        return job  # killed meanwhile: the job was told so

    def close(self, timeout_s: float = 5.0) -> None:
        self.closed = True
        with self._life_lock:
            if self._process is not None:
                self._process.close(timeout_s)

    def kill(self) -> None:
        """Open jobs have ended when it returns; called by the callback of a job, when that is back."""
        if self._process is not None:
            self._process.kill()

    def watch(self, ended: Callable[[], None] | None) -> None:
        self._watcher = ended

    def _ended(self) -> None:
        watcher = self._watcher
        if watcher is not None:
            watcher()

    def _give_up(self, process: ChildProcess | None, job: Job, error: BaseException) -> None:
        """Only killing the process stops what computes there."""
        assert process is not None
        end_ns = time.monotonic_ns()
        outcome = Outcome.failed(error, len(job.batch), job.start_ns, end_ns, worker_died=True)
        process.stop_for(job, outcome, WorkerError(f"worker {self.name!r} was killed: a job was given up"))
