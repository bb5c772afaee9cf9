"""What fails, and who pays for it: one suite for both kinds of worker."""

import logging
import threading
from pathlib import Path

import pytest
import torch

from tailwise.adapters.torch import Outcome, Process, Thread, Worker
from tailwise.errors import WorkerError
from tests.adapters.torch.jobs import run, run_batch, spelled, wait_until
from tests.adapters.torch.worker_models import SOURCES
from tests.adapters.torch.workers import both_kinds


def rows(*values: float) -> list[tuple[torch.Tensor]]:
    """One member of one row each."""
    return [(torch.full((1, 2), float(value)),) for value in values]


@pytest.mark.parametrize("model", ["Small", "SaysOutOfMemory"])
def test_a_batch_that_does_not_fit_is_halved_until_it_does(worker: Worker, model: str) -> None:
    """Of 5 rows 2 fit: 5, 2, 3, 1, 2 are tried."""
    outcome = run_batch(worker, model, rows(1, 2, 3, 4, 5))
    assert outcome.out_of_memory
    assert outcome.n_calls == 5
    assert not outcome.worker_died
    for value, result in zip((1, 2, 3, 4, 5), outcome.results, strict=True):
        assert torch.equal(result.value, torch.full((1, 2), 2.0 * value))


def test_a_member_that_does_not_fit_alone_fails_alone(worker: Worker) -> None:
    big = (torch.ones(3, 2),)
    outcome = run_batch(worker, "Small", [*rows(1, 2), big, *rows(3)])
    assert [type(result.error) for result in outcome.results] == [
        type(None),
        type(None),
        torch.OutOfMemoryError,
        type(None),
    ]
    alone = run_batch(worker, "Small", [big])
    assert isinstance(alone.results[0].error, torch.OutOfMemoryError)
    assert alone.out_of_memory
    assert alone.n_calls == 1
    assert worker.alive
    assert run_batch(worker, "Small", rows(1, 2)).results[0].error is None


@pytest.mark.parametrize("culprit", range(8))
def test_only_the_member_that_raises_fails(worker: Worker, culprit: int) -> None:
    """Of 8 members: one call, then two for each of three halvings."""
    values = [13.0 if i == culprit else float(i) for i in range(8)]
    outcome = run_batch(worker, "Rows", rows(*values))
    assert outcome.n_calls == 7
    assert not outcome.out_of_memory
    for i, result in enumerate(outcome.results):
        if i == culprit:
            assert isinstance(result.error, LookupError)
        else:
            assert torch.equal(result.value, torch.full((1, 2), 2.0 * i))


def test_an_error_that_cannot_be_printed_fails_its_job_alone(worker: Worker) -> None:
    for _ in range(worker.slots + 1):
        assert isinstance(run(worker, "RaisesUnprintable", torch.ones(1)).error, RuntimeError)
    assert run(worker, "Double", torch.ones(1)).error is None


def test_an_output_of_another_size_is_named_and_costs_one_call(worker: Worker) -> None:
    outcome = run_batch(worker, "Mixes", rows(1, 2, 3))
    assert outcome.n_calls == 1
    for result in outcome.results:
        assert isinstance(result.error, WorkerError)
        assert "'Mixes'" in str(result.error)
        assert "(1, 2)" in str(result.error)
        assert "(3, ...)" in str(result.error)
    assert run(worker, "Double", torch.ones(1)).error is None


