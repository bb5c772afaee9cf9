"""Batches, outputs one by one, and models that come and go: one suite for both kinds of worker."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from tailwise.adapters.torch import Outcome, Worker
from tailwise.errors import ConfigError, InputError, UnknownName, WorkerError
from tests.adapters.torch.jobs import run, run_batch, spelled, wait_until
from tests.adapters.torch.worker_models import SOURCES, Pair

A, B = torch.arange(6.0).reshape(2, 3), torch.arange(10.0, 13.0).reshape(1, 3)


def test_members_are_joined_and_each_gets_its_rows(worker: Worker) -> None:
    outcome = run_batch(worker, "Double", [(A,), (B,), (torch.zeros(0, 3),)])
    values = [result.value for result in outcome.results]
    assert outcome.n_calls == 1
    for value, expected in zip(values, [A * 2, B * 2, torch.zeros(0, 3)], strict=True):
        assert torch.equal(value, expected)


def test_containers_keep_their_type_and_what_is_no_tensor_goes_to_all(worker: Worker) -> None:
    outcome = run_batch(worker, "Contains", [(A, A), (B, B + 1)])
    for result, x, y in zip(outcome.results, (A, B), (A, B + 1), strict=True):
        pair = result.value["pair"]
        assert type(pair) is Pair
        assert torch.equal(pair.whole, x + y)
        assert pair.label == "sum"
        first, (second, three) = result.value["list"]
        assert torch.equal(first, x)
        assert torch.equal(second, y)
        assert three == 3


def test_a_batch_of_one_needs_no_batch_dimension(worker: Worker) -> None:
    assert torch.equal(run(worker, "Double", torch.tensor(2.0)).value, torch.tensor(4.0))
    assert torch.equal(run(worker, "Mixes", A).value, A.sum(0, keepdim=True))


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ([], "no members"),
        ([(), ()], "no inputs"),
        ([(A,), (A, A)], "member 1"),
        ([(A,), (torch.ones(2, 4),)], r"float32\[2, 4\].*float32\[2, 3\]"),
        ([(A,), (A.double(),)], r"float64\[2, 3\]"),
        ([(torch.tensor(1.0),), (torch.tensor(2.0),)], "without dimensions"),
        ([(A, B), (A, B)], "different sizes"),
    ],
)
def test_members_that_cannot_be_joined_are_refused_and_take_no_slot(
    worker: Worker, batch: list[tuple[torch.Tensor, ...]], words: str
) -> None:
    ends: list[Outcome] = []
    for _ in range(worker.slots + 1):
        with pytest.raises(InputError, match=words):
            worker.submit("Double", batch, ends.append)
    assert run(worker, "Double", A).error is None
    assert ends == []


def test_the_outputs_of_a_generator_come_one_by_one(worker: Worker) -> None:
    outputs: list[tuple[Any, int]] = []
    outcome = run_batch(worker, "Counts", [(torch.tensor([3]),)], lambda *output: outputs.append(output))
    assert outcome.results[0].value == 3
    assert [int(value) for value, _ in outputs] == [3, 4, 5]
    assert outcome.start_ns <= outputs[0][1] <= outputs[1][1] <= outputs[2][1] <= outcome.end_ns


def test_an_output_is_there_before_the_next_is_computed(worker: Worker, tmp_path: Path) -> None:
    path, outputs = spelled(tmp_path / "gate"), []
    ends: list[Outcome] = []
    worker.submit("YieldsUntil", [(path,)], ends.append, on_output=lambda value, _: outputs.append(value))
    wait_until(lambda: len(outputs) == 1)
    assert not ends
    (tmp_path / "gate").touch()
    wait_until(lambda: len(ends) == 1)
    assert all(torch.equal(value, path) for value in outputs)
    assert len(outputs) == 2


def test_closing_lets_outputs_come_to_their_end(mortal: Worker, tmp_path: Path) -> None:
    mortal.start({"YieldsUntil": SOURCES["YieldsUntil"]})
    outputs: list[torch.Tensor] = []
    ends: list[Outcome] = []
    batch = [(spelled(tmp_path / "gate"),)]
    mortal.submit("YieldsUntil", batch, ends.append, on_output=lambda value, _: outputs.append(value))
    wait_until((tmp_path / "gate.running").exists)
    thread = threading.Thread(target=mortal.close, args=(60.0,))
    thread.start()
    wait_until(lambda: mortal.closed)
    (tmp_path / "gate").touch()
    thread.join(60)
    assert [result.value for result in ends[0].results] == [2]
    assert len(outputs) == 2


def test_without_a_taker_the_outputs_are_the_value(worker: Worker) -> None:
    assert run(worker, "Counts", torch.tensor([2])).value == [torch.tensor([2]), torch.tensor([3])]


def test_a_batch_that_yields_is_an_error_of_all_members_in_one_call(worker: Worker) -> None:
    outcome = run_batch(worker, "Counts", [(torch.tensor([1]),)] * 4)
    assert outcome.n_calls == 1
    assert all("submit each alone" in str(result.error) for result in outcome.results)


def test_a_taker_that_raises_is_logged_and_gets_the_next_output(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(value: torch.Tensor, now_ns: int) -> None:
        raise LookupError("a broken taker")

    assert run_batch(worker, "Counts", [(torch.tensor([2]),)], broken).results[0].value == 2
    assert caplog.text.count("LookupError: a broken taker") == 2


def test_a_model_comes_while_another_serves_and_goes_again(mortal: Worker, tmp_path: Path) -> None:
    mortal.start({"Until": SOURCES["Until"]})
    ends: list[Outcome] = []
    mortal.submit("Until", [(spelled(tmp_path / "gate"),)], ends.append)
    linear = torch.nn.Linear(3, 2)
    loaded = mortal.load("linear", linear)
    assert loaded.n_bytes >= 4 * (3 * 2 + 2)
    assert loaded.seconds > 0
    assert mortal.loaded["linear"] == loaded
    assert not ends
    (tmp_path / "gate").touch()
    wait_until(lambda: len(ends) == 1)
    torch.testing.assert_close(run(mortal, "linear", A).value.cpu(), linear(A), check_device=False)
    mortal.unload("linear")
    assert set(mortal.loaded) == {"Until"}
    with pytest.raises(UnknownName, match="linear"):
        mortal.submit("linear", [(A,)], ends.append)
    mortal.load("linear", SOURCES["Double"])
    assert torch.equal(run(mortal, "linear", A).value, A * 2)


def test_a_model_is_unloaded_after_its_jobs(mortal: Worker, tmp_path: Path) -> None:
    mortal.start({"Until": SOURCES["Until"]})
    ends: list[Outcome] = []
    mortal.submit("Until", [(spelled(tmp_path / "gate"),)], ends.append)
    wait_until((tmp_path / "gate.running").exists)
    thread = threading.Thread(target=mortal.unload, args=("Until",))
    thread.start()
    wait_until(lambda: "Until" not in mortal.loaded)
    assert thread.is_alive()
    (tmp_path / "gate").touch()
    thread.join(60)
    assert not thread.is_alive()
    wait_until(lambda: len(ends) == 1)
    assert ends[0].results[0].error is None


def test_loading_refuses_what_it_cannot_do_and_the_worker_serves_on(mortal: Worker) -> None:
    with pytest.raises(WorkerError, match="not started"):
        mortal.load("Double", SOURCES["Double"])
    mortal.start({"Double": SOURCES["Double"]})
    with pytest.raises(ConfigError, match="unload it"):
        mortal.load("Double", SOURCES["Double"])
    with pytest.raises(ConfigError, match=r"'other'.*no_such_module"):
        mortal.load("other", "no_such_module:x")
    with pytest.raises(UnknownName, match="other"):
        mortal.unload("other")
    assert run(mortal, "Double", A).error is None
