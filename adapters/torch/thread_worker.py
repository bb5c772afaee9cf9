"""A worker in this process: one thread a slot and, on CUDA, one stream a slot timed by events."""

from __future__ import annotations

import copy
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from tailwise.adapters.torch.loading import load_all
from tailwise.adapters.torch.worker import Done, ModelSource, Outcome, Slots
from tailwise.errors import WorkerError

__all__ = ["ThreadWorker"]

Job = tuple[str, tuple[torch.Tensor, ...]]

#: How long the poller sleeps between two looks at unfinished CUDA events.
_POLL_S = 50e-6


class ThreadWorker:
    """See `tailwise.adapters.torch.Thread`, which builds it."""

    def __init__(self, name: str, device: str, slots: int) -> None:
        self.name = name
        self.slots = slots
        self._device = torch.device(device)
        self._slots = Slots(name, slots)
        self._queues: list[queue.SimpleQueue[Job | None]] = []
        self._threads: list[threading.Thread] = []

    @property
    def alive(self) -> bool:
        return self._slots.alive

    def start(self, models: Mapping[str, ModelSource]) -> None:
        if self._device.type != "cpu":
            # .to(device) moves a module in place; the caller's stays where it is
            models = {n: copy.deepcopy(m) if isinstance(m, torch.nn.Module) else m for n, m in models.items()}
        loaded = load_all(models, str(self._device))
        self._slots = Slots(self.name, self.slots)  # what an abandoned thread still ends is in the old ones
        self._slots.begin(models)
        self._queues = [queue.SimpleQueue() for _ in range(self.slots)]
        run = self._run_cpu if self._device.type == "cpu" else self._run_cuda
        self._threads = [
            threading.Thread(
                target=run,
                args=(self._slots, slot, jobs, loaded),
                name=f"tailwise-{self.name}-{slot}",
                daemon=True,
            )
            for slot, jobs in enumerate(self._queues)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, model: str, inputs: tuple[torch.Tensor, ...], done: Done) -> None:
        self._queues[self._slots.take(model, done)].put((model, inputs))

    def close(self, timeout_s: float = 5.0) -> None:
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

    def _run_cpu(
        self,
        slots: Slots,
        slot: int,
        jobs: queue.SimpleQueue[Job | None],
        models: dict[str, Callable[..., Any]],
    ) -> None:
        with torch.inference_mode():
            while (job := jobs.get()) is not None:
                model, inputs = job
                value, failure = None, None
                start_ns = time.monotonic_ns()
                try:
                    value = models[model](*inputs)
                except Exception as error:
                    failure = error
                slots.end(slot, Outcome(value, failure, start_ns, time.monotonic_ns()))

    def _run_cuda(
        self,
        slots: Slots,
        slot: int,
        jobs: queue.SimpleQueue[Job | None],
        models: dict[str, Callable[..., Any]],
    ) -> None:
        """Enqueues a job on the slot's stream and polls its end event; nothing here waits for the whole device."""
        stream = torch.cuda.Stream(self._device)
        with torch.inference_mode(), torch.cuda.stream(stream):
            origin = _Origin.now(stream)
            while (job := jobs.get()) is not None:
                model, inputs = job
                value, failure = None, None
                begin = torch.cuda.Event(enable_timing=True)
                end = torch.cuda.Event(enable_timing=True)
                start_ns = time.monotonic_ns()
                try:
                    begin.record(stream)
                    moved = tuple(t.pin_memory().to(self._device, non_blocking=True) for t in inputs)
                    value = _to_host(models[model](*moved))
                    end.record(stream)
                    while not end.query():
                        time.sleep(_POLL_S)
                    outcome = Outcome(value, None, origin.at_ns(begin), origin.at_ns(end))
                except Exception as error:
                    failure = error
                    outcome = Outcome(None, failure, start_ns, time.monotonic_ns())
                slots.end(slot, outcome)


@dataclass(frozen=True, slots=True)
class _Origin:
    """One event whose moment on the monotonic clock is known: it dates all others of the stream."""

    event: torch.cuda.Event
    ns: int

    @staticmethod
    def now(stream: torch.cuda.Stream) -> _Origin:
        event = torch.cuda.Event(enable_timing=True)
        event.record(stream)
        event.synchronize()
        return _Origin(event, time.monotonic_ns())

    def at_ns(self, event: torch.cuda.Event) -> int:
        elapsed_ms: float = self.event.elapsed_time(event)
        return self.ns + round(elapsed_ms * 1e6)


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
