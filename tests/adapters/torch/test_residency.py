"""Models that come and go under a memory budget: loaded when they are needed, the least useful unloaded first."""

import threading

import pytest
import torch

import tailwise as tw
from tailwise.adapters.torch import Executor, Thread
from tailwise.errors import JobRejected, WorkerError
from tests.adapters.torch.jobs import wait_until

MEGABYTE = 1 << 20


def layer() -> torch.nn.Module:
    """One megabyte."""
    return torch.nn.Linear(512, 512, bias=False)


def engine(budget: int | None, *names: str, declared: int = MEGABYTE, deadline_s: float = 60.0) -> tw.Engine:
    return tw.Engine(
        [tw.Resource("cpu", memory_bytes=budget)],
        [tw.Model(name, memory_bytes=declared) for name in names],
        [tw.QoS("q", deadline_s)],
        seed=1,
    )


def executor(e: tw.Engine, **options: object) -> Executor:
    sources = {model.name: layer() for model in e.models}
    return Executor(e, sources, {"cpu": Thread()}, **options)  # type: ignore[arg-type]


def states(ex: Executor) -> dict[str, str]:
    return {model.model: model.state for model in ex.stats().resources[0].models}


def run(ex: Executor, *names: str) -> None:
    for name in names:
        assert ex.submit(name, "q", torch.zeros(1, 512)).result(60).shape == (1, 512)


def test_without_a_budget_every_model_is_loaded_from_the_start() -> None:
    with executor(engine(None, "a", "b", "c")) as ex:
        assert states(ex) == {"a": "ready", "b": "ready", "c": "ready"}


def test_with_one_those_that_fit_are_in_the_order_of_declaration() -> None:
    with executor(engine(2 * MEGABYTE, "a", "b", "c")) as ex:
        assert states(ex) == {"a": "ready", "b": "ready", "c": "absent"}
        assert ex.engine.profile("cpu", "c").load_s > 0.0
        assert ex.engine.profile("cpu", "a").load_s == 0.0
        assert set(ex.workers[0].loaded) == {"a", "b"}


def test_a_job_of_an_absent_model_has_it_loaded_and_the_least_used_one_unloaded() -> None:
    with executor(engine(2 * MEGABYTE, "a", "b", "c")) as ex:
        run(ex, "a", "a", "b", "c")
        assert states(ex) == {"a": "ready", "b": "absent", "c": "ready"}
        assert ex.engine.profile("cpu", "b").load_s > 0.0
        assert ex.engine.profile("cpu", "c").load_s == 0.0
        wait_until(lambda: set(ex.workers[0].loaded) == {"a", "c"})
        run(ex, "b")
        assert states(ex)["b"] == "ready"


def test_the_job_that_waited_for_a_load_does_not_teach_its_time() -> None:
    with executor(engine(MEGABYTE, "a", "b")) as ex:
        run(ex, "b")
        assert ex.engine.profile("cpu", "b").n == 0.0
        assert ex.engine.profile("cpu", "b").n_results == 1
        run(ex, "b", "b")
        assert ex.engine.profile("cpu", "b").n == pytest.approx(2.0, abs=1e-3)


def test_the_first_calls_after_a_load_are_kept_from_the_regression_as_many_as_was_said() -> None:
    with executor(engine(None, "a"), warmup_calls=3) as ex:
        run(ex, *"aaaaa")
        assert ex.engine.profile("cpu", "a").n == pytest.approx(2.0, abs=1e-3)
    with executor(engine(None, "a"), warmup_calls=0) as ex:
        run(ex, "a")
        assert ex.engine.profile("cpu", "a").n == 1.0


def test_what_is_larger_than_declared_is_measured_and_leaves_when_the_budget_is_broken() -> None:
    with executor(engine(2 * MEGABYTE, "a", "b", "c", declared=0)) as ex:
        wait_until(lambda: sorted(states(ex).values()) == ["absent", "ready", "ready"])
        assert sum(m.n_bytes for m in ex.stats().resources[0].models if m.state == "ready") == 2 * MEGABYTE
        run(ex, "a", "b", "c", "a")


