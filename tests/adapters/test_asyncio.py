"""Tickets of coroutines: settled by how their block ends, their deadline reaching inside, the loop never held up."""

from __future__ import annotations

import asyncio
import resource
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

import tailwise as tw
from tailwise.adapters import deadline
from tailwise.adapters.asyncio import AsyncRoute
from tailwise.adapters.journal import Journal
from tailwise.adapters.refusal import EntryRefused, refuse
from tailwise.adapters.slo import HeaderError, read
from tailwise.errors import JobRejected, JobTimedOut
from tests.adapters.conformance import Call, Conformance, Told, Work, WorkFailed


class TestAsyncio(Conformance):
    @asynccontextmanager
    async def adapter(self, journal: Journal, work: Work) -> AsyncIterator[Call]:
        engine = journal.engine
        routes = {q.name: AsyncRoute(engine.route(self.model, q.name), journal) for q in engine.qos}

        async def call(headers: dict[str, str]) -> Told:
            try:
                slo = read(headers, engine, "normal")
                async with routes[slo.qos].ticket((), request_id=slo.request_id, **slo.bounds()):
                    await work(deadline.left_s())
            except (HeaderError, JobRejected) as error:
                return Told.of_refusal(refuse(error))
            except WorkFailed:
                return Told(False)
            return Told(True)

        yield call


class World:
    """Classes of an hour and of a minute, one that bounds the first token, and one that is refused nothing."""

    def __init__(self, clock: tw.ManualClock | None = None) -> None:
        self.engine = tw.Engine(
            [tw.Resource("a", slots=8)],
            [tw.Model("net"), tw.Model("llm", signals=("ttft", "tpot"))],
            [
                tw.QoS("hour", 3600.0),
                tw.QoS("minute", 60.0),
                tw.QoS("chat", ttft_s=60.0),
                tw.QoS("patient", 3600.0, contract="best_effort", priority=1),
            ],
            clock=clock,
        )
        self.journal = Journal(self.engine)
        self.hour, self.minute, self.patient = (self.route("net", q) for q in ("hour", "minute", "patient"))

    def route(self, model: str, qos: str) -> AsyncRoute:
        return AsyncRoute(self.engine.route(model, qos), self.journal)

    def ends(self, qos: str = "hour") -> dict[str, int]:
        assert self.engine.in_flight == 0
        return dict(self.journal.classes[qos].ended)


def test_a_nested_ticket_gets_what_is_left_of_the_outer_one() -> None:
    clock = tw.ManualClock(100.0)
    world = World(clock)

    async def run() -> None:
        async with world.minute.ticket(()):
            clock.advance(45.0)
            assert deadline.outgoing() == {"x-tailwise-deadline-ms": "15000.000"}
            async with world.hour.ticket(()) as inner:
                assert inner.left_s == pytest.approx(15.0)
            async with world.hour.ticket((), deadline_s=5.0) as inner:
                assert inner.left_s == pytest.approx(5.0)
            clock.advance(20.0)
            with pytest.raises(EntryRefused) as refused:
                async with world.hour.ticket(()):
                    pass
            assert refused.value.reason == "late"
        async with world.hour.ticket(()) as entry:
            assert entry.left_s == pytest.approx(3600.0)

    asyncio.run(run())
    assert world.ends() == {"completed": 3}


def test_a_task_that_is_started_inside_has_the_deadline_and_one_outside_has_none() -> None:
    world = World()

    async def left_s() -> float:
        return deadline.left_s()

    async def run() -> list[float]:
        outside = asyncio.create_task(left_s())
        async with world.minute.ticket(()):
            inside = asyncio.create_task(left_s())
        thread = await asyncio.to_thread(deadline.left_s)
        return [await outside, await inside, thread]

    outside, inside, thread = asyncio.run(run())
    assert outside == thread == float("inf")
    assert 0.0 < inside <= 60.0


def test_a_refused_ticket_raises_its_reason_and_never_enters_the_block() -> None:
    world = World()
    world.engine.drain("a")

    async def run() -> None:
        async with world.hour.ticket((), request_id="r", enforce=True):
            raise AssertionError("entered")

    with pytest.raises(JobRejected) as refused:
        asyncio.run(run())
    assert (refused.value.reason, refused.value.retry_after_s) == ("no_resource", None)
    assert world.journal.refusals[0].request_id == "r"


@pytest.mark.parametrize("enforce", [False, True])
@pytest.mark.parametrize(
    ("error", "end"),
    [
        (None, "completed"),
        (ValueError, "failed"),
        (asyncio.CancelledError, "cancelled"),
        (TimeoutError, "failed"),
    ],
)
def test_how_the_block_ends_settles_the_job(
    error: type[BaseException] | None, end: str, enforce: bool
) -> None:
    world = World()

    async def run() -> None:
        async with world.hour.ticket((), enforce=enforce):
            if error is not None:
                raise error

    try:
        asyncio.run(run())
    except BaseException as raised:
        assert type(raised) is error  # noqa: PT017
    assert world.ends() == {end: 1}


def test_what_the_block_has_settled_stays() -> None:
    world = World()

    async def run() -> None:
        async with world.hour.ticket(()) as entry:
            entry.complete(0.25)
        with suppress(ValueError):
            async with world.hour.ticket(()) as entry:
                entry.complete(0.25)
                raise ValueError

    asyncio.run(run())
    assert world.ends() == {"completed": 2}


