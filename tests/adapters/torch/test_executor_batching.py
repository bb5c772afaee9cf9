"""Jobs that wait together are served together: one call, each its own result, and the batch's curve is learned."""

import threading

import pytest
import torch

import tailwise as tw
from tailwise.adapters.torch import Executor, JobFuture, Process, Thread

WORKERS = {"thread": Thread, "process": Process}


class Rows:
    """Notes how many rows each call had; doubles them. The first call waits for the gate."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.entered, self.opened = threading.Event(), threading.Event()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.entered.set()
        assert self.opened.wait(60)
        self.calls.append(len(x))
        if (x < 0).any():
            raise LookupError("negative")
        return 2 * x


def engine(on_time: float = 0.9) -> tw.Engine:
    return tw.Engine(
        [tw.Resource("cpu")],
        [tw.Model("m", features=(tw.Feature("rows", typical=4.0),), items="rows")],
        [tw.QoS("urgent", 60.0, on_time=on_time, priority=0), tw.QoS("batch", 600.0, priority=2)],
        seed=1,
    )


def executor(model: object, max_items: int = 16, worker: object = None, **options: object) -> Executor:
    return Executor(
        engine(),
        {"m": model},  # type: ignore[dict-item]
        {"cpu": worker or Thread()},  # type: ignore[dict-item]
        features={"m": lambda inputs: (float(len(inputs[0])),)},
        batching={"m": tw.Batching(max_items=max_items)},
        **options,  # type: ignore[arg-type]
    )


def waiting(ex: Executor, rows: Rows, *values: torch.Tensor, qos: str = "urgent") -> list[JobFuture]:
    """The first job runs and holds the slot while the others are queued."""
    first = ex.submit("m", "urgent", torch.zeros(1, 2))
    assert rows.entered.wait(60)
    futures = [ex.submit("m", qos, value) for value in values]
    rows.opened.set()
    first.result(60)
    return futures


def test_waiting_jobs_are_one_call_and_each_gets_its_own_rows() -> None:
    rows = Rows()
    inputs = [torch.full((n, 2), float(i)) for i, n in enumerate((1, 3, 2))]
    with executor(rows) as ex:
        futures = waiting(ex, rows, *inputs)
        for future, value in zip(futures, inputs, strict=True):
            assert torch.equal(future.result(60), 2 * value)
        assert rows.calls == [1, 6]
        assert {future.record.n_joined for future in futures if future.record} == {3}
        seen = ex.stats().resources[0]
        assert (seen.n_served, seen.n_jobs) == (2, 4)
    assert ex.engine.in_flight == 0


def test_a_batch_has_no_more_items_than_it_may() -> None:
    rows = Rows()
    with executor(rows, max_items=4) as ex:
        for future in waiting(ex, rows, *[torch.ones(2, 2)] * 5):
            future.result(60)
        assert rows.calls == [1, 4, 4, 2]


def test_what_differs_beyond_the_first_dimension_is_not_joined() -> None:
    rows = Rows()
    values = (torch.ones(1, 2), torch.ones(1, 3), torch.ones(1, 2, dtype=torch.float64), torch.ones(1, 2))
    with executor(rows) as ex:
        for future, value in zip(waiting(ex, rows, *values), values, strict=True):
            assert torch.equal(future.result(60), 2 * value)
        assert sorted(rows.calls) == [1, 1, 1, 2]


def test_the_batch_teaches_its_size_and_its_time_once() -> None:
    rows = Rows()
    with executor(rows, warmup_calls=1) as ex:
        for future in waiting(ex, rows, *[torch.ones(2, 2)] * 5):
            future.result(60)
        profile = ex.engine.profile("cpu", "m")
    assert rows.calls == [1, 10]
    assert profile.n == pytest.approx(1.0, abs=1e-3)
    assert profile.n_results == 2


def test_one_bad_member_fails_alone() -> None:
    rows = Rows()
    values = [torch.ones(1, 2), torch.full((1, 2), -1.0), torch.ones(1, 2), torch.ones(1, 2)]
    with executor(rows) as ex:
        futures = waiting(ex, rows, *values)
        with pytest.raises(LookupError, match="negative"):
            futures[1].result(60)
        for i in (0, 2, 3):
            assert torch.equal(futures[i].result(60), torch.full((1, 2), 2.0))
        assert ex.stats().classes[0].failed == 1
        # the split batch says nothing of how long four rows take
        assert ex.engine.profile("cpu", "m").n == 0.0
    assert ex.engine.in_flight == 0


class Small(Rows):
    """Holds three rows."""

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 3:
            raise torch.OutOfMemoryError(f"{len(x)} rows")
        return super().__call__(x)


def test_a_batch_that_the_memory_does_not_hold_is_split_and_the_next_ones_are_smaller() -> None:
    small = Small()
    with executor(small) as ex:
        for future in waiting(ex, small, *[torch.ones(1, 2)] * 8):
            assert torch.equal(future.result(60), torch.full((1, 2), 2.0))
        seen = ex.stats().resources[0]
        assert (seen.n_out_of_memory, seen.n_failed, seen.max_items) == (1, 0, {"m": 4})
        small.calls.clear()
        small.entered.clear()
        small.opened.clear()
        for future in waiting(ex, small, *[torch.ones(1, 2)] * 8):
            future.result(60)
        assert max(small.calls) <= 3
        assert ex.stats().resources[0].max_items == {"m": 2}
    assert ex.engine.in_flight == 0


def test_a_job_that_the_memory_does_not_hold_alone_fails_and_the_next_one_is_served() -> None:
    small = Small()
    small.opened.set()
    with executor(small) as ex:
        with pytest.raises(torch.OutOfMemoryError):
            ex.submit("m", "urgent", torch.ones(4, 2)).result(60)
        assert ex.submit("m", "urgent", torch.ones(3, 2)).result(60).shape == (3, 2)
        assert ex.stats().resources[0].n_out_of_memory == 1


def test_a_class_below_rides_along_with_the_one_above() -> None:
    rows = Rows()
    with executor(rows) as ex:
        futures = waiting(ex, rows, *[torch.ones(1, 2)] * 3, qos="batch")
        for future in futures:
            future.result(60)
        assert rows.calls == [1, 3]


@pytest.mark.parametrize("kind", WORKERS)
def test_under_load_batches_form_by_themselves(kind: str) -> None:
    with executor(torch.nn.Linear(4, 4), worker=WORKERS[kind]()) as ex:
        inputs = [torch.randn(1 + i % 3, 4) for i in range(200)]
        futures = [ex.submit("m", "batch", value) for value in inputs]
        model = torch.nn.Linear(4, 4)
        for future, value in zip(futures, inputs, strict=True):
            assert future.result(60).shape == model(value).shape
        seen = ex.stats().resources[0]
        assert seen.n_jobs == 200
        assert seen.n_served < 150


def test_batching_of_a_model_that_does_not_count_items_is_refused() -> None:
    e = tw.Engine([tw.Resource("cpu")], [tw.Model("m")], [tw.QoS("q", 1.0)])
    with pytest.raises(tw.ConfigError, match="items"):
        Executor(e, {"m": torch.nn.Identity()}, {"cpu": Thread()}, batching={"m": tw.Batching(max_items=2)})
