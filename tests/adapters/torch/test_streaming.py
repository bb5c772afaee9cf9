"""Generators: outputs as they come, the first and the pace of the others timed and learned as two signals."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
import torch

import tailwise as tw
from tailwise.adapters.torch import Executor, Process, Thread
from tailwise.errors import JobExpired
from tests.adapters.torch.jobs import wait_until
from tests.engine.script import Script

WORKERS = {"thread": Thread(), "process": Process()}


class Counter:
    """Counts down from its input, and waits at its gate before each number but the first."""

    def __init__(self) -> None:
        self.gate = threading.Semaphore(0)

    def __call__(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        for i in range(int(x), 0, -1):
            if i < int(x):
                assert self.gate.acquire(timeout=60)
            yield torch.tensor(float(i))


def engine(signals: tuple[str, ...] = ("ttft", "tpot"), **bounds: float) -> tw.Engine:
    return tw.Engine(
        [tw.Resource("cpu")],
        [tw.Model("count", signals=signals)],
        [tw.QoS("chat", **(bounds or {"ttft_s": 60.0, "tpot_s": 60.0}))],
        seed=1,
    )


@pytest.fixture(params=WORKERS)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    source = "tests.adapters.torch.served:count_down"
    with Executor(engine(), {"count": source}, {"cpu": WORKERS[request.param]}, warmup_calls=0) as executor:
        yield executor
    assert executor.engine.in_flight == 0


def test_the_outputs_come_in_order_and_the_future_tells_how_many(executor: Executor) -> None:
    stream = executor.stream("count", "chat", torch.tensor(4))
    assert [float(x) for x in stream] == [4.0, 3.0, 2.0, 1.0]
    assert stream.future.result(60) == 4


def test_first_output_and_pace_are_two_posteriors(executor: Executor) -> None:
    for _ in range(3):
        stream = executor.stream("count", "chat", torch.tensor(5))
        assert len(list(stream)) == 5
    first = executor.engine.profile("cpu", "count", signal="ttft")
    pace = executor.engine.profile("cpu", "count", signal="tpot")
    assert first.n == pytest.approx(3.0, abs=1e-2)
    assert pace.n == pytest.approx(3.0, abs=1e-2)
    assert executor.engine.length("count").median == pytest.approx(5.0, rel=0.5)
    record = stream.future.record
    assert record is not None
    assert record.n_outputs == 5
    assert record.ttft_s is not None
    assert record.tpot_s is not None
    assert 0.0 < record.ttft_s <= record.ttft_s + 4 * record.tpot_s <= record.completion_s
    assert record.on_time


def test_asyncio_gets_them_too(executor: Executor) -> None:
    async def read() -> list[float]:
        return [float(x) async for x in executor.stream("count", "chat", torch.tensor(3))]

    assert asyncio.run(read()) == [3.0, 2.0, 1.0]


def test_an_output_is_there_before_the_next_one_is_computed() -> None:
    counter = Counter()
    with Executor(engine(), {"count": counter}, {"cpu": Thread()}) as executor:
        stream = executor.stream("count", "chat", torch.tensor(3))
        for expected in (3.0, 2.0, 1.0):
            assert float(next(stream)) == expected
            assert expected == 1.0 or not stream.future.done()
            counter.gate.release()
        with pytest.raises(StopIteration):
            next(stream)


def test_an_error_half_way_reaches_the_reader_after_what_came_before() -> None:
    def breaks(x: torch.Tensor) -> Iterator[torch.Tensor]:
        yield x
        raise LookupError("half-way")

    with Executor(engine(), {"count": breaks}, {"cpu": Thread()}) as executor:
        stream = executor.stream("count", "chat", torch.tensor(3))
        assert float(next(stream)) == 3.0
        with pytest.raises(LookupError, match="half-way"):
            next(stream)
        assert stream.future.record is not None
        assert stream.future.record.end == "failed"


def test_a_closed_stream_drops_what_comes_and_its_job_ends() -> None:
    counter = Counter()
    with Executor(engine(), {"count": counter}, {"cpu": Thread()}) as executor:
        stream = executor.stream("count", "chat", torch.tensor(3))
        next(stream)
        stream.close()
        counter.gate.release(2)
        assert list(stream) == []
        assert stream.future.result(60) == 3


def test_a_stream_that_waits_longer_than_its_first_output_may_take_expires() -> None:
    counter = Counter()
    with Executor(engine(ttft_s=0.2, tpot_s=60.0), {"count": counter}, {"cpu": Thread()}) as executor:
        running = executor.stream("count", "chat", torch.tensor(2))
        next(running)
        waiting = executor.stream("count", "chat", torch.tensor(2))
        with pytest.raises(JobExpired):
            next(waiting)
        counter.gate.release()
        assert len(list(running)) == 1


def test_an_answer_slower_than_its_pace_is_not_on_time() -> None:
    def slow(x: torch.Tensor) -> Iterator[torch.Tensor]:
        yield x
        yield x

    with Executor(engine(ttft_s=60.0, tpot_s=1e-9), {"count": slow}, {"cpu": Thread()}) as executor:
        stream = executor.stream("count", "chat", torch.tensor(2))
        assert len(list(stream)) == 2
        assert stream.future.record is not None
        assert not stream.future.record.on_time


def test_submit_of_a_generator_gives_the_list() -> None:
    with Executor(
        engine(("service",), deadline_s=60.0),
        {"count": "tests.adapters.torch.served:count_down"},
        {"cpu": Thread()},
    ) as executor:
        assert [float(x) for x in executor.submit("count", "chat", torch.tensor(2)).result(60)] == [2.0, 1.0]


def test_a_stream_and_its_copy_are_one_answer_that_ends_with_who_spoke_first() -> None:
    """The copy ends sooner; what it would have said is not what was heard, so the job goes on."""
    copied, spoken, go_on = (threading.Event() for _ in range(3))

    def model(x: torch.Tensor) -> Iterator[str]:
        if threading.current_thread().name.startswith("tailwise-b"):
            copied.set()
            assert spoken.wait(60)
            yield from ["copy"] * 3
        else:
            assert copied.wait(60)
            yield "one"
            assert go_on.wait(60)
            yield "two"

    e = tw.Engine(
        [tw.Resource(name) for name in "ab"],
        [tw.Model("m")],
        [tw.QoS("chat", 60.0, priority=0)],
        seed=1,
    )
    with Executor(
        e,
        {"m": model},
        {"a": Thread(), "b": Thread()},
        policy=Script(copies_to=1, hedge_at=0.0),
        rules=tw.Rules(hedge_budget=1.0),
    ) as executor:
        stream = executor.stream("m", "chat", torch.tensor(1))
        assert next(stream) == "one"
        spoken.set()
        wait_until(lambda: executor.stats().resources[1].n_served == 1)
        assert not stream.future.done()
        go_on.set()
        assert list(stream) == ["two"]
        assert stream.future.result(60) == 2
        assert stream.future.record is not None
        assert (stream.future.record.resource, stream.future.record.n_outputs) == ("a", 2)


def test_all_who_wait_for_a_stream_are_woken() -> None:
    counter = Counter()

    async def consume() -> list[list[float]]:
        stream = executor.stream("count", "chat", torch.tensor(3))
        await anext(stream)

        async def rest() -> list[float]:
            return [float(x) async for x in stream]

        tasks = [asyncio.create_task(rest()) for _ in range(3)]
        await asyncio.sleep(0)  # each waits for an output
        counter.gate.release(2)
        return await asyncio.gather(*tasks)

    with Executor(engine(), {"count": counter}, {"cpu": Thread()}) as executor:
        heard = asyncio.run(asyncio.wait_for(consume(), 60))
        assert sorted(x for one in heard for x in one) == [1.0, 2.0]
