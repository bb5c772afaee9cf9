"""A worker in this process: one thread a slot and, on CUDA, one stream a slot timed by events."""

from __future__ import annotations

import copy
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from tailwise.adapters.torch.loading import load_all
from tailwise.adapters.torch.worker import Done, ModelSource, Outcome, Slots, as_exception
from tailwise.errors import WorkerError

__all__ = ["ThreadWorker"]

Job = tuple[str, tuple[torch.Tensor, ...]]
Model = Callable[..., Any]
Serve = Callable[[Model, tuple[torch.Tensor, ...]], Outcome]

#: How long a slot's thread sleeps between two looks at an unfinished CUDA event.
_POLL_S = 50e-6


class ThreadWorker:
    """See `tailwise.adapters.torch.Thread`, which builds it."""

    def __init__(self, name: str, device: str, slots: int) -> None:
        self.name = name
        self.slots = slots
        self.closed = False
        self._device = torch.device(device)
        self._slots = Slots(name, slots)
        self._queues: list[queue.SimpleQueue[Job | None]] = []
        self._threads: list[threading.Thread] = []

    @property
    def alive(self) -> bool:
        return self._slots.alive

    def start(self, models: Mapping[str, ModelSource]) -> None:
        self._slots.refuse_a_start()
        if self._device.type != "cpu":
            # .to(device) moves a module in place; the caller's stays where it is
            models = {n: copy.deepcopy(m) if isinstance(m, torch.nn.Module) else m for n, m in models.items()}
        loaded = load_all(models, str(self._device))
        on_cpu = self._device.type == "cpu"
        try:
            servers = [_serve_cpu if on_cpu else _CudaStream(self._device).serve for _ in range(self.slots)]
        except Exception as error:
            raise WorkerError(f"worker {self.name!r} cannot use {str(self._device)!r}: {error}") from error
        slots = Slots(self.name, self.slots)  # what an abandoned thread still ends is in the old ones
        slots.begin(models)
        self._queues = [queue.SimpleQueue() for _ in range(self.slots)]
        self._threads = [
            threading.Thread(
                target=_run,
                args=(slots, slot, jobs, loaded, servers[slot]),
                name=f"tailwise-{self.name}-{slot}",
                daemon=True,
            )
            for slot, jobs in enumerate(self._queues)
        ]
        for thread in self._threads:
            thread.start()
        self.closed = False
        self._slots = slots  # last: from here on jobs are taken

    def submit(self, model: str, inputs: tuple[torch.Tensor, ...], done: Done) -> None:
        slot = self._slots.take(model, done)
        self._queues[slot].put((model, inputs))

    def close(self, timeout_s: float = 5.0) -> None:
        self.closed = True
        end_s = time.monotonic() + timeout_s
        for jobs in self._queues:
            jobs.put(None)
        for thread in self._threads:
            thread.join(max(0.0, end_s - time.monotonic()))
        self._slots.fail(WorkerError(f"worker {self.name!r} is closed"), time.monotonic_ns())

    def kill(self) -> None:
        """A thread cannot be killed: its jobs end with WorkerError now, and what they still compute is dropped."""
        for jobs in self._queues:
            jobs.put(None)
        self._slots.fail(WorkerError(f"worker {self.name!r} was killed"), time.monotonic_ns())


def _run(
    slots: Slots, slot: int, jobs: queue.SimpleQueue[Job | None], models: dict[str, Model], serve: Serve
) -> None:
    """One slot's thread: takes jobs until it is told None."""
    with torch.inference_mode():
        while (job := jobs.get()) is not None:
            model, inputs = job
            start_ns = time.monotonic_ns()
            try:
                outcome = serve(models[model], inputs)
            except BaseException as error:
                outcome = Outcome(None, as_exception(error), start_ns, time.monotonic_ns())
            slots.end(slot, outcome)


def _serve_cpu(model: Model, inputs: tuple[torch.Tensor, ...]) -> Outcome:
    start_ns = time.monotonic_ns()
    return Outcome(model(*inputs), None, start_ns, time.monotonic_ns())


class _CudaStream:
    """A slot's own stream: enqueues a job and polls its end event; nothing here waits for the whole device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)

    def serve(self, model: Model, inputs: tuple[torch.Tensor, ...]) -> Outcome:
        begin = torch.cuda.Event(enable_timing=True)
        end = torch.cuda.Event(enable_timing=True)
        with torch.cuda.stream(self._stream):
            begin.record(self._stream)
            moved = tuple(t.pin_memory().to(self._device, non_blocking=True) for t in inputs)
            value = _to_host(model(*moved))
            end.record(self._stream)
        while not end.query():
            time.sleep(_POLL_S)
        end_ns = time.monotonic_ns()
        service_ms: float = begin.elapsed_time(end)  # the device's own time, however late this thread looked
        return Outcome(value, None, end_ns - round(service_ms * 1e6), end_ns)


def _to_host(value: Any) -> Any:
    """Copies the tensors of a result into pinned memory, in stream order; containers keep their type."""
    if isinstance(value, torch.Tensor):
        return torch.empty(value.shape, dtype=value.dtype, pin_memory=True).copy_(value, non_blocking=True)
    if isinstance(value, dict):
        return {key: _to_host(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_to_host(item) for item in value))
    if isinstance(value, list | tuple):
        return type(value)(_to_host(item) for item in value)
    return value
