"""The way to a CUDA device where there is none: streams, events and pinned memory are imitated, all else is real."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tailwise.adapters.torch import Outcome, Thread, Worker, cuda, thread_worker
from tailwise.errors import WorkerError
from tests.adapters.torch.jobs import run_batch, wait_until
from tests.adapters.torch.worker_models import SOURCES

X = torch.arange(6.0).reshape(2, 3)


class Event:
    """Passed when its device is; recorded a millisecond after the one before."""

    device: Device

    def __init__(self, enable_timing: bool = False) -> None:
        self.at_ms = 0.0

    def record(self, stream: Stream) -> None:
        assert Current.streams.stream is stream
        self.device.recorded.append(self)
        self.at_ms = float(len(self.device.recorded))

    def query(self) -> bool:
        self.device.looks.append(threading.current_thread().name)
        if self.device.error is not None:
            raise self.device.error
        return self.device.passed.is_set()

    def elapsed_time(self, other: Event) -> float:
        return other.at_ms - self.at_ms

    def synchronize(self) -> None:
        raise AssertionError("nobody waits inside CUDA")


class Stream:
    def __init__(self, device: torch.device) -> None:
        self.device = device

    synchronize = Event.synchronize


class Current:
    """`torch.cuda.stream`."""

    streams = threading.local()

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        self.streams.stream = self.stream

    def __exit__(self, *_: Any) -> None:
        self.streams.stream = None


class Device:
    """What the imitation is steered by."""

    def __init__(self) -> None:
        self.passed = threading.Event()
        self.error: Exception | None = None
        self.recorded: list[Event] = []
        self.looks: list[str] = []


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    device = Device()
    monkeypatch.setattr(Event, "device", device, raising=False)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "stream", Current)
    monkeypatch.setattr(cuda, "_pinned", lambda shape, dtype: torch.empty(shape, dtype=dtype))
    monkeypatch.setattr(thread_worker, "open_device", lambda name: cuda.Cuda(torch.device(name)))
    return device


@pytest.fixture
def worker(device: Device) -> Iterator[Worker]:
    worker = Thread().build("gpu")
    worker.start(SOURCES)
    yield worker
    worker.close(0.1)


def test_a_batch_ends_with_its_last_event_and_is_timed_by_four(worker: Worker, device: Device) -> None:
    """Begin, staging free again, inputs there, model done, outputs back: recorded a millisecond apart."""
    ends: list[Outcome] = []
    worker.submit("Double", [(X,), (X + 1,)], ends.append)
    wait_until(lambda: len(device.recorded) == 5 and len(device.looks) > 3)
    assert not ends
    device.passed.set()
    wait_until(lambda: len(ends) == 1)
    assert torch.equal(ends[0].results[1].value, (X + 1) * 2)
    assert ends[0].copy_ns == 3_000_000
    assert ends[0].end_ns - ends[0].start_ns > 0


def test_one_thread_looks_at_the_events_of_all_slots(device: Device) -> None:
    worker = Thread(slots=3).build("gpu")
    worker.start(SOURCES)
    ends: list[Outcome] = []
    for _ in range(3):
        worker.submit("Double", [(X,)], ends.append)
    wait_until(lambda: len(device.recorded) == 15)
    wait_until(lambda: len(device.looks) > 60)
    assert len(set(device.looks[-15:])) == 1
    device.passed.set()
    wait_until(lambda: len(ends) == 3)
    worker.close()
    assert not any(
        thread.name.startswith(("tailwise-gpu", "tailwise-poll")) for thread in threading.enumerate()
    )


def test_staging_memory_is_not_written_while_it_is_copied(worker: Worker, device: Device) -> None:
    """A call that raises leaves its copies under way: its halves wait for them."""
    ends: list[Outcome] = []
    worker.submit("Raises", [(X,), (X,)], ends.append)
    wait_until(lambda: len(device.recorded) >= 4 and len(device.looks) > 3)
    assert len(device.recorded) == 4  # begin, staging free, inputs there; and the begin of the first half
    device.passed.set()
    wait_until(lambda: len(ends) == 1)
    assert ends[0].n_calls == 3


@pytest.mark.parametrize("n_bytes", [8, 1 << 16, (1 << 16) + 8, 3_000_000])
def test_staging_memory_holds_any_size(worker: Worker, device: Device, n_bytes: int) -> None:
    device.passed.set()
    x = torch.arange(n_bytes // 8, dtype=torch.float64)
    outcome = run_batch(worker, "Double", [(x,), (x[:1],)])
    assert torch.equal(outcome.results[0].value, x * 2)
    assert torch.equal(outcome.results[1].value, x[:1] * 2)


def test_an_error_of_the_device_reaches_the_job_and_ends_the_worker(worker: Worker, device: Device) -> None:
    ends: list[Outcome] = []
    worker.submit("Double", [(X,)], ends.append)
    wait_until(lambda: len(device.looks) > 3)
    device.error = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
    wait_until(lambda: len(ends) == 1)
    assert ends[0].results[0].error is device.error
    assert ends[0].worker_died
    assert not worker.alive


def test_who_waits_for_a_device_that_never_ends_is_let_go(worker: Worker, device: Device) -> None:
    ends: list[Outcome] = []
    worker.submit("Double", [(X,)], ends.append)
    wait_until(lambda: len(device.looks) > 3)
    runner = next(t for t in threading.enumerate() if t.name.startswith("tailwise-gpu"))
    worker.close(0.01)
    assert isinstance(ends[0].results[0].error, WorkerError)
    runner.join(60)
    assert not runner.is_alive()
