"""Jobs that run for too long, queues that are full, and what an executor tells of itself."""

import asyncio
import json
import re
import threading
from collections.abc import Iterator

import pytest
import torch

import tailwise as tw
from tailwise.adapters.torch import Executor, JobRecord, Process, Thread
from tailwise.errors import ConfigError, JobTimedOut, QueueFull, UnknownName
from tests.adapters.torch.jobs import wait_until

WORKERS = {"thread": Thread, "process": Process}
MOODY = "tests.adapters.torch.served:moody"


class Gate:
    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.entered.set()
        assert self.opened.wait(60)
        return x


def engine(slots: int = 1) -> tw.Engine:
    return tw.Engine(
        [tw.Resource("cpu", slots=slots)],
        [tw.Model("m")],
        [tw.QoS("q", 60.0), tw.QoS("other", 60.0, priority=1)],
        seed=1,
    )


@pytest.fixture(params=WORKERS)
def moody(request: pytest.FixtureRequest) -> Iterator[Executor]:
    workers = {"cpu": WORKERS[request.param]()}
    with Executor(engine(), {"m": MOODY}, workers, timeout_s=0.5, warmup_calls=0) as executor:
        yield executor
    assert executor.engine.in_flight == 0


def test_a_job_that_hangs_is_given_up_and_the_next_one_is_served(moody: Executor) -> None:
    hanging = moody.submit("m", "q", torch.tensor(-2.0))
    next_one = moody.submit("m", "q", torch.tensor(3.0))
    with pytest.raises(JobTimedOut, match=r"longer than 0\.5 s"):
        hanging.result(60)
    assert float(next_one.result(60)) == 6.0
    assert hanging.record is not None
    assert hanging.record.end == "timed_out"
    assert moody.stats().classes[0].timed_out == 1


def test_a_job_that_was_given_up_teaches_that_it_takes_at_least_so_long(moody: Executor) -> None:
    """Right-censored: one more result in the latency profile, beyond the limit, and one failure."""
    for _ in range(10):
        moody.submit("m", "q", torch.tensor(1.0)).result(60)
    before = moody.engine.profile("cpu", "m")
    with pytest.raises(JobTimedOut):
        moody.submit("m", "q", torch.tensor(-2.0)).result(60)
    profile = moody.engine.profile("cpu", "m")
    assert profile.n > before.n
    assert profile.mean_s > before.mean_s
    assert profile.availability < before.availability


def test_a_job_within_its_limit_is_left_alone(moody: Executor) -> None:
    for i in range(5):
        assert float(moody.submit("m", "q", torch.tensor(float(i))).result(60)) == 2.0 * i
    assert moody.engine.counters["n_open"] == 0


def test_beyond_what_may_be_queued_submit_raises_and_counts_nothing() -> None:
    gate = Gate()
    with Executor(engine(), {"m": gate}, {"cpu": Thread()}, max_queued=2) as executor:
        futures = [executor.submit("m", "q", torch.zeros(1)) for _ in range(3)]
        assert gate.entered.wait(60)
        with pytest.raises(QueueFull, match="2 jobs are queued"):
            executor.submit("m", "q", torch.zeros(1))
        assert executor.engine.in_flight == 3
        assert futures[1].cancel()
        futures.append(executor.submit("m", "q", torch.zeros(1)))
        gate.opened.set()
        wait_until(lambda: all(future.done() for future in futures))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("timeout_s", 0.0),
        ("timeout_s", float("nan")),
        ("timeout_s", {"m": "1"}),
        ("max_queued", 0),
        ("max_queued", 1.5),
        ("progress_s", 0.0),
        ("warmup_calls", -1),
        ("warmup_calls", None),
    ],
)
def test_options_out_of_range_are_named(option: str, value: object) -> None:
    with pytest.raises(ConfigError, match=option):
        Executor(engine(), {"m": MOODY}, {"cpu": Thread()}, **{option: value})  # type: ignore[arg-type]


