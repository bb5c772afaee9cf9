"""The gateway before two backends of plain HTTP, under the suite of all adapters."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import ClassVar

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tailwise.adapters.gateway.config import parse
from tailwise.adapters.gateway.fleet import Fleet
from tailwise.adapters.gateway.server import Server
from tailwise.adapters.journal import Journal
from tests.adapters.conformance import DEADLINE, Call, Conformance, Told, Work, WorkFailed
from tests.adapters.gateway.world import serving
from tests.adapters.loopback import loopback

CONFIG = """
[gateway]
port = 0
attempts = 1
default_class = "normal"

[[model]]
name = "net"
api = "http"
paths = ["/run"]

[[qos]]
name = "urgent"
deadline_s = 2.0

[[qos]]
name = "normal"
deadline_s = 20.0
priority = 1
"""


class TestGateway(Conformance):
    config: ClassVar[str] = CONFIG
    slots: ClassVar[int | None] = None

    def server(self, work: Work) -> Starlette:
        async def run(request: Request) -> Response:
            told = request.headers.get(DEADLINE)
            try:
                await work(None if told is None else float(told) / 1e3)
            except WorkFailed:
                return Response("failed", 500)
            return JSONResponse({"done": True})

        return Starlette(routes=[Route("/run", run, methods=["POST"])])

    @asynccontextmanager
    async def adapter(self, journal: Journal, work: Work) -> AsyncIterator[Call]:
        app = self.server(work)
        async with AsyncExitStack() as stack:
            urls = [await stack.enter_async_context(loopback(app)) for _ in "ab"]
            data = tomllib.loads(self.config)
            data["backend"] = [{"name": name, "url": url} for name, url in zip("ab", urls, strict=True)]
            if self.slots is not None:
                data["backend"] = [table | {"slots": self.slots} for table in data["backend"]]
            fleet = Fleet(parse(data, "test.toml"), journal=journal)
            server = await stack.enter_async_context(serving(Server(fleet, signals=False)))
            client = await stack.enter_async_context(httpx2.AsyncClient(base_url=server.url, timeout=60.0))

            async def call(headers: dict[str, str]) -> Told:
                response = await client.post("/run", headers=headers)
                return Told.of_response(response.status_code, response.headers, response.content)

            yield call
