"""The open jobs of one start of a worker: each ends exactly once, whoever comes first."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tailwise.adapters.torch.batch import sizes_of
from tailwise.adapters.torch.worker import Done, Inputs, Loaded, OnOutput, Outcome
from tailwise.errors import ConfigError, UnknownName, WorkerError

__all__ = ["Job", "Slots"]

log = logging.getLogger("tailwise.torch")


class Job:
    """A batch on its way through a worker; what `submit` returns."""

    __slots__ = (
        "_stop",
        "batch",
        "broken",
        "copy_ns",
        "done",
        "ended",
        "entry",
        "model",
        "on_output",
        "sizes",
        "slot",
        "start_ns",
    )

    def __init__(
        self,
        model: str,
        batch: Sequence[Inputs],
        done: Done,
        on_output: OnOutput | None,
        stop: Callable[[Job, BaseException], None],
    ) -> None:
        """stop: how its worker gives it up. Raises InputError for members that cannot be joined."""
        self.model = model
        self.batch = batch
        self.sizes = sizes_of(model, batch)
        self.done = done
        self.on_output = on_output
        self.slot = -1
        self.entry: Any = None  # what its worker knows the model by
        self.copy_ns = 0  # handing it over
        self.broken: Exception | None = None  # an answer that could not be read
        self.start_ns = time.monotonic_ns()
        self.ended = False
        self._stop = stop

    def give_up(self, error: BaseException) -> None:
        if not self.ended:
            self._stop(self, error)

    def output(self, value: Any, now_ns: int) -> bool:
        """Hands one output on; False when nobody waits any more."""
        if self.on_output is None or self.ended:
            return False
        try:
            self.on_output(value, now_ns)
        except BaseException:  # must not take the worker's thread with it
            log.exception("the callback of an output raised")
        return not self.ended

    def tell(self, outcome: Outcome) -> None:
        """A callback that raises must not take the worker's thread, and so every later job, with it."""
        try:
            self.done(outcome)
        except BaseException:  # sys.exit, say
            log.exception("the callback of a job raised")


class Slots:
    def __init__(self, worker: str, n: int, on_end: Callable[[], None]) -> None:
        """on_end: called when they have failed, if jobs were taken before."""
        self._worker = worker
        self._on_end = on_end
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)  # for `drop`
        self._n = n
        self._free: list[int] = []
        self._open: dict[int, Job] = {}
        self._models: dict[str, tuple[Loaded, Any]] = {}
        self._error: BaseException | None = WorkerError(f"worker {worker!r} was not started")
        self._unloads = 0

    @property
    def alive(self) -> bool:
        return self._error is None

    @property
    def loaded(self) -> Mapping[str, Loaded]:
        with self._lock:
            return {name: loaded for name, (loaded, _) in self._models.items()} if self.alive else {}

    def refuse_a_start(self) -> None:
        """Raises WorkerError while it is alive."""
        if self.alive:
            raise WorkerError(f"worker {self._worker!r} runs already: close it before it is started again")

    def refuse_when_ended(self) -> None:
        """Raises WorkerError unless it is alive."""
        if self._error is not None:
            raise WorkerError(f"worker {self._worker!r} takes no jobs: {self._error}")

    def begin(self, models: Mapping[str, tuple[Loaded, Any]]) -> None:
        """All slots free, for jobs of these models; each with what its worker knows it by."""
        with self._lock:
            self._free = list(range(self._n))
            self._models = dict(models)
            self._error = None

    def take(self, job: Job) -> None:
        """Gives a job its slot. Raises as `Worker.submit`."""
        with self._lock:
            self.refuse_when_ended()
            known = self._models.get(job.model)
            if known is None:
                raise self._unknown(job.model)
            if not self._free:
                raise WorkerError(
                    f"worker {self._worker!r}: all {self._n} slots are taken; wait for a result"
                )
            job.slot = self._free.pop()
            job.entry = known[1]
            self._open[job.slot] = job

    def end(self, job: Job, outcome: Outcome) -> None:
        """Frees the slot and tells the job; nothing when it was told already."""
        if self.take_back(job):
            job.tell(outcome)

    def take_back(self, job: Job, *, free: bool = True) -> bool:
        """The job is nobody's any more, and the caller tells its end if need be; False when it has ended already.

        free: its slot takes the next one; else `free` says when.
        """
        with self._lock:
            if job.ended:
                return False
            job.ended = True
            del self._open[job.slot]
            if free:
                self._free.append(job.slot)
            if self._unloads:
                self._changed.notify_all()
            return True

    def free(self, slot: int) -> None:
        with self._lock:
            self._free.append(slot)

    def fail(self, error: BaseException, first: tuple[Job, Outcome] | None = None) -> bool:
        """No more jobs; the open ones end with `error`, but `first`, if it is open still, with its own outcome.

        False when it had failed before.
        """
        with self._lock:
            was_alive = self._error is None
            if was_alive:
                self._error = error
            jobs = list(self._open.values())
            for job in jobs:
                job.ended = True
            self._open = {}
            self._changed.notify_all()
        end_ns = time.monotonic_ns()
        for job in jobs:
            if first is not None and job is first[0]:
                job.tell(first[1])
            else:
                job.tell(Outcome.failed(error, len(job.batch), job.start_ns, end_ns, worker_died=True))
        if was_alive:
            self._on_end()
        return was_alive

    def refuse_loaded(self, name: str) -> None:
        """Raises ConfigError when the model is there, WorkerError when the worker is not alive."""
        self.refuse_when_ended()
        if name in self._models:
            raise ConfigError(
                f"worker {self._worker!r} has loaded model {name!r} already: unload it before it is loaded again"
            )

    def add(self, name: str, loaded: Loaded, entry: Any) -> None:
        """Takes jobs of one more model from now on. Raises WorkerError when the worker ended meanwhile."""
        with self._lock:
            self.refuse_when_ended()
            self._models[name] = loaded, entry

    def drop(self, name: str) -> Any:
        """Takes no more jobs of a model, and waits until none is open; what its worker knew it by. Raises as
        `Worker.unload`."""
        with self._lock:
            self.refuse_when_ended()
            if name not in self._models:
                raise self._unknown(name)
            _, entry = self._models.pop(name)
            self._unloads += 1
            self._changed.wait_for(lambda: all(job.entry is not entry for job in self._open.values()))
            self._unloads -= 1
            return entry

    def _unknown(self, model: str) -> UnknownName:
        known = ", ".join(map(repr, sorted(self._models)))
        return UnknownName(f"worker {self._worker!r} has no model {model!r}; it loaded {known or 'none'}")
