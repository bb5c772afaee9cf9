"""Clients that leave and backends that fail: nothing is left open, and nobody is left without an answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tailwise.adapters.gateway.server import Server
from tests.adapters.gateway.test_queue import TEXT as QUEUED
from tests.adapters.gateway.world import CONFIG, World, event, fleet_of, play, serving


def closed_port() -> str:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_its_request_at_the_backend(stream: bool) -> None:
    async def scenario(w: World) -> None:
        backend = w.backends[0]
        backend.gate = asyncio.Event()
        gone = asyncio.Event()

        async def waits(request: Request) -> Response:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            gone.set()
            return Response()

        if not stream:
            backend.answer = waits
        asking = asyncio.create_task(w.chat(stream=stream))
        await backend.asked.wait()
        asking.cancel()
        await (backend.left if stream else gone).wait()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        while w.fleet.engine.in_flight:
            await asyncio.sleep(0)
        assert w.decisions[-1].end == "cancelled"

    play(scenario, n=1)


def test_a_request_that_a_backend_fails_is_answered_by_another() -> None:
    answers = [Response("broken", 500), Response("fine")]

    async def scenario(w: World) -> None:
        for backend in w.backends:
            backend.answer = lambda request: answers.pop(0)
        response = await w.chat()
        assert (response.status_code, response.content) == (200, b"fine")
        assert [len(backend.seen) for backend in w.backends] == [1, 1]
        assert [d.end for d in w.decisions] == ["failed", "completed"]
        assert w.fleet.journal.classes["chat (whole)"].offered == 1

    play(scenario)


def test_an_error_of_all_backends_is_passed_as_it_is() -> None:
    async def scenario(w: World) -> None:
        for backend in w.backends:
            backend.answer = lambda request: Response("its own words", 503, {"retry-after": "7"})
        response = await w.chat()
        assert (response.status_code, response.content) == (503, b"its own words")
        assert response.headers["retry-after"] == "7"
        assert [len(backend.seen) for backend in w.backends] == [1, 1]

    play(scenario)


def test_a_backend_that_asks_to_be_left_alone_is() -> None:
    async def scenario(w: World) -> None:
        w.backends[0].answer = lambda request: Response("busy", 429, {"retry-after": "30"})
        for _ in range(8):
            assert (await w.chat()).status_code == 200
        assert len(w.backends[0].seen) <= 1
        w.backends[1].answer = w.backends[0].answer
        refused = [await w.chat() for _ in range(2)][-1]
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "no_resource"
        assert 1 <= int(refused.headers["retry-after"]) <= 30

    play(scenario)


def test_when_no_backend_is_there_the_answer_says_so_and_names_no_address() -> None:
    async def run() -> None:
        fleet = fleet_of(CONFIG, [closed_port(), closed_port()])
        async with (
            serving(Server(fleet, signals=False)) as server,
            httpx2.AsyncClient(base_url=server.url) as client,
        ):
            response = await client.post("/v1/chat/completions", json={"model": "llama"})
        assert (response.status_code, response.json()["error"]["code"]) == (502, "backend_failed")
        assert "127.0.0.1" not in response.text
        assert [d.end for d in fleet.journal.decisions] == ["failed", "failed"]
        assert fleet.engine.in_flight == 0

    asyncio.run(run())


def test_at_the_deadline_a_request_without_an_answer_is_given_up() -> None:
    async def scenario(w: World) -> None:
        w.backends[0].gate = asyncio.Event()
        headers = {"x-tailwise-class": "batch", "x-tailwise-deadline-ms": "50"}
        response = await w.chat(headers=headers)
        assert (response.status_code, response.json()["error"]["code"]) == (504, "timed_out")
        assert w.decisions[-1].end == "timed_out"
        w.backends[0].gate.set()

    play(scenario, n=1)


async def half() -> AsyncIterator[bytes]:
    yield event("llama", {"content": "one"})
    raise ConnectionError


def cut_off(request: Request) -> Response:
    return StreamingResponse(half(), media_type="text/event-stream")


async def unfinished() -> AsyncIterator[bytes]:
    yield event("llama", {"content": "one"})


def without_done(request: Request) -> Response:
    return StreamingResponse(unfinished(), media_type="text/event-stream")


def test_an_answer_that_breaks_off_breaks_off_at_the_client() -> None:
    async def scenario(w: World) -> None:
        w.backends[0].answer = cut_off
        with pytest.raises(httpx2.RemoteProtocolError):
            await w.chat(stream=True)
        while w.fleet.engine.in_flight:
            await asyncio.sleep(0)
        assert w.decisions[-1].end == "failed"

    play(scenario, n=1)


def test_a_stream_that_ends_before_its_last_event_has_failed() -> None:
    async def scenario(w: World) -> None:
        w.backends[0].answer = without_done
        assert (await w.chat(stream=True)).status_code == 200
        while w.fleet.engine.in_flight:
            await asyncio.sleep(0)
        assert w.decisions[-1].end == "failed"

    play(scenario, n=1)


def test_a_kept_connection_that_the_backend_has_closed_costs_nobody_an_answer() -> None:
    async def scenario(w: World) -> None:
        for _ in range(3):
            w.backends[0].answer = lambda request: Response("fine", headers={"connection": "close"})
            assert (await w.chat()).status_code == 200
            w.backends[0].answer = None
            assert (await w.chat()).status_code == 200
        assert {d.end for d in w.decisions} == {"completed"}

    play(scenario, n=1)


@pytest.mark.parametrize("queued", [False, True])
def test_a_client_that_asks_for_the_impossible_has_no_backend_ejected(queued: bool) -> None:
    text = QUEUED if queued else CONFIG
    path = "/run" if queued else "/v1/chat/completions"

    async def scenario(w: World) -> None:
        body = {"model": "llama", "messages": []}
        gate = asyncio.Event()
        answer = w.backends[0].answer

        async def late(request: Request) -> Response:
            await gate.wait()
            return Response("late")

        w.backends[0].answer = late
        for _ in range(20):  # nothing is known of the backend, and so they are not refused
            response = await w.http.post(path, json=body, headers={"x-tailwise-deadline-ms": "1"})
            assert response.status_code in (429, 504)
        assert w.decisions[-1].end == "timed_out"
        assert w.fleet.engine.health("b0").state == "closed"
        assert w.fleet.engine.health("b0").failures == 0
        gate.set()
        w.backends[0].answer = answer
        assert (await w.http.post(path, json=body)).status_code == 200

    play(scenario, n=1, text=text)


def test_told_to_stop_it_cuts_off_streams_that_outlast_the_time_to_drain_without_a_stack_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(w: World) -> None:
        w.backends[0].gate = asyncio.Event()
        body = {"model": "llama", "messages": [], "stream": True}
        async with w.http.stream("POST", "/v1/chat/completions", json=body) as response:
            chunks = response.aiter_raw()
            await anext(chunks)
            w.server.stop()
            with pytest.raises(httpx2.RemoteProtocolError):
                async for _ in chunks:
                    pass
        w.backends[0].gate.set()
        assert w.decisions[-1].end == "cancelled"

    play(scenario, n=1, text=CONFIG.replace("hedge = false", "hedge = false\ndrain_s = 0"))
    assert any("is cut off, since the gateway stops" in record.message for record in caplog.records)
    assert [record.message for record in caplog.records if record.exc_info] == []
