"""What callers may do with an executor and its futures, from any thread, in a callback, at the wrong moment."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

import tailwise as tw
from tailwise.adapters.torch import Executor, Thread
from tailwise.errors import ConfigError, JobExpired, WorkerError
from tailwise.policy import Learned
from tests.adapters.torch.jobs import wait_until
from tests.adapters.torch.test_executor import Gate, engine, fails, number


def start(gate: Gate, **options: Any) -> Executor:
    return Executor(
        engine(**options),
        {"gate": gate, "fails": fails},
        {"cpu-0": Thread()},
        features={"gate": lambda _: (1.0,)},
    )


def test_the_record_of_a_cancelled_job_is_there_before_its_future_is_done() -> None:
    """The executor is busy (its lock is held) while the caller cancels: until it has written the record, the future
    is not done, and nobody who waits for it is woken."""
    gate = Gate()
    with start(gate) as executor:
        executor.submit("gate", "batch", number(0.0))
        assert gate.entered.wait(60)
        queued = executor.submit("gate", "batch", number(1.0))
        canceller = threading.Thread(target=queued.cancel)
        with executor._lock:
            canceller.start()
            threading.Event().wait(0.05)
            assert not queued.done()
            assert queued.record is None
        canceller.join(60)
        assert queued.cancelled()
        assert queued.record is not None
        assert queued.record.end == "cancelled"
        gate.opened.set()


def test_a_future_that_is_kept_does_not_keep_the_inputs_of_its_job() -> None:
    gate = Gate()
    gate.opened.set()
    with start(gate) as executor:
        x = number(1.0)
        inputs = weakref.ref(x)
        future = executor.submit("gate", "batch", x)
        assert float(future.result(60)) == 1.0
        executor.submit("gate", "batch", number(2.0)).result(
            60
        )  # the worker's thread holds on to its last job
        future._result = None  # this model hands its input back
        del x
        gc.collect()
        assert inputs() is None


def test_a_cancelled_future_that_is_kept_keeps_neither_the_inputs_nor_the_executor() -> None:
    gate = Gate()
    with start(gate) as executor:
        executor.submit("gate", "batch", number(0.0))
        assert gate.entered.wait(60)
        x = number(1.0)
        inputs = weakref.ref(x)
        future = executor.submit("gate", "batch", x)
        assert future.cancel()
        del x
        gc.collect()
        assert inputs() is None
        assert future.withdraw is None  # it would hold the executor
        assert not executor.cancel_queued()
        gate.opened.set()


@pytest.mark.parametrize("call", [Executor.close, Executor.drain])
@pytest.mark.parametrize("end", ["completed", "expired"])
def test_closing_in_a_callback_is_refused_since_it_would_wait_for_itself(
    call: Callable[[Executor], object], end: str
) -> None:
    """In a worker's thread, which has a result to hand over, and in the timer's, which has an expiry to tell."""
    gate, raised = Gate(), []

    def close(_: Future[Any]) -> None:
        try:
            call(executor)
        except WorkerError as error:
            raised.append(str(error))

    with start(gate, deadline_s=60.0 if end == "completed" else 0.05) as executor:
        held = executor.submit("gate", "batch", number(0.0))
        assert gate.entered.wait(60)
        future = held if end == "completed" else executor.submit("gate", "urgent", number(1.0))
        future.add_done_callback(close)
        if end == "completed":
            gate.opened.set()
            future.result(60)
        else:
            with pytest.raises(JobExpired):
                future.result(60)
        wait_until(lambda: len(raised) == 1)
        gate.opened.set()
        assert float(executor.submit("gate", "batch", number(2.0)).result(60)) == 2.0
    assert f"{call.__name__}() may wait for the thread" in raised[0]


@pytest.mark.parametrize("teller", ["a caller", "a new worker"])
def test_closing_in_a_callback_is_refused_in_whichever_thread_it_runs(teller: str) -> None:
    """The queued job is ended by `cancel_queued`, or at its turn on the slot that a new worker gives back."""
    gate, raised = Gate(), []

    def close(_: Future[Any]) -> None:
        for call in (executor.close, executor.drain):
            with pytest.raises(WorkerError, match="may wait for the thread"):
                call()
            raised.append(call)

    with start(gate) as executor:
        executor.submit("gate", "batch", number(0.0))
        assert gate.entered.wait(60)
        queued = executor.submit("gate", "batch", number(1.0))
        queued.add_done_callback(close)
        if teller == "a caller":
            assert executor.cancel_queued() == 1
        else:
            executor.policy.may_start = lambda *_: False  # type: ignore[attr-defined]
            executor._worker_back(0, 1)
        assert len(raised) == 2
        gate.opened.set()


@pytest.mark.parametrize("raises", [SystemExit, KeyboardInterrupt])
def test_a_callback_that_exits_takes_no_thread_of_the_executor_with_it(raises: type[BaseException]) -> None:
    """In the timer's thread, which tells that jobs expired, and in a worker's, which has a result."""
    gate = Gate()

    def leave(_: Future[Any]) -> None:
        raise raises(3)

    with start(gate, deadline_s=0.05) as executor:
        held = executor.submit("gate", "batch", number(0.0), deadline_s=60.0)
        held.add_done_callback(leave)
        assert gate.entered.wait(60)
        first, second = (executor.submit("gate", "urgent", number(1.0)) for _ in range(2))
        first.add_done_callback(leave)
        for future in (first, second, executor.submit("gate", "urgent", number(2.0))):
            assert isinstance(future.exception(60), JobExpired)
        assert executor._timer.alive
        gate.opened.set()
        assert float(held.result(60)) == 0.0
        assert float(executor.submit("gate", "batch", number(3.0), deadline_s=60.0).result(60)) == 3.0


def test_a_callback_that_exits_hides_no_other_jobs_end_and_only_ctrl_c_reaches_the_caller() -> None:
    gate, told = Gate(), []

    def leave(_: Future[Any]) -> None:
        told.append(raises)
        raise raises(3)

    with start(gate) as executor:
        executor.submit("gate", "batch", number(0.0))
        assert gate.entered.wait(60)
        for raises in (SystemExit, KeyboardInterrupt):
            futures = [executor.submit("gate", "batch", number(1.0)) for _ in range(2)]
            for future in futures:
                future.add_done_callback(leave)
            if raises is SystemExit:
                assert executor.cancel_queued() == 2
            else:
                with pytest.raises(KeyboardInterrupt):
                    executor.cancel_queued()
            assert told == [raises] * 2
            told.clear()
        gate.opened.set()


def test_the_policy_is_not_replaced_while_a_job_is_open() -> None:
    gate = Gate()
    with start(gate) as executor:
        executor.submit("gate", "batch", number(0.0))
        with pytest.raises(ConfigError, match="1 runs are open"):
            executor.policy = Learned(executor.engine)
        gate.opened.set()
        assert executor.drain(60)
        executor.policy = Learned(executor.engine)


def test_a_worker_that_its_owner_closed_is_not_started_again() -> None:
    """cpu-1 is closed under the executor: all jobs go to cpu-0."""
    gate = Gate()
    gate.opened.set()
    mine = Thread().build("cpu-1")
    mine.start({"gate": gate, "fails": fails})
    shared = tw.Engine(
        [tw.Resource("cpu-0"), tw.Resource("cpu-1")],
        [tw.Model("gate", features=("size",)), tw.Model("fails")],
        [tw.QoS("batch", deadline_s=600.0)],
        seed=1,
    )
    with Executor(shared, {"gate": gate, "fails": fails}, {"cpu-0": Thread(), "cpu-1": mine}) as executor:
        for k in range(10):  # both are tried
            executor.submit("gate", "batch", number(float(k)), features=(1.0,)).result(60)
        mine.close()
        for _ in range(40):
            job = executor.submit("gate", "batch", number(0.0), features=(1.0,))
            job.result(60)
            assert job.record is not None
            assert job.record.resource == "cpu-0"
        executor._pool.lost_slot(1)  # whatever else notices that it is gone
        assert not any(thread.name == "tailwise-replace-cpu-1" for thread in threading.enumerate())
        assert not mine.alive
