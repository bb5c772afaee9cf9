"""What the executor knows of a worker, and the two specifications that users write."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from tailwise.errors import ConfigError, UnknownName, WorkerError

__all__ = [
    "Done",
    "ModelSource",
    "Outcome",
    "Process",
    "Slots",
    "Thread",
    "Worker",
    "WorkerSpec",
    "as_exception",
]

log = logging.getLogger("tailwise.torch")

#: What a model is given as: "package.module:factory" (called once in the worker, returns a callable), the path of
#: a TorchScript file, or the callable or nn.Module itself. A module is put into eval mode.
ModelSource = str | os.PathLike[str] | Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one job went on its worker. value: what the model returned, tensors on the CPU; None on an error."""

    value: Any
    error: BaseException | None
    start_ns: int  #: service start and end on the device, on the clock of time.monotonic_ns
    end_ns: int
    worker_died: bool = False  #: the job ended because its worker did: its slot comes back with a new one


Done = Callable[[Outcome], None]


class Worker(Protocol):
    """Runs at most `slots` jobs at once. Whoever calls it keeps to that."""

    @property
    def name(self) -> str: ...

    @property
    def slots(self) -> int: ...

    @property
    def alive(self) -> bool:
        """True from `start` until it died, was killed or closed."""
        ...

    @property
    def closed(self) -> bool:
        """Its owner closed it, and nobody else starts it again."""
        ...

    def start(self, models: Mapping[str, ModelSource]) -> None:
        """Loads every model; also brings a dead worker back.

        Raises ConfigError, WorkerError naming the model; WorkerError while it is alive.
        """
        ...

    def submit(self, model: str, inputs: tuple[torch.Tensor, ...], done: Done) -> None:
        """Returns at once; `done` is called exactly once, from a thread of the worker. What it raises is logged.

        Raises UnknownName; WorkerError when it is not alive or all slots are taken; what handing the inputs over
        raises. Then `done` is not called.
        """
        ...

    def close(self, timeout_s: float = 5.0) -> None:
        """Waits for running jobs, then ends; after `timeout_s` it kills. Idempotent; not for callbacks."""
        ...

    def kill(self) -> None:
        """Ends now, from any thread; open jobs get a WorkerError."""
        ...


@dataclass(frozen=True, slots=True)
class Thread:
    """A worker in this process: always right for CUDA, cheap for CPU models that release the interpreter lock.

    device: a torch device of type cpu or cuda. slots: jobs at once, one thread and, on CUDA, one stream each.
    """

    device: str = "cpu"
    slots: int = 1

    def __post_init__(self) -> None:
        _check(self.device, self.slots)
        if torch.device(self.device).type not in ("cpu", "cuda"):
            raise ConfigError(
                f"Thread: device={self.device!r}, but cpu or cuda is expected; a Process takes any"
            )

    def build(self, name: str) -> Worker:
        from tailwise.adapters.torch.thread_worker import ThreadWorker

        return ThreadWorker(name, self.device, self.slots)


@dataclass(frozen=True, slots=True)
class Process:
    """A worker in its own process: own interpreter lock, own environment, killable.

    device, slots: as in Thread. threads: of torch's CPU kernels. env: added to the environment before torch
    loads, which is when it reads such variables as ONEDNN_MAX_CPU_ISA.
    A model's inputs are views of shared memory that the next job overwrites: one that keeps them clones them.
    """

    device: str = "cpu"
    slots: int = 1
    threads: int = 1
    env: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self.device, self.slots)
        if not (isinstance(self.threads, int) and self.threads >= 1):
            raise ConfigError(f"Process: threads={self.threads!r}, but an int >= 1 is expected")

    def build(self, name: str) -> Worker:
        from tailwise.adapters.torch.process_worker import ProcessWorker

        return ProcessWorker(name, self.device, self.slots, self.threads, self.env)


WorkerSpec = Thread | Process


def _check(device: str, slots: int) -> None:
    try:
        torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"device={device!r} is no torch device: {error}") from None
    if not (isinstance(slots, int) and 1 <= slots <= 256):
        raise ConfigError(f"slots={slots!r}, but an int in 1..256 is expected")


def as_exception(error: BaseException) -> Exception:
    """What a model raised, as its job's failure: a model that calls sys.exit ends its job, not its caller."""
    if isinstance(error, Exception):
        return error
    failure = WorkerError(f"the model raised {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure


class Slots:
    """The open jobs of a worker by slot: each is ended exactly once, whoever comes first."""

    def __init__(self, worker: str, n: int) -> None:
        self._worker = worker
        self._lock = threading.Lock()
        self._n = n
        self._free: list[int] = []
        self._open: dict[int, Done] = {}
        self._models: frozenset[str] = frozenset()
        self._error: BaseException | None = WorkerError(f"worker {worker!r} was not started")

    @property
    def alive(self) -> bool:
        return self._error is None

    def refuse_a_start(self) -> None:
        """Raises WorkerError while it is alive."""
        if self.alive:
            raise WorkerError(f"worker {self._worker!r} runs already: close it before it is started again")

    def begin(self, models: Mapping[str, ModelSource]) -> None:
        """All slots free, for jobs of these models."""
        with self._lock:
            self._free = list(range(self._n))
            self._open = {}
            self._models = frozenset(models)
            self._error = None

    def take(self, model: str, done: Done) -> int:
        """Gives a job a slot. Raises as `Worker.submit`."""
        with self._lock:
            if self._error is not None:
                raise WorkerError(f"worker {self._worker!r} takes no jobs: {self._error}")
            if model not in self._models:
                known = ", ".join(map(repr, sorted(self._models)))
                raise UnknownName(f"worker {self._worker!r} has no model {model!r}; it loaded {known}")
            if not self._free:
                raise WorkerError(
                    f"worker {self._worker!r}: all {self._n} slots are taken; wait for a result"
                )
            slot = self._free.pop()
            self._open[slot] = done
            return slot

    def end(self, slot: int, outcome: Outcome) -> None:
        """Frees the slot and tells the job; nothing when it was told already."""
        with self._lock:
            done = self._open.pop(slot, None)
            if done is not None:
                self._free.append(slot)
        if done is not None:
            _tell(done, outcome)

    def give_back(self, slot: int) -> bool:
        """The job was not handed over after all, and nobody is told; False when its end was told already."""
        with self._lock:
            was_open = self._open.pop(slot, None) is not None
            if was_open:
                self._free.append(slot)
            return was_open

    def fail(self, error: BaseException, now_ns: int) -> None:
        """No more jobs; the open ones end with `error`."""
        with self._lock:
            self._error = error
            jobs, self._open = list(self._open.values()), {}
        for done in jobs:
            _tell(done, Outcome(None, error, now_ns, now_ns, worker_died=True))


def _tell(done: Done, outcome: Outcome) -> None:
    """A callback that raises must not take the worker's thread, and so every later job, with it."""
    try:
        done(outcome)
    except BaseException:  # sys.exit, say
        log.exception("the callback of a job raised")
