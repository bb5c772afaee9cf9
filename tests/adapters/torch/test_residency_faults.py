"""Loads that meet the end of a worker, of a resource or of the executor, and models that want the same room."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

import tailwise as tw
from tailwise.adapters.torch import Executor, Process, Thread
from tailwise.adapters.torch.residency import Residency
from tailwise.adapters.torch.thread_worker import ThreadWorker
from tailwise.errors import WorkerError
from tests.adapters.torch.jobs import wait_until

MEGABYTE = 1 << 20
X = torch.zeros(1, 512)


def layer() -> torch.nn.Module:
    """One megabyte."""
    return torch.nn.Linear(512, 512, bias=False)


def engine(*models: str, slots: int = 1, more: tuple[str, ...] = ()) -> tw.Engine:
    """There is room for one of them on "a"; the rest have room for all."""
    return tw.Engine(
        [tw.Resource("a", slots=slots, memory_bytes=MEGABYTE), *map(tw.Resource, more)],
        [tw.Model(name, memory_bytes=MEGABYTE) for name in models],
        [tw.QoS("q", 600.0)],
        seed=1,
    )


def state(executor: Executor, model: str) -> str:
    return next(m.state for m in executor.stats().resources[0].models if m.model == model)


def test_a_model_that_waits_for_room_is_not_overtaken_by_later_runs_of_one_that_is_there() -> None:
    """Runs of "a" overlap, so there never is a moment without one unless the new ones wait."""
    first, second = layer(), layer()
    e = engine("a", "b", slots=3)
    residency = Residency(e, [(e.resources[0], worker(first), True)], {"a": first, "b": second}, 1)
    residency.started(0)
    came: list[tuple[str, BaseException | None]] = []

    def use(model: str) -> bool:
        return residency.use(0, model, lambda error: came.append((model, error)))

    assert use("a")
    assert not use("b")
    wait_until(lambda: not thread_of(residency))
    assert not use("a")  # before: True, and so for ever
    residency.used(0, "a")
    wait_until(lambda: came == [("b", None)])
    residency.used(0, "b")
    wait_until(lambda: came == [("b", None), ("a", None)])
    assert residency.close(60.0)


def worker(model: torch.nn.Module) -> ThreadWorker:
    made = ThreadWorker("a", "cpu", 3)
    made.start({"a": model})
    return made


def thread_of(residency: Residency) -> object:
    return residency._memories[0].thread


def test_three_models_that_want_one_room_take_turns() -> None:
    e = engine("a", "b", "c", slots=3)
    models = {name: layer() for name in "abc"}
    with Executor(e, models, {"a": Thread(slots=3)}) as executor:
        jobs = [executor.submit(name, "q", X) for _ in range(20) for name in "abc"]
        for job in jobs:
            assert job.result(60).shape == (1, 512)


def blocked(executor: Executor, into: threading.Event, go: threading.Event) -> None:
    """The worker of lane 0 loads no model before it may."""
    worker: Any = executor.workers[0]
    load: Callable[..., Any] = worker.load

    def waits(name: str, source: Any) -> Any:
        into.set()
        assert go.wait(60)
        return load(name, source)

    worker.load = waits


def test_a_resource_that_leaves_the_engine_during_a_load_takes_no_job_with_it() -> None:
    e, into, go = engine("x", "y", more=("z",)), threading.Event(), threading.Event()
    e.drain("z")
    with Executor(e, {"x": layer(), "y": layer()}, {"a": Thread(), "z": Thread()}) as executor:
        blocked(executor, into, go)
        job = executor.submit("y", "q", X)
        assert into.wait(60)
        e.remove("a")
        go.set()
        assert job.result(60).shape == (1, 512)


def test_what_one_executor_unloaded_is_there_again_in_the_next() -> None:
    e = engine("x", "y")
    for _ in range(2):
        with Executor(e, {"x": layer(), "y": layer()}, {"a": Thread()}) as executor:
            assert e.profile("a", "x").load_s == 0.0
            assert executor.submit("y", "q", X).result(60).shape == (1, 512)
        assert e.profile("a", "x").load_s > 0.0


def test_a_run_that_wants_a_model_of_a_closed_executor_is_told() -> None:
    executor = Executor(engine("x", "y"), {"x": layer(), "y": layer()}, {"a": Thread()})
    executor.close()
    told: list[BaseException | None] = []
    assert not executor._pool.residency.use(0, "y", told.append)
    assert isinstance(told[0], WorkerError)


class Quits:
    """Building it ends the thread that builds it."""

    def __call__(self) -> torch.nn.Module:
        raise SystemExit("no model today")


def test_a_model_that_quits_while_it_is_loaded_fails_its_job_and_no_other() -> None:
    e = engine("x", "y")
    with Executor(e, {"x": layer(), "y": layer()}, {"a": Thread()}) as executor:
        worker: Any = executor.workers[0]
        load = worker.load
        worker.load = lambda name, source: Quits()() if name == "y" else load(name, source)
        with pytest.raises(WorkerError, match="no model today"):
            executor.submit("y", "q", X).result(60)
        assert executor.submit("x", "q", X).result(60).shape == (1, 512)


def test_the_end_of_a_worker_during_a_load_is_not_held_against_the_model() -> None:
    e, into, go = engine("x", "y"), threading.Event(), threading.Event()
    with Executor(e, {"x": layer(), "y": layer()}, {"a": Process()}) as executor:
        blocked(executor, into, go)
        job = executor.submit("y", "q", X)
        assert into.wait(60)
        executor.workers[0].kill()  # type: ignore[attr-defined]
        go.set()
        with pytest.raises(WorkerError):
            job.result(60)
        assert e.profile("a", "y").load_s < 100.0
        assert state(executor, "y") != "failed"


def test_a_load_that_hangs_in_a_thread_is_left_to_itself_when_the_executor_is_closed() -> None:
    into, go = threading.Event(), threading.Event()
    executor = Executor(engine("x", "y"), {"x": layer(), "y": layer()}, {"a": Thread()})
    blocked(executor, into, go)
    job = executor.submit("y", "q", X)
    assert into.wait(60)
    load: Any = thread_of(executor._pool.residency)
    executor.close(drain=False, timeout_s=0.01)
    assert load.is_alive()
    assert isinstance(job.exception(0), WorkerError)
    go.set()
    load.join(60)
    assert not load.is_alive()


def test_a_load_that_hangs_in_a_process_ends_with_it_when_the_executor_is_closed() -> None:
    models = {"x": "torch.nn:Identity", "y": "tests.adapters.torch.served:never"}
    executor = Executor(engine("x", "y"), models, {"a": Process()})
    job = executor.submit("y", "q", X)
    wait_until(lambda: state(executor, "y") == "loading")
    load: Any = thread_of(executor._pool.residency)
    executor.close(drain=False, timeout_s=0.01)
    assert isinstance(job.exception(0), WorkerError)
    assert not load.is_alive()