def test_a_cancelled_task_cancels_its_job_and_stays_cancelled() -> None:
    world = World()

    async def run() -> None:
        inside = asyncio.Event()

        async def hold() -> None:
            async with world.hour.ticket((), enforce=True):
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(hold())
        await inside.wait()
        task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled()

    asyncio.run(run())
    assert world.ends() == {"cancelled": 1}


def test_enforced_the_block_ends_with_its_deadline_and_the_job_is_timed_out() -> None:
    world = World()

    async def run() -> None:
        with pytest.raises(JobTimedOut):
            async with world.hour.ticket((), deadline_s=0.02, enforce=True):
                await asyncio.Event().wait()
        with pytest.raises(JobTimedOut):  # of the outer block
            async with world.hour.ticket((), deadline_s=0.5), world.hour.ticket((), enforce=True):
                await asyncio.Event().wait()
        await asyncio.sleep(0)  # the task itself is not cancelled

    asyncio.run(run())
    assert world.ends() == {"timed_out": 2, "failed": 1}


def test_enforced_a_first_token_that_does_not_come_ends_the_block_and_one_that_came_lets_it_go_on() -> None:
    world = World()
    chat = world.route("llm", "chat")

    async def run() -> None:
        with pytest.raises(JobTimedOut):
            async with chat.ticket((), deadline_s=0.02, enforce=True):
                await asyncio.Event().wait()
        async with chat.ticket((), deadline_s=0.02, enforce=True) as entry:
            entry.first()
            over = asyncio.Event()
            asyncio.get_running_loop().call_later(max(0.0, entry.left_s) + 1e-3, over.set)
            await over.wait()
            entry.complete(tokens=3)

    asyncio.run(run())
    assert world.ends("chat") == {"timed_out": 1, "completed": 1}


def test_a_generator_that_is_dropped_half_way_cancels_its_job() -> None:
    world = World()

    async def tokens() -> AsyncIterator[int]:
        async with world.hour.ticket(()):
            for i in range(10):
                yield i

    async def run() -> None:
        async for i in tokens():
            if i == 3:
                break
        for _ in range(3):  # the loop closes it in a task of its own
            await asyncio.sleep(0)

    asyncio.run(run())
    assert world.ends() == {"cancelled": 1}


def steps(coroutine: Any) -> int:
    """How often it gives the loop a turn."""
    n = 0
    try:
        while True:
            coroutine.send(None)
            n += 1
    except StopIteration:
        return n


def test_a_ticket_takes_no_turn_of_the_loop() -> None:
    """Stepped by hand: a block without an await of its own runs to its end in one step, refused or not."""
    world = World()

    async def hold() -> None:
        async with world.hour.ticket(()):
            pass

    async def ask() -> None:
        with pytest.raises(EntryRefused):
            async with world.hour.ticket(()):
                pass

    assert steps(hold()) == 0
    world.engine.drain("a")
    assert steps(ask()) == 0


@pytest.mark.skipif(
    not hasattr(resource, "RUSAGE_THREAD"), reason="switches of one thread are counted on Linux"
)
@pytest.mark.parametrize("enforce", [False, True])
def test_a_ticket_never_waits_for_anything(enforce: bool) -> None:
    """A sleep, a lock that is held, a file or a socket gives the processor away: a voluntary switch of the thread,
    which the kernel counts; being preempted is none. So this holds on a machine that is as busy as it likes. Two in a
    hundred tickets are left for a page that must be read."""
    world, n = World(), 1000

    async def hold(times: int) -> int:
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        for _ in range(times):
            async with world.hour.ticket((), enforce=enforce):
                pass
        return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before

    asyncio.run(hold(10))
    assert asyncio.run(hold(n)) <= n // 50
    assert world.ends() == {"completed": n + 10}


def test_under_load_no_turn_of_the_loop_takes_a_time_that_a_request_would_feel() -> None:
    """A probe of the loop's lag around each entering and leaving, of 50 tasks at once while a thread decides through
    the same engine: processor time (not the clock, the machine may be busy) of the longest turn under 20 ms. One
    takes some 30 us; a collection of garbage may fall into it."""
    world, n_tasks, n_tickets = World(), 50, 20
    longest_s, n_other, stop = 0.0, 0, threading.Event()

    async def serve() -> None:
        nonlocal longest_s
        for _ in range(n_tickets):
            held = world.patient.ticket((), enforce=True)
            for turn in (held.__aenter__, lambda: held.__aexit__(None, None, None)):  # noqa: B023
                before_s = time.thread_time()
                await turn()
                longest_s = max(longest_s, time.thread_time() - before_s)
                await asyncio.sleep(0)

    def decide() -> None:
        nonlocal n_other
        while not stop.is_set():
            world.journal.select(world.patient.route, ()).complete()
            n_other += 1

    async def run() -> None:
        await asyncio.gather(*(serve() for _ in range(n_tasks)))

    thread = threading.Thread(target=decide)
    thread.start()
    try:
        asyncio.run(run())
    finally:
        stop.set()
        thread.join()
    assert world.ends("patient") == {"completed": n_tasks * n_tickets + n_other}
    assert 0.0 < longest_s < 0.02
