"""What the executor knows of a worker, and the two specifications that users write."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch

from tailwise.errors import ConfigError, WorkerError

__all__ = [
    "Done",
    "Handle",
    "Inputs",
    "Loaded",
    "ModelSource",
    "OnOutput",
    "Outcome",
    "Process",
    "Result",
    "Thread",
    "Worker",
    "WorkerSpec",
    "as_exception",
]

#: What a model is given as: "package.module:factory" (called once in the worker, returns a callable), the path of
#: a TorchScript file, or the callable or nn.Module itself. A module is put into eval mode.
ModelSource = str | os.PathLike[str] | Callable[..., Any]

#: What a model is called with for one member of a batch.
Inputs = tuple[torch.Tensor, ...]


class Result(NamedTuple):
    """Of one member. value: what the model returned for it, tensors on the CPU; None on an error."""

    value: Any
    error: BaseException | None = None


class Outcome(NamedTuple):
    """How one batch went on its worker."""

    results: tuple[Result, ...]  #: one per member, in the batch's order
    start_ns: int  #: service on the device, copies in and out included, on the clock of time.monotonic_ns
    end_ns: int
    copy_ns: int = 0  #: of that, copying
    n_calls: int = 1  #: of the model; more than one when a batch was halved because it failed
    out_of_memory: bool = False  #: a call did not fit into the device's memory, whatever became of its halves
    worker_died: bool = False  #: the batch ended because its worker did: its slot comes back with a new one

    @staticmethod
    def failed(
        error: BaseException, n: int, start_ns: int, end_ns: int, *, worker_died: bool = False
    ) -> Outcome:
        """All `n` members end with the same error."""
        return Outcome((Result(None, error),) * n, start_ns, end_ns, worker_died=worker_died)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loading a model took."""

    n_bytes: int  #: parameters and buffers; on CUDA what was allocated, where that is more; 0 = unknown
    seconds: float


Done = Callable[[Outcome], None]

#: Called with each output of a model that returns an iterator, and when it was there (time.monotonic_ns).
OnOutput = Callable[[Any, int], None]


class Handle(Protocol):
    """A batch that was handed to a worker."""

    def give_up(self, error: BaseException) -> None:
        """The caller stops waiting: `done` is called, here and now, with `error` for every member.

        A thread that computes it is replaced, and what it still computes is dropped; a process is killed, with
        all jobs that it runs, and `worker_died` is set. Idempotent; without effect once the batch has ended.
        """
        ...


class Worker(Protocol):
    """Runs at most `slots` batches at once. Whoever calls it keeps to that."""

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

    @property
    def loaded(self) -> Mapping[str, Loaded]:
        """The models that it can run now, by name."""
        ...

    def start(self, models: Mapping[str, ModelSource]) -> None:
        """Loads these models; also brings a dead worker back.

        Raises ConfigError, WorkerError naming the model; WorkerError while it is alive.
        """
        ...

    def load(self, name: str, source: ModelSource) -> Loaded:
        """Loads one more model while others serve; returns when it can be submitted to.

        Raises as `start`; ConfigError when the name is loaded already, WorkerError when it is not alive.
        """
        ...

    def unload(self, name: str) -> None:
        """Refuses further batches of a model, waits for its open ones, frees it. Not for callbacks.

        Raises UnknownName when it is not loaded, WorkerError when the worker is not alive.
        """
        ...

    def submit(
        self, model: str, batch: Sequence[Inputs], done: Done, *, on_output: OnOutput | None = None
    ) -> Handle:
        """Returns at once; `done` is called exactly once, mostly from a thread of the worker. What it raises is
        logged.

        batch: the inputs of its members, CPU tensors. One member is passed as it is, and its output is not touched.
        Those of more are joined along dimension 0, input by input, and the output's tensors are split along it
        again; containers keep their type, and whatever is no tensor goes to every member. A batch that fails is
        halved until only the members that fail alone have failed: at most 2n - 1 calls, O(log n) for one culprit.
        on_output: where the model returns an iterator (for a batch of one), called with each output as it comes,
        and the value is the number of outputs; without it the value is their list.
        Raises UnknownName; InputError for members that cannot be joined; WorkerError when it is not alive or all
        slots are taken; what handing the inputs over raises. Then `done` is not called.
        """
        ...

    def close(self, timeout_s: float = 5.0) -> None:
        """Waits for running jobs, then ends; after `timeout_s` it kills. Idempotent; not for callbacks."""
        ...

    def kill(self) -> None:
        """Ends now, from any thread; open jobs get a WorkerError."""
        ...

    def watch(self, ended: Callable[[], None] | None) -> None:
        """Has it called each time that the worker has ended, in any way and any thread, after its open jobs were
        told. One at a time: None = nobody, as at first."""
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