def test_a_batch_that_hangs_is_given_up_at_once(
    mortal: Worker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mortal.start({name: SOURCES[name] for name in ("Until", "Double")})
    ends: list[Outcome] = []
    given_up = TimeoutError("too long")
    with caplog.at_level(logging.WARNING):
        handle = mortal.submit("Until", [(spelled(tmp_path / "gate"),)] * 2, ends.append)
        wait_until((tmp_path / "gate.running").exists)
        handle.give_up(given_up)
        handle.give_up(LookupError("again"))
    assert [result.error for result in ends[0].results] == [given_up] * 2
    if ends[0].worker_died:  # a process: it takes no more until it is started again
        assert not mortal.alive
        mortal.start({"Double": SOURCES["Double"]})
    else:
        assert "given up" in caplog.text
    assert run(mortal, "Double", torch.ones(1)).error is None
    (tmp_path / "gate").touch()
    assert run(mortal, "Double", torch.ones(1)).error is None
    assert len(ends) == 1


@both_kinds
def test_giving_up_kills_a_process_and_spares_the_other_slots_of_a_thread(
    spec: Thread | Process, tmp_path: Path
) -> None:
    worker = type(spec)(spec.device, slots=2).build("two")
    worker.start({"Until": SOURCES["Until"]})
    first, second = [], []  # type: ignore[var-annotated]
    worker.submit("Until", [(spelled(tmp_path / "other"),)], first.append)
    handle = worker.submit("Until", [(spelled(tmp_path / "gate"),)], second.append)
    wait_until((tmp_path / "gate.running").exists)
    handle.give_up(TimeoutError("too long"))
    assert len(second) == 1
    (tmp_path / "other").touch()
    wait_until(lambda: len(first) == 1)
    died = isinstance(spec, Process)
    assert (first[0].worker_died, second[0].worker_died) == (died, died)
    assert (first[0].results[0].error is not None) == died
    assert worker.alive != died
    (tmp_path / "gate").touch()
    worker.close()


def test_outputs_after_giving_up_are_dropped(mortal: Worker, tmp_path: Path) -> None:
    mortal.start({"YieldsUntil": SOURCES["YieldsUntil"]})
    ends: list[Outcome] = []
    outputs: list[torch.Tensor] = []
    batch = [(spelled(tmp_path / "gate"),)]
    handle = mortal.submit("YieldsUntil", batch, ends.append, on_output=lambda v, _: outputs.append(v))
    wait_until((tmp_path / "gate.running").exists)
    wait_until(lambda: len(outputs) == 1)
    threads = of(mortal)
    handle.give_up(TimeoutError("too long"))
    (tmp_path / "gate").touch()
    mortal.close()
    wait_until(lambda: not any(t.is_alive() for t in threads))
    assert len(outputs) == len(ends) == 1


def of(worker: Worker) -> set[threading.Thread]:
    return {t for t in threading.enumerate() if t.name.startswith(f"tailwise-{worker.name}")}


def test_outputs_without_end_stop_when_they_are_given_up(mortal: Worker) -> None:
    mortal.start({"Endless": SOURCES["Endless"]})
    ends: list[Outcome] = []
    came = threading.Event()
    handle = mortal.submit("Endless", [(torch.ones(1),)], ends.append, on_output=lambda *_: came.set())
    assert came.wait(60)
    threads = of(mortal)
    handle.give_up(TimeoutError("enough"))
    mortal.close()
    wait_until(lambda: not any(thread.is_alive() for thread in threads))
    assert len(ends) == 1


def test_what_was_given_up_does_not_end_the_job_that_has_its_slot_now(mortal: Worker, tmp_path: Path) -> None:
    mortal.start({"Until": SOURCES["Until"]})
    old: list[Outcome] = []
    new: list[Outcome] = []
    handle = mortal.submit("Until", [(spelled(tmp_path / "old"),)], old.append)
    wait_until((tmp_path / "old.running").exists)
    threads = of(mortal)
    handle.give_up(TimeoutError("too long"))
    if old[0].worker_died:
        mortal.start({"Until": SOURCES["Until"]})
    path = spelled(tmp_path / "new")
    mortal.submit("Until", [(path,)], new.append)
    (tmp_path / "old").touch()
    wait_until(lambda: not any(thread.is_alive() for thread in threads))
    assert not new
    with pytest.raises(WorkerError, match="slots"):
        mortal.submit("Until", [(path,)], new.append)
    (tmp_path / "new").touch()
    wait_until(lambda: len(new) == 1)
    assert torch.equal(new[0].results[0].value, path)
    assert len(old) == 1


def test_giving_up_a_batch_that_has_ended_does_nothing(worker: Worker) -> None:
    ends: list[Outcome] = []
    handle = worker.submit("Double", [(torch.ones(1),)], ends.append)
    wait_until(lambda: len(ends) == 1)
    handle.give_up(TimeoutError("too late"))
    assert run(worker, "Double", torch.ones(1)).error is None
    assert len(ends) == 1
    assert worker.alive


def test_a_lost_device_takes_the_worker_with_it(mortal: Worker) -> None:
    sources = {name: SOURCES[name] for name in ("LosesTheDevice", "Double")}
    mortal.start(sources)
    outcome = run_batch(mortal, "LosesTheDevice", rows(1, 2, 3))
    assert outcome.worker_died
    assert outcome.n_calls == 1
    assert all("device-side assert" in str(result.error) for result in outcome.results)
    assert not mortal.alive
    with pytest.raises(WorkerError, match="lost"):
        mortal.submit("Double", rows(1), lambda _: None)
    mortal.start(sources)
    assert run(mortal, "Double", torch.ones(1)).error is None


@both_kinds
def test_no_thread_is_left_after_close(spec: Thread | Process) -> None:
    before = set(threading.enumerate())
    worker = type(spec)(spec.device, slots=3).build("ends")
    worker.start({"Double": SOURCES["Double"]})
    assert run(worker, "Double", torch.ones(1)).error is None
    assert any(thread.name.startswith("tailwise-ends") for thread in threading.enumerate())
    worker.close()
    assert set(threading.enumerate()) <= before
