"""The executor: one queue per resource, every result streamed back, every job ended once."""

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
import torch

import tailwise as tw
from tailwise.adapters.torch import Executor, Process, Thread
from tailwise.errors import ConfigError, InputError, JobExpired, JobRejected, UnknownName, WorkerError
from tailwise.policy import Assignment


class Gate:
    """A model that notes its input and returns it once it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.entered = threading.Event()
        self.seen: list[float] = []

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.entered.set()
        assert self.opened.wait(60)
        self.seen.append(float(x))
        return x


def fails(x: torch.Tensor) -> torch.Tensor:
    raise LookupError("not today")


def engine(n_resources: int = 1, deadline_s: float = 60.0) -> tw.Engine:
    return tw.Engine(
        [tw.Resource(f"cpu-{i}") for i in range(n_resources)],
        [tw.Model("gate", features=("size",)), tw.Model("fails")],
        [
            tw.QoS("urgent", deadline_s=deadline_s, priority=0),
            tw.QoS("batch", deadline_s=10 * deadline_s, priority=2),
        ],
        seed=1,
    )


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def executor(gate: Gate) -> Iterator[Executor]:
    with Executor(
        engine(),
        {"gate": gate, "fails": fails},
        {"cpu-0": Thread()},
        features={"gate": lambda inputs: (float(inputs[0].numel()),)},
        warmup_calls=0,
    ) as executor:
        yield executor
        gate.opened.set()
    assert executor.engine.in_flight == 0


def number(value: float) -> torch.Tensor:
    return torch.tensor(value)


def test_a_result_resolves_its_future_and_teaches_its_profile(executor: Executor, gate: Gate) -> None:
    gate.opened.set()
    future = executor.submit("gate", "urgent", number(3.0))
    assert float(future.result(60)) == 3.0
    assert future.record is not None
    assert future.record.resource == "cpu-0"
    assert future.record.end == "completed"
    assert future.record.on_time
    assert 0 < future.record.service_s <= future.record.completion_s
    profile = executor.engine.profile("cpu-0", "gate")
    assert profile.n == 1.0
    assert executor.engine.in_flight == 0


def test_a_higher_class_overtakes_a_lower_one_in_the_queue(executor: Executor, gate: Gate) -> None:
    first = executor.submit("gate", "batch", number(0.0))
    assert gate.entered.wait(60)
    waiting = [executor.submit("gate", qos, number(v)) for qos, v in (("batch", 1.0), ("urgent", 2.0))]
    assert executor.engine.load("cpu-0") == (1, 2)
    gate.opened.set()
    for future in [first, *waiting]:
        future.result(60)
    assert gate.seen == [0.0, 2.0, 1.0]


def test_a_queued_job_expires_by_the_clock_while_its_resource_is_busy(gate: Gate) -> None:
    with Executor(engine(deadline_s=0.05), {"gate": gate, "fails": fails}, {"cpu-0": Thread()}) as executor:
        running = executor.submit("gate", "batch", number(0.0), features=(1.0,))
        queued = executor.submit("gate", "urgent", number(1.0), features=(1.0,))
        with pytest.raises(JobExpired, match=r"0\.05"):
            queued.result(60)
        assert not running.done()
        assert queued.record is not None
        assert queued.record.end == "expired"
        gate.opened.set()
        running.result(60)
    assert gate.seen == [0.0]
    assert executor.engine.in_flight == 0


def test_a_job_with_a_deadline_of_its_own_expires_by_it_and_is_on_time_by_it(
    executor: Executor, gate: Gate
) -> None:
    late = executor.submit("gate", "urgent", number(0.0), deadline_s=0.05)
    assert gate.entered.wait(60)
    queued = executor.submit("gate", "urgent", number(1.0), deadline_s=0.05)
    with pytest.raises(JobExpired, match=r"after 0\.05 s"):
        queued.result(60)
    gate.opened.set()
    assert float(late.result(60)) == 0.0
    assert late.record is not None
    assert (late.record.end, late.record.on_time) == ("completed", False)
    assert float(executor.submit("gate", "urgent", number(2.0)).result(60)) == 2.0


def test_a_model_that_raises_fails_its_ticket_and_the_worker_lives_on(executor: Executor, gate: Gate) -> None:
    gate.opened.set()
    future = executor.submit("fails", "urgent", number(0.0))
    with pytest.raises(LookupError, match="not today"):
        future.result(60)
    profile = executor.engine.profile("cpu-0", "fails")
    assert profile.n == 0.0
    assert profile.n_results == 1
    assert profile.availability < 0.99
    assert float(executor.submit("gate", "urgent", number(1.0)).result(60)) == 1.0


def test_a_cancelled_job_leaves_the_queue_and_never_runs(executor: Executor, gate: Gate) -> None:
    running = executor.submit("gate", "batch", number(0.0))
    assert gate.entered.wait(60)
    queued = executor.submit("gate", "batch", number(1.0))
    assert queued.cancel()
    assert executor.engine.load("cpu-0") == (1, 0)
    assert not running.cancel()
    gate.opened.set()
    running.result(60)
    with pytest.raises(CancelledError):
        queued.result(60)
    assert gate.seen == [0.0]


def test_a_refused_job_never_occupies_a_slot_and_names_its_reason(executor: Executor) -> None:
    class Refuses:
        def assign(self, *_: object) -> Assignment:
            return Assignment(0, reason="late", retry_after_s=2.5)

    executor.policy = Refuses()  # type: ignore[assignment]
    future = executor.submit("gate", "urgent", number(0.0))
    with pytest.raises(JobRejected, match="'gate' in class 'urgent' was refused: late") as refused:
        future.result(60)
    assert (refused.value.reason, refused.value.retry_after_s) == ("late", 2.5)
    assert future.record is not None
    assert future.record.retry_after_s == 2.5
    assert executor.drain(0.0)


def test_bad_submissions_are_refused_by_name_and_change_nothing(executor: Executor) -> None:
    before = executor.engine._core.snapshot()
    with pytest.raises(UnknownName, match="'gate'"):
        executor.submit("other", "urgent", number(0.0))
    with pytest.raises(UnknownName, match="'urgent'"):
        executor.submit("gate", "other", number(0.0))
    with pytest.raises(InputError, match="tensor"):
        executor.submit("gate", "urgent", 3.0)  # type: ignore[arg-type]
    for deadline_s in (0.0, -1.0, float("nan"), float("inf"), True, "1"):
        with pytest.raises(InputError, match="deadline_s"):
            executor.submit("gate", "urgent", number(0.0), deadline_s=deadline_s)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="size"):
        executor.submit("gate", "urgent", number(0.0), features=(float("nan"),))
    assert executor.engine._core.snapshot() == before
    assert executor.drain(0.0)


def test_closing_drains_or_cancels_as_asked_and_refuses_more(gate: Gate) -> None:
    executor = Executor(engine(), {"gate": gate, "fails": fails}, {"cpu-0": Thread()})
    running, queued = (executor.submit("gate", "batch", number(v), features=(1.0,)) for v in (0.0, 1.0))
    assert gate.entered.wait(60)
    opener = threading.Timer(0.05, gate.opened.set)
    opener.start()
    executor.close(drain=False)
    opener.join()
    assert float(running.result(0)) == 0.0
    assert queued.cancelled()
    assert executor.engine.in_flight == 0
    with pytest.raises(WorkerError, match="closed"):
        executor.submit("gate", "batch", number(2.0), features=(1.0,))
    executor.close()


def test_closing_does_not_wait_for_a_queue_that_cannot_drain(gate: Gate) -> None:
    """One job hangs, another waits behind it for ten minutes yet: closing cancels the second and comes back."""
    worker = Thread().build("cpu-0")
    worker.start({"gate": gate, "fails": fails})
    executor = Executor(engine(), {"gate": gate, "fails": fails}, {"cpu-0": worker})
    hanging, queued = (executor.submit("gate", "batch", number(v), features=(1.0,)) for v in (0.0, 1.0))
    assert gate.entered.wait(60)
    executor.close(timeout_s=0.05)
    assert queued.cancelled()
    assert not hanging.done()
    gate.opened.set()
    assert float(hanging.result(60)) == 0.0
    worker.close()
    assert executor.engine.in_flight == 0


def test_a_model_whose_only_resource_is_down_is_refused_as_such() -> None:
    only_a = tw.Model("only-a", resources=("a",))
    restricted = tw.Engine([tw.Resource("a"), tw.Resource("b")], [only_a], [tw.QoS("q", deadline_s=60.0)])
    with Executor(restricted, {"only-a": "torch.nn:Identity"}, {"a": Process(), "b": Thread()}) as both:
        both._pool._missing[0] = 0  # as while its worker is being replaced
        refused = both.submit("only-a", "q", number(0.0))
        assert isinstance(refused.exception(60), JobRejected)
        assert refused.exception(60).reason == "no_resource"  # type: ignore[union-attr]
        both._pool._missing.clear()
        assert float(both.submit("only-a", "q", number(1.0)).result(60)) == 1.0


def test_a_resource_that_joins_later_gets_no_job_of_this_executor(executor: Executor, gate: Gate) -> None:
    gate.opened.set()
    executor.engine.add(tw.Resource("elsewhere", slots=64))
    for k in range(20):
        future = executor.submit("gate", "urgent", number(float(k)))
        assert float(future.result(60)) == k
        assert future.record.resource == "cpu-0"  # type: ignore[union-attr]
    executor.engine.remove("cpu-0")
    refused = executor.submit("gate", "urgent", number(0.0))
    assert refused.exception(60).reason == "no_resource"  # type: ignore[union-attr]


def test_jobs_are_refused_while_every_resource_is_drained(executor: Executor, gate: Gate) -> None:
    executor.engine.drain("cpu-0")
    refused = executor.submit("gate", "urgent", number(0.0))
    assert refused.exception(60).reason == "no_resource"  # type: ignore[union-attr]
    assert (refused.record.end, refused.record.resource) == ("rejected", None)  # type: ignore[union-attr]
    executor.engine.undrain("cpu-0")
    gate.opened.set()
    assert float(executor.submit("gate", "urgent", number(1.0)).result(60)) == 1.0


@pytest.mark.parametrize(
    ("models", "workers"),
    [({"gate": fails}, {"cpu-0": Thread()}), ({"gate": fails, "fails": fails}, {"gpu": Thread()})],
)
def test_names_must_match_the_engine(models: dict[str, object], workers: dict[str, Thread]) -> None:
    with pytest.raises(ConfigError, match="engine declares"):
        Executor(engine(), models, workers)  # type: ignore[arg-type]


def test_slots_must_match_the_resource() -> None:
    with pytest.raises(ConfigError, match="slots=2"):
        Executor(engine(), {"gate": fails, "fails": fails}, {"cpu-0": Thread(slots=2)})


def test_a_dead_process_fails_its_job_is_masked_and_replaced(tmp_path: Path) -> None:
    """The worker of cpu-1 is killed under its job: that job fails, new ones go to cpu-0 until it is back."""
    models = {"gate": "torch.nn:Identity", "fails": "torch.nn:Identity"}
    with Executor(engine(2), models, {"cpu-0": Process(), "cpu-1": Process()}) as executor:
        for _ in range(10):  # both are tried
            executor.submit("gate", "urgent", number(1.0), features=(1.0,)).result(60)
        executor.workers[1].kill()
        ends = [executor.submit("gate", "urgent", number(2.0), features=(1.0,)) for _ in range(40)]
        failed = [future for future in ends if future.exception(60) is not None]
        assert all(isinstance(future.exception(), WorkerError) for future in failed)
        assert len(failed) <= 1
        deadline = threading.Event()
        for _ in range(600):
            if executor.workers[1].alive:
                break
            deadline.wait(0.05)
            executor.submit("gate", "urgent", number(2.0), features=(1.0,)).exception(60)
        assert executor.drain(60)
    assert executor.engine.in_flight == 0


def test_many_threads_submitting_lose_nothing(executor: Executor, gate: Gate) -> None:
    gate.opened.set()
    results: list[float] = []

    def submit(k: int) -> None:
        futures = [executor.submit("gate", "batch", number(float(100 * k + i))) for i in range(50)]
        results.extend(float(future.result(60)) for future in futures)

    threads = [threading.Thread(target=submit, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted(float(100 * k + i) for k in range(4) for i in range(50))
    assert (executor.drain(60), executor.engine.in_flight) == (True, 0)
    assert executor.engine.profile("cpu-0", "gate").n_results == 200
