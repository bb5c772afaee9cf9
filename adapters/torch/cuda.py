"""A CUDA device: a stream and staging memory a slot, events for its times, one thread that looks at them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from typing import Any

import torch

from tailwise.adapters.torch.batch import map_tensors
from tailwise.adapters.torch.serving import Path
from tailwise.adapters.torch.worker import Inputs
from tailwise.errors import WorkerError

__all__ = ["Cuda", "CudaPath", "Poller"]

#: Between two looks at unfinished events. Linux adds about 50 us of its own; a look costs about 1 us an event.
_POLL_S = 20e-6

#: Staging memory of an input grows to powers of two from here on.
_STAGING_BYTES = 1 << 16


class Cuda:
    """See `device.Device`."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        torch.cuda.Stream(device)  # raises here, before a thread runs
        self._poller = Poller(str(device))

    def path(self) -> Path:
        return CudaPath(self._device, self._poller)

    def close(self) -> None:
        self._poller.close()


class Poller:
    """The one thread that looks at a device's events: nobody else waits inside CUDA, where a wait may hold the
    driver's lock against the slots that enqueue."""

    def __init__(self, name: str) -> None:
        self._new: queue.SimpleQueue[_Wait | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"tailwise-poll-{name}", daemon=True)
        self._thread.start()

    def wait(self, event: torch.cuda.Event) -> None:
        """Until what was recorded before the event is done. Raises what the device met on the way."""
        if event.query():
            return
        wait = _Wait(event)
        self._new.put(wait)
        wait.over.acquire()
        if wait.error is not None:
            raise wait.error

    def close(self) -> None:
        """Whoever waits still gets WorkerError. Idempotent."""
        self._new.put(None)
        self._thread.join()

    def _run(self) -> None:
        waits: list[_Wait] = []
        open_ = True
        while open_:
            open_ = self._take(waits, block=not waits)
            waits = [wait for wait in waits if not wait.look()]
            if waits:
                time.sleep(_POLL_S)
        for wait in waits:
            wait.end(WorkerError("the worker was closed before its device was done"))

    def _take(self, waits: list[_Wait], *, block: bool) -> bool:
        """Collects who came meanwhile; False when it is closed."""
        try:
            while True:
                wait = self._new.get(block)
                if wait is None:
                    return False
                waits.append(wait)
                block = False
        except queue.Empty:
            return True


class _Wait:
    def __init__(self, event: torch.cuda.Event) -> None:
        self._event = event
        self.over = threading.Lock()
        self.over.acquire()
        self.error: BaseException | None = None

    def look(self) -> bool:
        """True when it is over."""
        try:
            if not self._event.query():
                return False
        except BaseException as error:  # of any kernel before it
            self.end(error)
            return True
        self.end(None)
        return True

    def end(self, error: BaseException | None) -> None:
        self.error = error
        self.over.release()


class _Mark:
    """A timed event, and when it was enqueued."""

    __slots__ = ("at_ns", "event")

    def __init__(self, stream: torch.cuda.Stream) -> None:
        self.event = torch.cuda.Event(enable_timing=True)
        self.at_ns = time.monotonic_ns()
        self.event.record(stream)


class CudaPath:
    """See `serving.Path`. Everything of a slot is enqueued on its own stream.

    All tensors here are allocated while that stream is the current one, so the caching allocator gives their memory
    to no other stream (no record_stream is needed); the model and the inputs are kept by the job until its end event.
    """

    def __init__(self, device: torch.device, poller: Poller) -> None:
        self._device = device
        self._poller = poller
        self._stream = torch.cuda.Stream(device)
        self._current = torch.cuda.stream(self._stream)
        self._staging: list[torch.Tensor] = []
        self._staged: torch.cuda.Event | None = None

    def __enter__(self) -> None:
        self._current.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._current.__exit__(*error)

    def put(self, members: Sequence[Inputs]) -> Inputs:
        """Joins the members in pinned memory, one copy there and one to the device."""
        if self._staged is not None:
            self._poller.wait(self._staged)  # a call that failed may be copying still
        inputs = tuple(
            self._host(i, tensors).to(self._device, non_blocking=True)
            for i, tensors in enumerate(zip(*members, strict=True))
        )
        self._staged = torch.cuda.Event()
        self._staged.record(self._stream)
        return inputs

    def fetch(self, value: Any) -> Any:
        """Into fresh pinned memory, which the caching host allocator has at hand after the first job."""
        return map_tensors(value, self._to_host)

    def mark(self) -> _Mark:
        return _Mark(self._stream)

    def wait(self, marks: tuple[_Mark, _Mark, _Mark, _Mark]) -> tuple[int, int]:
        begin, inside, done, end = (mark.event for mark in marks)
        self._poller.wait(end)
        now_ns = time.monotonic_ns()
        copy_ms: float = begin.elapsed_time(inside) + done.elapsed_time(end)
        # a slot's stream is empty when it begins: the first event passes as it is enqueued, and the device's own time
        # after it does not depend on how late the poller looked
        end_ns = marks[0].at_ns + round(begin.elapsed_time(end) * 1e6)
        return min(end_ns, now_ns), round(copy_ms * 1e6)

    def empty_cache(self) -> None:
        torch.cuda.empty_cache()

    def _host(self, i: int, tensors: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """The rows of one input, in memory that the device can copy from on its own."""
        first = tensors[0]
        if len(tensors) == 1 and (first.device.type != "cpu" or first.is_pinned()):
            return first
        rows = sum(t.shape[0] for t in tensors) if len(tensors) > 1 else 0
        shape = (rows, *first.shape[1:]) if len(tensors) > 1 else first.shape
        view = self._room(i, sum(t.numel() for t in tensors) * first.element_size())
        view = view.view(first.dtype).view(shape)
        if len(tensors) > 1:
            return torch.cat(tensors, out=view)
        return view.copy_(first)

    def _room(self, i: int, n_bytes: int) -> torch.Tensor:
        """The first bytes of the i-th staging buffer."""
        while len(self._staging) <= i:
            self._staging.append(_pinned((_STAGING_BYTES,), torch.uint8))
        if self._staging[i].numel() < n_bytes:
            self._staging[i] = _pinned((1 << (n_bytes - 1).bit_length(),), torch.uint8)
        return self._staging[i][:n_bytes]

    def _to_host(self, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.device.type == "cpu":
            return tensor
        if tensor.layout is not torch.strided:
            return tensor.cpu()
        return _pinned(tensor.shape, tensor.dtype).copy_(tensor, non_blocking=True)


def _pinned(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, pin_memory=True)
