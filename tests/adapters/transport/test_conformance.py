"""The transports hold what every adapter holds; their work is done by two real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import httpx
import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tailwise.adapters.exchange import by_headers
from tailwise.adapters.httpx import AsyncTransport as HttpxAsync
from tailwise.adapters.httpx import Transport as HttpxBlocking
from tailwise.adapters.httpx2 import AsyncTransport as Httpx2Async
from tailwise.adapters.httpx2 import Transport as Httpx2Blocking
from tailwise.adapters.journal import Journal
from tests.adapters.conformance import DEADLINE, Call, Conformance, Told, Work, WorkFailed
from tests.adapters.loopback import loopback


def server(work: Work) -> Starlette:
    async def job(request: Request) -> PlainTextResponse:
        left_ms = request.headers.get(DEADLINE)
        try:
            await work(None if left_ms is None else float(left_ms) * 1e-3)
        except WorkFailed:
            return PlainTextResponse("failed", 500)
        return PlainTextResponse("done")

    return Starlette(routes=[Route("/job", job, methods=["POST"])])


class OverHttp(Conformance):
    http: Any
    kind: Any
    server = staticmethod(server)
    options: ClassVar[dict[str, Any]] = {}

    @asynccontextmanager
    async def adapter(self, journal: Journal, work: Work) -> AsyncIterator[Call]:
        async with loopback(self.server(work)) as a, loopback(self.server(work)) as b:
            ask = by_headers(journal.engine, self.model, "normal")
            transport = self.kind(journal, {"a": a, "b": b}, ask, tell_deadline=True, **self.options)
            async with self.calling(transport) as call:
                yield call

    @asynccontextmanager
    async def calling(self, transport: Any) -> AsyncIterator[Call]:
        async with self.http.AsyncClient(transport=transport) as client:

            async def call(headers: dict[str, str]) -> Told:
                response = await client.post("http://any/job", headers=headers)
                return Told.of_response(response.status_code, response.headers, response.content)

            yield call


class Blocking(OverHttp):
    gives_up = False

    @asynccontextmanager
    async def calling(self, transport: Any) -> AsyncIterator[Call]:
        with self.http.Client(transport=transport) as client:

            async def call(headers: dict[str, str]) -> Told:
                response = await asyncio.to_thread(client.post, "http://any/job", headers=headers)
                return Told.of_response(response.status_code, response.headers, response.content)

            yield call


class TestHttpxAsync(OverHttp):
    http, kind = httpx, HttpxAsync


class TestHttpx2Async(OverHttp):
    http, kind = httpx2, Httpx2Async


class TestHttpxBlocking(Blocking):
    http, kind = httpx, HttpxBlocking


class TestHttpx2Blocking(Blocking):
    http, kind = httpx2, Httpx2Blocking
