"""A bare reverse proxy of the kind that people write: starlette and one httpx2 client, round robin, nothing learned.

`uvicorn` runs `bare:app`; the environment variable BACKENDS has the base URLs, separated by commas.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

#: Headers that are for one hop only (RFC 9110, 7.6.1), and those that the client writes itself.
HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host", "content-length"}

backends = itertools.cycle(os.environ.get("BACKENDS", "").split(","))


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    limits = httpx2.Limits(max_connections=1000, max_keepalive_connections=1000)
    async with httpx2.AsyncClient(timeout=30.0, limits=limits) as client:
        app.state.client = client
        yield


async def forward(request: Request) -> StreamingResponse:
    client: httpx2.AsyncClient = request.app.state.client
    headers = [(name, value) for name, value in request.headers.items() if name not in HOP]
    body = await request.body()
    url = next(backends) + request.url.path
    response = await client.send(
        client.build_request(request.method, url, headers=headers, content=body), stream=True
    )
    kept = {name: value for name, value in response.headers.items() if name not in HOP - {"content-length"}}

    async def chunks() -> AsyncIterator[bytes]:
        try:
            async for chunk in response.aiter_raw():
                yield chunk
        finally:
            await response.aclose()

    return StreamingResponse(chunks(), response.status_code, kept)


app = Starlette(routes=[Route("/{path:path}", forward, methods=["GET", "POST"])], lifespan=lifespan)
