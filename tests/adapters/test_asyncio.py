"""Tickets of coroutines: settled by how their block ends, their deadline reaching inside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

import tailwise as tw
from tailwise.adapters import deadline
from tailwise.adapters.asyncio import AsyncRoute
from tailwise.adapters.journal import Journal
from tailwise.adapters.refusal import EntryRefused, refuse
from tailwise.adapters.slo import HeaderError, read
from tailwise.errors import JobRejected, JobTimedOut
from tests.adapters.asyncio_world import World
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
    assert world.ends() == {"timed_out": 3}


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
