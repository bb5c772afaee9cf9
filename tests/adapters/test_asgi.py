"""Requests to real apps on a real server: what their handlers get, and what becomes of their jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tailwise.adapters import deadline
from tailwise.adapters.asgi import TailwiseMiddleware, decide
from tailwise.adapters.fastapi import ticket
from tailwise.adapters.journal import Entry, Journal
from tests.adapters.conformance import Call, Conformance, Scene, Told, Work
from tests.adapters.loopback import loopback

pytestmark = pytest.mark.timeout(60)


class Served(Conformance):
    """An app behind uvicorn; a client that is cancelled closes its connection."""

    client: Any = httpx2
    body = b"x" * 100

    def app(self, journal: Journal, work: Work) -> Any:
        raise NotImplementedError

    @asynccontextmanager
    async def adapter(self, journal: Journal, work: Work) -> AsyncIterator[Call]:
        app = self.app(journal, work)

        async def overheard(scope: Any, receive: Any, send: Any) -> None:
            self.receive = receive
            await app(scope, receive, send)

        async with loopback(overheard) as url, self.client.AsyncClient(base_url=url, timeout=30.0) as client:

            async def call(headers: dict[str, str]) -> Told:
                try:
                    answer = await client.post("/run", headers=headers, content=self.body)
                except (httpx.RemoteProtocolError, httpx2.RemoteProtocolError):
                    return Told(False)  # the stream ended half-way
                return Told.of_response(answer.status_code, answer.headers, answer.content)

            yield call

    async def noticed(self, scene: Scene) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


class TestMiddlewareOfStarlette(Served):
    def app(self, journal: Journal, work: Work) -> Any:
        async def run(request: Request) -> PlainTextResponse:
            await work(deadline.left_s())
            return PlainTextResponse(request.state.tailwise.resource)

        app = Starlette(routes=[Route("/run", run, methods=["POST"])])
        app.add_middleware(TailwiseMiddleware, journal=journal, routes={"/run": self.model}, default="normal")
        return app


class TestDecisionInAHandlerOfStarlette(Served):
    client = httpx

    def app(self, journal: Journal, work: Work) -> Any:
        async def run(request: Request) -> PlainTextResponse:
            entry = decide(request, self.model, (), default="normal")
            assert len(await request.body()) == 100
            await work(deadline.left_s())
            return PlainTextResponse(entry.resource)

        app = Starlette(routes=[Route("/run", run, methods=["POST"])])
        app.add_middleware(TailwiseMiddleware, journal=journal)
        return app


class TestDependencyOfFastApi(Served):
    def app(self, journal: Journal, work: Work) -> Any:
        app = FastAPI()
        app.add_middleware(TailwiseMiddleware, journal=journal, default="normal")

        @app.post("/run")
        async def run(
            entry: Entry = Depends(ticket(self.model)),  # noqa: B008
        ) -> str:
            await work(deadline.left_s())
            return str(entry.resource)

        return app


class TestStreamOfFastApi(Served):
    client = httpx

    def app(self, journal: Journal, work: Work) -> Any:
        app = FastAPI()
        app.add_middleware(TailwiseMiddleware, journal=journal, default="normal")

        @app.post("/run")
        async def run(
            entry: Entry = Depends(ticket(self.model)),  # noqa: B008
        ) -> StreamingResponse:
            async def chunks() -> AsyncIterator[str]:
                yield "first"
                await work(deadline.left_s())
                yield "last"

            return StreamingResponse(chunks())

        return app


class TestBareApp(Served):
    def app(self, journal: Journal, work: Work) -> Any:
        async def run(scope: Any, receive: Any, send: Any) -> None:
            assert scope["type"] == "http", "this app has no lifespan"
            await work(deadline.left_s())
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": scope["state"]["tailwise"].resource.encode()})

        return TailwiseMiddleware(run, journal, {"/run": self.model}, default="normal")


class TestHandlersThatDisconnectsEnd(Served):
    """The body is more than a server takes at once: what is listened to for the client is handed on whole."""

    body = b"x" * 1_000_000

    def app(self, journal: Journal, work: Work) -> Any:
        self.ended = asyncio.Event()

        async def run(request: Request) -> PlainTextResponse:
            assert len(await request.body()) == len(self.body)
            try:
                await work(deadline.left_s())
            except asyncio.CancelledError:
                for _ in range(2):  # whoever asks again is told again
                    assert (await request.receive())["type"] == "http.disconnect"
                self.ended.set()
                raise
            return PlainTextResponse(request.state.tailwise.resource)

        app = Starlette(routes=[Route("/run", run, methods=["POST"])])
        options = {"routes": {"/run": self.model}, "default": "normal", "abort": True}
        app.add_middleware(TailwiseMiddleware, journal=journal, **options)
        return app

    async def noticed(self, scene: Scene) -> None:
        await self.ended.wait()
        assert not scene.work.release.is_set()
