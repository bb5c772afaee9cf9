"""A gateway between real backends and real clients, on loopback and in one event loop: tests need no sleep."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, ClassVar

import httpx2
from openai import AsyncOpenAI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tailwise.adapters.gateway.config import parse
from tailwise.adapters.gateway.fleet import Fleet
from tailwise.adapters.gateway.server import Server
from tests.adapters.loopback import loopback

GIVE_UP_S = 60.0

CONFIG = """
[gateway]
port = 0
seed = 7
hedge = false

[[model]]
name = "llama"
aliases = ["default"]

[[qos]]
name = "chat"
ttft_s = 30.0
tpot_s = 1.0

[[qos]]
name = "batch"
deadline_s = 30.0
priority = 1
"""


@dataclass
class Seen:
    """A request as a backend got it."""

    method: str
    target: str
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value.decode("latin-1") for key, value in self.headers if key == name.encode()]


@dataclass
class Backend:
    """Speaks OpenAI's protocol. words: of its answer. gate: it waits there before the last word, if there is one.
    answer: what it answers instead."""

    name: str
    words: tuple[str, ...] = ("one", " two", " three")
    gate: asyncio.Event | None = None
    answer: Callable[[Request], Awaitable[Response] | Response] | None = None
    seen: list[Seen] = field(default_factory=list)
    n_open: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)  #: a client went away before its answer's end
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    path: ClassVar[str] = ""  #: put before each request's, by the gateway

    def app(self) -> Starlette:
        methods = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]
        return Starlette(routes=[Route("/{path:path}", self._serve, methods=methods)])

    async def _serve(self, request: Request) -> Response:
        body = await request.body()
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        self.seen.append(Seen(request.method, target, list(request.headers.raw), body))
        self.asked.set()
        if self.answer is not None:
            answer = self.answer(request)
            return answer if isinstance(answer, Response) else await answer
        asked = json.loads(body)
        usage = {
            "prompt_tokens": 7,
            "completion_tokens": len(self.words),
            "total_tokens": 7 + len(self.words),
        }
        if asked.get("stream"):
            return StreamingResponse(self._events(asked["model"], usage), media_type="text/event-stream")
        if self.gate is not None:
            await self.gate.wait()
        message = {"role": "assistant", "content": "".join(self.words)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return JSONResponse(head(asked["model"], "chat.completion") | {"choices": [choice], "usage": usage})

    async def _events(self, model: str, usage: dict[str, int]) -> AsyncIterator[bytes]:
        ended = False
        try:
            yield event(model, {"role": "assistant", "content": ""})
            for at, word in enumerate(self.words):
                if self.gate is not None and at == len(self.words) - 1:
                    await self.gate.wait()
                yield event(model, {"content": word})
            yield event(model, {}, usage)
            yield b"data: [DONE]\n\n"
            ended = True
        finally:
            if not ended:
                self.left.set()


def head(model: str, kind: str) -> dict[str, Any]:
    return {"id": "c-1", "object": kind, "created": 1, "model": model}


def event(model: str, delta: dict[str, Any], usage: dict[str, int] | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": None if usage is None else "stop"}
    told = head(model, "chat.completion.chunk") | {"choices": [choice], "usage": usage}
    return b"data: " + json.dumps(told).encode() + b"\n\n"


@dataclass
class World:
    server: Server
    backends: list[Backend]
    http: httpx2.AsyncClient
    openai: AsyncOpenAI

    @property
    def fleet(self) -> Fleet:
        return self.server.fleet

    @property
    def decisions(self) -> Any:
        return self.fleet.journal.decisions

    async def chat(self, *, stream: bool = False, **more: Any) -> httpx2.Response:
        headers = more.pop("headers", None)
        body = {
            "model": "llama",
            "messages": [{"role": "user", "content": "say it"}],
            "stream": stream,
        } | more
        return await self.http.post("/v1/chat/completions", json=body, headers=headers)


@contextlib.asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Server]:
    """The gateway while it serves, in the loop of the test."""
    started = asyncio.Event()
    task = asyncio.create_task(server.serve(lambda _: started.set()))
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    try:
        waiting.cancel()
        assert started.is_set(), "the gateway did not start"
        yield server
    finally:
        server.stop()
        await task


def fleet_of(text: str, urls: list[str]) -> Fleet:
    """A gateway's file over these backends, named b0, b1 ..; keys of [each_backend] are of all."""
    data = tomllib.loads(text)
    more = data.pop("each_backend", {})
    data["backend"] = [{"name": f"b{i}", "url": url} | more for i, url in enumerate(urls)]
    return Fleet(parse(data, "test.toml"))


@contextlib.asynccontextmanager
async def world(n: int = 2, text: str = CONFIG) -> AsyncIterator[World]:
    backends = [Backend(f"b{i}") for i in range(n)]
    async with contextlib.AsyncExitStack() as stack:
        for backend in backends:
            backend.url = await stack.enter_async_context(loopback(backend.app()))
        fleet = fleet_of(text, [backend.url + backend.path for backend in backends])
        server = await stack.enter_async_context(serving(Server(fleet, signals=False)))
        http = await stack.enter_async_context(
            httpx2.AsyncClient(base_url=server.url, timeout=GIVE_UP_S, trust_env=False)
        )
        openai = AsyncOpenAI(
            base_url=f"{server.url}/v1", api_key="sk-client", http_client=None, max_retries=0
        )
        stack.push_async_callback(openai.close)
        yield World(server, backends, http, openai)


def play(scenario: Callable[[World], Awaitable[None]], n: int = 2, text: str = CONFIG) -> None:
    """Runs a scenario; whatever it does, no ticket and no request is left open."""

    async def run() -> None:
        async with asyncio.timeout(GIVE_UP_S), world(n, text) as w:
            await scenario(w)
            await settled(w)
        assert w.fleet.engine.in_flight == 0
        assert w.server.app.n_open == 0

    os.environ.pop("HTTP_PROXY", None)
    asyncio.run(run())


class Threaded:
    """A world in a thread of its own, for tests that block."""

    def __init__(self, n: int = 2, text: str = CONFIG) -> None:
        self.loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._ready: Future[World] = Future()
        self._thread = threading.Thread(target=lambda: self.loop.run_until_complete(self._run(n, text)))
        self._thread.start()
        self.world = self._ready.result(GIVE_UP_S)

    async def _run(self, n: int, text: str) -> None:
        async with world(n, text) as w:
            self._ready.set_result(w)
            await self._over.wait()

    def settle(self) -> None:
        """Until no ticket and no request is open. Raises TimeoutError."""
        asyncio.run_coroutine_threadsafe(settled(self.world), self.loop).result(GIVE_UP_S)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self.loop.close()


async def connected(w: World) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = w.server.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def raw(w: World, body: bytes, headers: bytes = b"", *, framed: bool = True) -> bytes:
    """Bytes to and fro on a connection of its own. framed: with the body's length."""
    reader, writer = await connected(w)
    length = b"content-length: %d\r\n" % len(body) if framed else b""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n"
    writer.write(head + headers + length + b"\r\n" + body)
    answer = await reader.read()
    writer.close()
    return answer


async def settled(w: World) -> None:
    """What the client has seen the end of, the gateway ends in its next steps."""
    while w.fleet.engine.in_flight or w.server.app.n_open:
        await asyncio.sleep(0)
