"""One suite for both kinds of worker; then what only a process can do."""

import inspect
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tailwise.adapters.torch import Outcome, Process, Thread, Worker
from tailwise.errors import ConfigError, UnknownName, WorkerError


class Double(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


class Nested(torch.nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> dict[str, Any]:
        return {"sum": x + y, "pair": (x, [y, 3]), "name": "nested", "none": None}


class Raises(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise LookupError("not today")


class RaisesUnpicklable(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        class LocalError(Exception):
            pass

        raise LocalError("local")


class Exits(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise SystemExit("enough")


class Capability(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[str, int]:
        return torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()


class Until(torch.nn.Module):
    """Runs until the file that its input spells exists."""

    def forward(self, path: torch.Tensor) -> torch.Tensor:
        name = bytes(path.tolist()).decode()
        while not Path(name).exists():
            torch.ones(100).sum()
        return path


MODELS = ("Double", "Nested", "Raises", "RaisesUnpicklable", "Exits", "Capability", "Until")


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A module with the models above that a fresh interpreter can import."""
    folder = tmp_path_factory.mktemp("models")
    classes = "\n\n".join(inspect.getsource(globals()[name]) for name in MODELS)
    header = "import torch\nfrom pathlib import Path\nfrom typing import Any\n\n"
    (folder / "worker_models.py").write_text(header + classes)
    sys.path.append(str(folder))
    yield "worker_models"
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def sources(module: str) -> dict[str, str]:
    return {name: f"{module}:{name}" for name in MODELS}


@pytest.fixture(scope="module", params=[Thread(slots=2), Process(slots=2)], ids=["thread", "process"])
def worker(request: pytest.FixtureRequest, sources: dict[str, str]) -> Iterator[Worker]:
    worker = request.param.build("w")
    worker.start(sources)
    yield worker
    worker.close()


def run(worker: Worker, model: str, *inputs: torch.Tensor) -> Outcome:
    outcomes: list[Outcome] = []
    finished = threading.Event()

    def done(outcome: Outcome) -> None:
        outcomes.append(outcome)
        finished.set()

    worker.submit(model, inputs, done)
    assert finished.wait(60)
    return outcomes[0]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s
        threading.Event().wait(0.001)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(6.0).reshape(2, 3),
        torch.arange(12.0).reshape(3, 4).t(),
        torch.arange(4, dtype=torch.int64),
        torch.ones(2, 2, dtype=torch.bfloat16),
        torch.zeros(0, 5),
        torch.tensor(3.0),
    ],
    ids=["float", "transposed", "int64", "bfloat16", "empty", "scalar"],
)
def test_the_result_is_what_a_direct_call_gives(worker: Worker, tensor: torch.Tensor) -> None:
    outcome = run(worker, "Double", tensor)
    assert outcome.error is None
    assert outcome.value.dtype == tensor.dtype
    assert torch.equal(outcome.value, tensor * 2)


def test_nested_results_keep_their_shape(worker: Worker) -> None:
    x, y = torch.ones(2), torch.zeros(3, 2)
    value = run(worker, "Nested", x, y).value
    assert torch.equal(value["sum"], x + y)
    assert torch.equal(value["pair"][0], x)
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


def test_service_lies_within_the_callers_interval(worker: Worker) -> None:
    before_ns = time.monotonic_ns()
    outcome = run(worker, "Double", torch.ones(1))
    assert before_ns <= outcome.start_ns <= outcome.end_ns <= time.monotonic_ns()


def test_an_unknown_model_is_refused_and_takes_no_slot(worker: Worker) -> None:
    for _ in range(worker.slots + 1):
        with pytest.raises(UnknownName, match="Double"):
            worker.submit("other", (torch.ones(1),), lambda _: None)
    assert run(worker, "Double", torch.ones(1)).error is None


def test_more_jobs_than_slots_are_refused_and_each_job_ends_once(worker: Worker, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    path = torch.tensor(list(str(gate).encode()), dtype=torch.uint8)
    ends: list[Outcome] = []
    for _ in range(worker.slots):
        worker.submit("Until", (path,), ends.append)
    with pytest.raises(WorkerError, match="slots"):
        worker.submit("Double", (path,), ends.append)
    gate.touch()
    wait_until(lambda: len(ends) == worker.slots)
    assert run(worker, "Double", torch.ones(1)).error is None
    assert len(ends) == worker.slots


@pytest.mark.parametrize("spec", [Thread(), Process()], ids=["thread", "process"])
def test_a_model_that_cannot_be_loaded_is_named(spec: Thread | Process) -> None:
    worker = spec.build("w")
    with pytest.raises(ConfigError, match=r"'broken'.*no_such_module"):
        worker.start({"broken": "no_such_module:x"})
    assert not worker.alive
    with pytest.raises(WorkerError):
        worker.submit("broken", (), lambda _: None)


@pytest.mark.parametrize("spec", [Thread(), Process()], ids=["thread", "process"])
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


@pytest.mark.parametrize("spec", [Thread(), Process()], ids=["thread", "process"])
def test_a_killed_worker_ends_its_jobs_and_can_be_started_again(
    spec: Thread | Process, sources: dict[str, str], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    path = torch.tensor(list(str(gate).encode()), dtype=torch.uint8)
    worker = spec.build("w")
    worker.start(sources)
    ends: list[Outcome] = []
    worker.submit("Until", (path,), ends.append)
    worker.kill()
    wait_until(lambda: len(ends) == 1)
    assert isinstance(ends[0].error, WorkerError)
    assert not worker.alive
    worker.start(sources)
    gate.touch()
    assert run(worker, "Double", torch.ones(1)).error is None
    worker.close()
    assert len(ends) == 1


class TestProcess:
    """What a thread cannot do."""

    def test_its_environment_is_in_place_before_torch_loads(self, sources: dict[str, str]) -> None:
        worker = Process(threads=1, env={"ATEN_CPU_CAPABILITY": "default"}).build("old")
        worker.start(sources)
        assert run(worker, "Capability", torch.ones(1)).value == ("DEFAULT", 1)
        worker.close()

    def test_a_process_that_dies_says_by_which_signal(self, sources: dict[str, str], tmp_path: Path) -> None:
        worker = Process().build("w")
        worker.start(sources)
        path = torch.tensor(list(str(tmp_path / "never").encode()), dtype=torch.uint8)
        ends: list[Outcome] = []
        worker.submit("Until", (path,), ends.append)
        os.kill(worker.pid, signal.SIGKILL)  # type: ignore[attr-defined]
        wait_until(lambda: len(ends) == 1)
        assert "SIGKILL" in str(ends[0].error)
        assert not worker.alive
        worker.close()

    def test_an_exception_that_cannot_travel_arrives_as_worker_error_with_its_traceback(
        self, sources: dict[str, str]
    ) -> None:
        worker = Process().build("w")
        worker.start(sources)
        error = run(worker, "RaisesUnpicklable", torch.ones(1)).error
        worker.close()
        assert isinstance(error, WorkerError)
        assert "LocalError: local" in str(error)
        assert "in forward" in "".join(error.__notes__)

    def test_inputs_that_cannot_be_handed_over_raise_and_take_no_slot(self, sources: dict[str, str]) -> None:
        worker = Process().build("w")
        worker.start(sources)
        ends: list[Outcome] = []
        for _ in range(3):
            with pytest.raises(Exception, match=r"[Ss]parse"):
                worker.submit("Double", (torch.ones(2).to_sparse(),), ends.append)
        assert run(worker, "Double", torch.ones(1)).error is None
        worker.close()
        assert ends == []

    def test_a_lambda_is_refused_with_what_to_do(self) -> None:
        with pytest.raises(ConfigError, match="module:factory"):
            Process().build("w").start({"f": lambda x: x})

    def test_file_descriptors_do_not_leak(self, sources: dict[str, str]) -> None:
        worker = Process().build("w")
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            worker.start(sources)
            run(worker, "Double", torch.ones(1))
            worker.close()
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_results_come_back_on_the_host_with_event_times(sources: dict[str, str]) -> None:
    worker = Thread("cuda:0", slots=2).build("gpu")
    worker.start(sources)
    before_ns = time.monotonic_ns()
    outcome = run(worker, "Double", torch.ones(1000))
    worker.close()
    assert outcome.value.device.type == "cpu"
    assert torch.equal(outcome.value, torch.full((1000,), 2.0))
    # event times have a resolution of about half a microsecond
    assert before_ns - 1000 <= outcome.start_ns <= outcome.end_ns <= time.monotonic_ns() + 1000
