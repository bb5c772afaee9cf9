"""What only a worker in its own process can do, and how its process ends."""

import os
import signal
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tailwise.adapters.torch import Outcome, Process, Worker
from tailwise.errors import ConfigError, WorkerError
from tests.adapters.torch.jobs import run, spelled, wait_until
from tests.adapters.torch.worker_models import SOURCES

#: Starts a worker whose job hangs, and dies: at once, or at the moment in which `close` waits for that job.
PARENT = """
import os, pathlib, signal, subprocess, sys
from tailwise.adapters.torch import Process
from tests.adapters.torch.jobs import spelled, wait_until
from tests.adapters.torch.worker_models import SOURCES

gate, moment = pathlib.Path(sys.argv[1]), sys.argv[2]
worker = Process().build("w")
worker.start(SOURCES)
worker.submit("Until", [(spelled(gate),)], print)
wait_until(pathlib.Path(f"{gate}.running").exists)
print(worker.pid, flush=True)
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if moment == "closing":
    subprocess.Popen.wait = die
    worker.close()
die()
"""


@pytest.fixture(scope="module")
def old() -> Iterator[Worker]:
    """A worker with the instruction set of an old CPU, and a variable of its own."""
    worker = Process(threads=1, env={"ATEN_CPU_CAPABILITY": "default", "ONLY_THERE": "1"}).build("old")
    worker.start(SOURCES)
    yield worker
    worker.close()


def test_its_environment_is_in_place_before_torch_loads(old: Worker) -> None:
    assert run(old, "Capability", torch.ones(1)).value == ("DEFAULT", 1)


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ("RaisesUnpicklable", "LocalError: local"),
        ("RaisesUnprintable", "UnprintableError"),
        ("RaisesOnlyThere", "OnlyThereError: there"),
    ],
)
def test_an_exception_that_cannot_travel_arrives_as_worker_error_with_its_traceback(
    old: Worker, model: str, line: str
) -> None:
    error = run(old, model, torch.ones(1)).error
    assert isinstance(error, WorkerError)
    assert line in str(error)
    assert "in forward" in "".join(error.__notes__)
    assert run(old, "Double", torch.ones(1)).error is None


def test_an_exception_that_travels_brings_its_traceback_as_a_note(old: Worker) -> None:
    error = run(old, "Raises", torch.ones(1)).error
    assert isinstance(error, LookupError)
    assert "in forward" in "".join(error.__notes__)


def test_inputs_that_cannot_be_handed_over_raise_and_take_no_slot(old: Worker) -> None:
    ends: list[Outcome] = []
    for _ in range(old.slots + 1):
        with pytest.raises(Exception, match=r"[Ss]parse"):
            old.submit("Double", [(torch.ones(2).to_sparse(),)], ends.append)
    assert run(old, "Double", torch.ones(1)).error is None
    assert ends == []


def test_a_process_that_dies_says_by_which_signal(tmp_path: Path) -> None:
    worker = Process().build("w")
    worker.start(SOURCES)
    ends: list[Outcome] = []
    worker.submit("Until", [(spelled(tmp_path / "never"),)], ends.append)
    os.kill(worker.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    wait_until(lambda: len(ends) == 1)
    assert "SIGKILL" in str(ends[0].results[0].error)
    assert not worker.alive
    worker.close()


@pytest.mark.parametrize("moment", ["serving", "closing"])
def test_a_hung_process_ends_with_its_parent(moment: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path / "gate"), moment]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
    assert parent.returncode == -signal.SIGKILL
    try:
        wait_until(lambda: not is_running(pid))
    finally:
        (tmp_path / "gate").touch()  # whatever happens, nothing runs on


def is_running(pid: int) -> bool:
    """False for a zombie, too: it waits for whoever adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_lambda_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match="module:factory"):
        Process().build("w").start({"f": lambda x: x})


def test_a_part_that_only_this_process_can_import_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A notebook's block inside a torch.nn.Sequential: it is pickled here and missed there."""
    block = type("Block", (torch.nn.Identity,), {"__module__": "only_here"})
    only_here = types.ModuleType("only_here")
    only_here.Block = block  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "only_here", only_here)
    worker = Process().build("w")
    with pytest.raises(ConfigError, match=r"'net'.*only_here.*module:factory"):
        worker.start({"net": torch.nn.Sequential(block())})
    assert not worker.alive


def test_file_descriptors_do_not_leak() -> None:
    worker = Process().build("w")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        worker.start(SOURCES)
        run(worker, "Double", torch.ones(1))
        worker.close()
    assert len(os.listdir("/proc/self/fd")) == before
