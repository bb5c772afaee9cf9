"""Taking and settling tickets never holds up the loop."""

from __future__ import annotations

import asyncio
import gc
import resource
import threading
import time
from typing import Any

import pytest

from tailwise.adapters.refusal import EntryRefused
from tests.adapters.asyncio_world import World


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
    takes some 30 us."""
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
    gc.disable()  # a collection is the process's, and as long as what other tests have left
    thread.start()
    try:
        asyncio.run(run())
    finally:
        stop.set()
        thread.join()
        gc.enable()
    assert world.ends("patient") == {"completed": n_tasks * n_tickets + n_other}
    assert 0.0 < longest_s < 0.02