def test_a_limit_for_a_model_that_there_is_not_is_refused() -> None:
    with pytest.raises(UnknownName, match="nothing"):
        Executor(engine(), {"m": MOODY}, {"cpu": Thread()}, timeout_s={"nothing": 1.0})


def test_stats_count_every_end_once_and_are_plain_numbers() -> None:
    gate = Gate()
    with Executor(engine(), {"m": gate}, {"cpu": Thread()}) as executor:
        running = executor.submit("m", "q", torch.zeros(1))
        assert gate.entered.wait(60)
        queued = executor.submit("m", "other", torch.zeros(1))
        seen = executor.stats()
        assert (seen.n_open, seen.resources[0].running, seen.resources[0].queued) == (2, 1, 1)
        assert queued.cancel()
        gate.opened.set()
        running.result(60)
        executor.drain()
        seen = executor.stats()
    assert seen.n_open == 0
    assert (seen.classes[0].completed, seen.classes[0].on_time, seen.classes[0].attainment) == (1, 1, 1.0)
    assert (seen.classes[1].cancelled, seen.classes[1].attainment) == (1, None)
    assert (seen.resources[0].n_served, seen.resources[0].n_jobs) == (1, 1)
    assert seen.resources[0].device_s > 0.0
    assert json.loads(json.dumps(seen.as_dict()))["resources"][0]["models"][0]["state"] == "ready"
    assert "cpu: 0 of 1 slots busy" in str(seen)


def test_listeners_hear_of_every_end_and_one_that_raises_harms_nobody() -> None:
    heard: list[JobRecord] = []

    def raises(record: JobRecord) -> None:
        raise LookupError("a listener's own")

    with Executor(engine(), {"m": MOODY}, {"cpu": Thread()}, listeners=(raises, heard.append)) as executor:
        assert float(executor.submit("m", "q", torch.tensor(1.0)).result(60)) == 2.0
        with pytest.raises(LookupError):
            executor.submit("m", "other", torch.tensor(-1.0)).result(60)
    assert [(r.qos, r.end) for r in heard] == [("q", "completed"), ("other", "failed")]
    assert heard[0].queue_s + heard[0].service_s <= heard[0].completion_s + 1e-9
    assert heard[0].device_s <= heard[0].service_s


def test_run_is_awaited_beside_others() -> None:
    async def both(executor: Executor) -> list[float]:
        jobs = [executor.run("m", "q", torch.tensor(float(i))) for i in range(4)]
        return [float(value) for value in await asyncio.gather(*jobs)]

    with Executor(engine(), {"m": MOODY}, {"cpu": Thread()}) as executor:
        assert asyncio.run(both(executor)) == [0.0, 2.0, 4.0, 6.0]


def test_a_cancelled_task_cancels_its_queued_job() -> None:
    gate = Gate()

    async def cancel_one(executor: Executor) -> None:
        running = asyncio.create_task(executor.run("m", "q", torch.zeros(1)))
        await asyncio.to_thread(gate.entered.wait, 60)
        queued = asyncio.create_task(executor.run("m", "q", torch.zeros(1)))
        await asyncio.sleep(0)
        queued.cancel()
        with pytest.raises(asyncio.CancelledError):
            await queued
        await asyncio.to_thread(wait_until, lambda: executor.stats().classes[0].cancelled == 1)
        gate.opened.set()
        await running

    with Executor(engine(), {"m": gate}, {"cpu": Thread()}) as executor:
        asyncio.run(cancel_one(executor))


def test_the_log_tells_progress_while_jobs_are_open(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    with (
        caplog.at_level("INFO", "tailwise.torch"),
        Executor(engine(), {"m": gate}, {"cpu": Thread()}, progress_s=0.05) as executor,
    ):
        futures = [executor.submit("m", "q", torch.zeros(1)) for _ in range(2)]
        wait_until(lambda: "nothing ended; 1 running, 1 queued" in caplog.text)
        gate.opened.set()
        for future in futures:
            future.result(60)
        wait_until(lambda: "on time; 0 running, 0 queued" in caplog.text)
    assert sum(map(int, re.findall(r"(\d+) completed", caplog.text))) == 2  # in one line, or in two
