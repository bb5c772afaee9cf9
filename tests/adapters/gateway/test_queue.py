"""Requests that wait in the gateway: for a slot, by priority and deadline, and not for ever."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

import tailwise as tw
from tests.adapters.gateway import test_conformance
from tests.adapters.gateway.world import World, play

TEXT = """
[gateway]
port = 0
seed = 7
queue = true

[[model]]
name = "net"
api = "http"
paths = ["/run"]

[[qos]]
name = "urgent"
deadline_s = 30.0
priority = 0

[[qos]]
name = "batch"
deadline_s = 60.0
priority = 1

[each_backend]
slots = 1
"""


class Gate:
    """Backends that answer one by one, when they are let."""

    def __init__(self, w: World) -> None:
        self.order: list[str] = []
        self.came = asyncio.Queue[str]()
        self._open = asyncio.Semaphore(0)
        self.n_now = self.most = 0
        for backend in w.backends:
            backend.answer = self._answer

    async def _answer(self, request: Request) -> Response:
        name = request.headers["x-name"]
        self.order.append(name)
        self.n_now += 1
        self.most = max(self.most, self.n_now)
        self.came.put_nowait(name)
        await self._open.acquire()
        self.n_now -= 1
        return PlainTextResponse(name)

    def let(self, n: int = 1) -> None:
        for _ in range(n):
            self._open.release()


def ask(w: World, name: str, **headers: str) -> asyncio.Task[httpx2.Response]:
    return asyncio.create_task(w.http.post("/run", headers={"x-name": name, **headers}))


async def queued(w: World, n: int) -> None:
    while len(w.server.app.queue) < n:  # type: ignore[arg-type]
        await asyncio.sleep(0)


def test_a_backend_gets_no_more_than_it_has_slots_for() -> None:
    async def scenario(w: World) -> None:
        gate = Gate(w)
        tasks = [ask(w, str(i)) for i in range(6)]
        await queued(w, 4)
        assert await gate.came.get() != await gate.came.get()
        gate.let(6)
        assert {task.result().status_code for task in tasks if await task} == {200}
        assert gate.most == 2
        assert all(len(backend.seen) >= 1 for backend in w.backends)

    play(scenario, n=2, text=TEXT)


def test_the_urgent_class_is_served_before_the_other() -> None:
    async def scenario(w: World) -> None:
        gate = Gate(w)
        tasks = [ask(w, "first", **{"x-tailwise-class": "batch"})]
        await gate.came.get()
        for n, qos in enumerate(("batch", "urgent", "batch", "urgent"), 1):
            tasks.append(ask(w, f"{qos}{n}", **{"x-tailwise-class": qos}))
            await queued(w, n)
        gate.let(5)
        await asyncio.gather(*tasks)
        assert gate.order == ["first", "urgent2", "urgent4", "batch1", "batch3"]

    play(scenario, n=1, text=TEXT)


def test_a_request_whose_deadline_comes_while_it_waits_is_answered_then_and_never_sent() -> None:
    async def scenario(w: World) -> None:
        gate = Gate(w)
        first = ask(w, "first")
        await gate.came.get()
        response = await ask(w, "second", **{"x-tailwise-deadline-ms": "50"})
        assert (response.status_code, response.json()["error"]["code"]) == (429, "expired")
        gate.let()
        assert (await first).text == "first"
        assert gate.order == ["first"]
        tally = w.fleet.journal.classes["urgent"]
        assert (tally.offered, dict(tally.ended)) == (2, {"completed": 1, "timed_out": 1})

    play(scenario, n=1, text=TEXT)


def test_a_client_that_leaves_while_it_waits_leaves_the_queue() -> None:
    async def scenario(w: World) -> None:
        gate = Gate(w)
        first, second = ask(w, "first"), None
        await gate.came.get()
        second = ask(w, "second")
        await queued(w, 1)
        second.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await second
        while len(w.server.app.queue):  # type: ignore[arg-type]
            await asyncio.sleep(0)
        gate.let()
        assert (await first).text == "first"
        assert gate.order == ["first"]
        assert dict(w.fleet.journal.classes["urgent"].ended) == {"cancelled": 1, "completed": 1}

    play(scenario, n=1, text=TEXT)


def test_told_to_stop_it_answers_those_that_wait_still_when_the_time_to_drain_is_over() -> None:
    async def scenario(w: World) -> None:
        gate = Gate(w)
        tasks = [ask(w, str(i)) for i in range(2)]
        await gate.came.get()
        await queued(w, 1)
        w.server.stop()
        for task in tasks:
            response = await task
            assert (response.status_code, response.json()["error"]["code"]) == (503, "stopping")
            assert response.headers["retry-after"] == "1"
        gate.let(2)
        assert dict(w.fleet.journal.classes["urgent"].ended) == {"cancelled": 2}

    play(scenario, n=1, text=TEXT.replace("seed = 7", "seed = 7\ndrain_s = 0"))


def test_a_request_that_failed_waits_for_a_turn_elsewhere() -> None:
    async def scenario(w: World) -> None:
        answers = [Response("broken", 500), Response("fine")]
        for backend in w.backends:
            backend.answer = lambda request: answers.pop(0)
        response = await w.http.post("/run")
        assert (response.status_code, response.text) == (200, "fine")
        assert [len(backend.seen) for backend in w.backends] == [1, 1]
        assert [d.end for d in w.decisions] == ["failed", "completed"]
        tally = w.fleet.journal.classes["urgent"]
        assert (tally.offered, tally.retries, dict(tally.ended)) == (1, 1, {"completed": 1})

    play(scenario, n=2, text=TEXT)


@pytest.mark.parametrize("mode", ["shadow", "frozen", "bypass"])
def test_queues_serve_in_every_mode(mode: Any) -> None:
    async def scenario(w: World) -> None:
        w.fleet.engine.mode(mode)
        for backend in w.backends:
            backend.answer = lambda request: PlainTextResponse("fine")
        answers = await asyncio.gather(*(w.http.post("/run") for _ in range(10)))
        assert {answer.status_code for answer in answers} == {200}

    play(scenario, n=2, text=TEXT)


class TestQueueingGateway(test_conformance.TestGateway):
    config = test_conformance.CONFIG.replace("attempts = 1", "attempts = 1\nqueue = true")
    slots = 64

    def engine(self) -> tw.Engine:
        return tw.Engine(
            [tw.Resource(name, slots=64, discipline="priority") for name in "ab"],
            [tw.Model(self.model)],
            [tw.QoS("urgent", 2.0, priority=0), tw.QoS("normal", 20.0, priority=1)],
            seed=3,
        )
