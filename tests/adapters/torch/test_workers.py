"""One suite for both kinds of worker: whatever a thread does, a process does too."""

import dataclasses
import threading
import time
from pathlib import Path

import pytest
import torch

from tailwise.adapters.torch import Outcome, Process, Thread, Worker
from tailwise.errors import ConfigError, UnknownName, WorkerError
from tests.adapters.torch.jobs import run, run_batch, spelled, wait_until
from tests.adapters.torch.worker_models import SOURCES
from tests.adapters.torch.workers import both_kinds


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(6.0).reshape(2, 3),
        torch.arange(12.0).reshape(3, 4).t(),
        torch.arange(4, dtype=torch.int64),
        torch.tensor([True, False]),
        torch.ones(2, 2, dtype=torch.bfloat16),
        torch.zeros(0, 5),
        torch.tensor(3.0),
    ],
    ids=["float", "transposed", "int64", "bool", "bfloat16", "empty", "scalar"],
)
def test_the_result_is_what_a_direct_call_gives(worker: Worker, tensor: torch.Tensor) -> None:
    doubled, nested = run(worker, "Double", tensor), run(worker, "Nested", tensor, tensor)
    assert doubled.error is None
    for value, expected in [(doubled.value, tensor * 2), (nested.value["pair"][0], tensor)]:
        assert value.dtype == expected.dtype
        assert torch.equal(value, expected)


def test_nested_results_keep_their_shape(worker: Worker) -> None:
    x, y = torch.ones(2), torch.zeros(3, 2)
    value = run(worker, "Nested", x, y).value
    assert torch.equal(value["sum"], x + y)
    assert torch.equal(value["pair"][0], x)
    assert torch.equal(value["pair"][1][0], y)
    assert value["pair"][1][1] == 3
    assert (value["name"], value["none"]) == ("nested", None)


def test_a_result_outlives_the_jobs_after_it(worker: Worker) -> None:
    first = run(worker, "Double", torch.full((1000,), 1.0)).value
    for k in range(4):
        run(worker, "Double", torch.full((1000,), float(k)))
    assert torch.equal(first, torch.full((1000,), 2.0))


def test_a_big_tensor_finds_room(worker: Worker) -> None:
    tensor = torch.rand(3_000_000)
    assert torch.equal(run(worker, "Double", tensor).value, tensor * 2)


def test_a_model_that_raises_hands_its_exception_back_and_the_worker_lives_on(worker: Worker) -> None:
    outcome = run(worker, "Raises", torch.ones(1))
    assert outcome.value is None
    assert isinstance(outcome.error, LookupError)
    assert worker.alive
    assert run(worker, "Double", torch.ones(1)).error is None


def test_a_model_that_exits_fails_its_job_and_the_worker_lives_on(worker: Worker) -> None:
    for _ in range(worker.slots + 1):
        outcome = run(worker, "Exits", torch.ones(1))
        assert isinstance(outcome.error, WorkerError)
        assert "SystemExit" in str(outcome.error)
    assert run(worker, "Double", torch.ones(1)).error is None