def test_a_model_that_runs_is_not_unloaded_under_its_job() -> None:
    entered, opened = threading.Event(), threading.Event()

    def gate(x: torch.Tensor) -> torch.Tensor:
        entered.set()
        assert opened.wait(60)
        return x

    e = tw.Engine(
        [tw.Resource("cpu", slots=2, memory_bytes=MEGABYTE)],
        [tw.Model("gate", memory_bytes=MEGABYTE), tw.Model("b", memory_bytes=MEGABYTE)],
        [tw.QoS("q", 60.0)],
    )
    with Executor(e, {"gate": gate, "b": layer()}, {"cpu": Thread(slots=2)}) as ex:
        running = ex.submit("gate", "q", torch.zeros(1))
        assert entered.wait(60)
        waiting = ex.submit("b", "q", torch.zeros(1, 512))
        assert states(ex) == {"gate": "ready", "b": "absent"}
        opened.set()
        assert running.result(60).shape == (1,)
        assert waiting.result(60).shape == (1, 512)
        assert states(ex) == {"gate": "absent", "b": "ready"}


def test_a_model_that_cannot_be_loaded_fails_its_jobs_and_nothing_else() -> None:
    e = tw.Engine(
        [tw.Resource("cpu", memory_bytes=MEGABYTE)],
        [tw.Model("a", memory_bytes=MEGABYTE), tw.Model("broken", memory_bytes=MEGABYTE)],
        [tw.QoS("q", 60.0)],
    )
    sources = {"a": layer(), "broken": "tests.adapters.torch.worker_models:no_such_factory"}
    with Executor(e, sources, {"cpu": Thread()}) as ex:
        with pytest.raises(tw.ConfigError, match="no_such_factory"):
            ex.submit("broken", "q", torch.zeros(1)).result(60)
        assert states(ex)["broken"] == "failed"
        assert e.profile("cpu", "broken").load_s > 60.0
        run(ex, "a")


def test_a_model_that_turned_out_larger_than_the_memory_fails_its_jobs_and_holds_no_slot() -> None:
    with executor(engine(MEGABYTE // 2, "a", declared=0)) as ex:
        wait_until(lambda: states(ex) == {"a": "absent"})
        for _ in range(2):
            with pytest.raises(WorkerError, match=f"takes {MEGABYTE} bytes"):
                ex.submit("a", "q", torch.zeros(1, 512)).result(60)
        assert states(ex) == {"a": "failed"}


def test_what_is_refused_often_for_want_of_a_model_is_loaded_unasked() -> None:
    """A second of loading is more than the deadline allows, so that no job would ever ask for it."""
    with executor(engine(MEGABYTE, "a", "b", deadline_s=0.5)) as ex:
        for _ in range(8):
            ex.engine.route("b", "q").observe("cpu", ()).complete(0.01)
        for _ in range(4):
            with pytest.raises(JobRejected, match="late"):
                ex.submit("b", "q", torch.zeros(1, 512)).result(60)
        wait_until(lambda: states(ex) == {"a": "absent", "b": "ready"})
        run(ex, "b")


def test_closing_ends_a_load_and_whoever_waits_for_one() -> None:
    begun, opened = threading.Event(), threading.Event()

    class Slow(torch.nn.Module):
        def to(self, *args: object, **kwargs: object) -> "Slow":  # type: ignore[override]
            begun.set()
            assert opened.wait(60)
            return self

    before = set(threading.enumerate())
    e = engine(MEGABYTE, "a", "slow")
    ex = Executor(e, {"a": layer(), "slow": Slow()}, {"cpu": Thread()})
    future = ex.submit("slow", "q", torch.zeros(1))
    assert begun.wait(60)
    closer = threading.Thread(target=ex.close, kwargs={"timeout_s": 0.01})
    closer.start()
    with pytest.raises(WorkerError, match="closed"):
        future.result(60)
    opened.set()
    closer.join(60)
    assert not closer.is_alive()
    assert set(threading.enumerate()) <= before