def test_a_callback_that_raises_is_logged_and_the_worker_lives_on(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(outcome: Outcome) -> None:
        raise LookupError("a broken callback")

    for k in range(1, worker.slots + 2):
        worker.submit("Double", [(torch.ones(1),)], broken)
        wait_until(lambda k=k: caplog.text.count("LookupError: a broken callback") == k)
    assert run(worker, "Double", torch.ones(1)).error is None


def test_service_lies_within_the_callers_interval(worker: Worker) -> None:
    before_ns = time.monotonic_ns()
    outcome = run_batch(worker, "Double", [(torch.ones(1),)])
    assert before_ns <= outcome.start_ns <= outcome.end_ns <= time.monotonic_ns()


def test_an_unknown_model_is_refused_and_takes_no_slot(worker: Worker) -> None:
    for _ in range(worker.slots + 1):
        with pytest.raises(UnknownName, match="Double"):
            worker.submit("other", [(torch.ones(1),)], lambda _: None)
    assert run(worker, "Double", torch.ones(1)).error is None


def test_a_running_worker_is_not_started_twice(worker: Worker) -> None:
    with pytest.raises(WorkerError, match="close it"):
        worker.start(SOURCES)
    assert run(worker, "Double", torch.ones(1)).error is None


def test_more_jobs_than_slots_are_refused_and_each_job_ends_once(worker: Worker, tmp_path: Path) -> None:
    path = spelled(tmp_path / "gate")
    ends: list[Outcome] = []
    for _ in range(worker.slots):
        worker.submit("Until", [(path,)], ends.append)
    with pytest.raises(WorkerError, match="slots"):
        worker.submit("Double", [(path,)], ends.append)
    (tmp_path / "gate").touch()
    wait_until(lambda: len(ends) == worker.slots)
    assert run(worker, "Double", torch.ones(1)).error is None
    assert len(ends) == worker.slots


@both_kinds
def test_a_model_that_cannot_be_loaded_is_named(spec: Thread | Process) -> None:
    worker = spec.build("w")
    with pytest.raises(ConfigError, match=r"'broken'.*no_such_module"):
        worker.start({"broken": "no_such_module:x"})
    assert not worker.alive
    with pytest.raises(WorkerError):
        worker.submit("broken", [()], lambda _: None)


@both_kinds
def test_a_module_object_and_a_torchscript_file_are_models_too(
    spec: Thread | Process, tmp_path: Path
) -> None:
    linear = torch.nn.Linear(3, 2)
    torch.jit.script(linear).save(tmp_path / "linear.pt")
    worker = spec.build("w")
    worker.start({"object": linear, "file": tmp_path / "linear.pt"})
    x = torch.ones(1, 3)
    try:
        for name in ("object", "file"):
            torch.testing.assert_close(run(worker, name, x).value, linear(x))
    finally:
        worker.close()
        worker.close()


@both_kinds
def test_a_killed_worker_ends_its_jobs_and_can_be_started_again(
    spec: Thread | Process, tmp_path: Path
) -> None:
    worker = spec.build("w")
    worker.start(SOURCES)
    ends: list[Outcome] = []
    worker.submit("Until", [(spelled(tmp_path / "gate"),)], ends.append)
    wait_until((tmp_path / "gate.running").exists)
    worker.kill()
    assert len(ends) == 1
    assert isinstance(ends[0].results[0].error, WorkerError)
    assert ends[0].worker_died
    assert not worker.alive
    worker.start(SOURCES)
    (tmp_path / "gate").touch()
    assert run(worker, "Double", torch.ones(1)).error is None
    worker.close()
    assert len(ends) == 1


@both_kinds
def test_a_callback_may_kill_its_worker_and_the_other_jobs_end(
    spec: Thread | Process, tmp_path: Path
) -> None:
    worker = dataclasses.replace(spec, slots=2).build("w")
    worker.start(SOURCES)
    ends: list[Outcome] = []
    worker.submit("Until", [(spelled(tmp_path / "gate"),)], ends.append)
    killed = threading.Event()

    def kill(outcome: Outcome) -> None:
        worker.kill()
        killed.set()

    worker.submit("Double", [(torch.ones(1),)], kill)
    wait_until(lambda: len(ends) == 1 and killed.is_set())
    (tmp_path / "gate").touch()
    assert isinstance(ends[0].results[0].error, WorkerError)
    assert not worker.alive
    worker.close()


@both_kinds
def test_closing_kills_a_job_that_outlasts_the_timeout(spec: Thread | Process, tmp_path: Path) -> None:
    worker = spec.build("w")
    worker.start(SOURCES)
    ends: list[Outcome] = []
    worker.submit("Until", [(spelled(tmp_path / "gate"),)], ends.append)
    wait_until((tmp_path / "gate.running").exists)
    worker.close(timeout_s=0.01)
    (tmp_path / "gate").touch()
    assert isinstance(ends[0].results[0].error, WorkerError)
    assert not worker.alive


def test_a_thread_is_refused_for_a_device_whose_work_it_cannot_time() -> None:
    with pytest.raises(ConfigError, match="cpu or cuda"):
        Thread("meta")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_device_is_named_when_the_worker_starts() -> None:
    worker = Thread("cuda:0").build("gpu")
    with pytest.raises(WorkerError, match=r"'gpu'.*'cuda:0'"):
        worker.start({"plain": len})
    assert not worker.alive


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_results_come_back_on_the_host_with_event_times() -> None:
    worker = Thread("cuda:0", slots=2).build("gpu")
    worker.start(SOURCES)
    before_ns = time.monotonic_ns()
    outcome = run_batch(worker, "Double", [(torch.ones(1000),)])
    worker.close()
    value = outcome.results[0].value
    assert value.device.type == "cpu"
    assert torch.equal(value, torch.full((1000,), 2.0))
    assert before_ns <= outcome.start_ns < outcome.end_ns <= time.monotonic_ns()
