"""A real server on the loopback interface for the length of a block, in the loop of the test."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn


class Loopback(uvicorn.Server):
    """Says when it listens, and leaves the signals to the test."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@asynccontextmanager
async def loopback(app: Any, **options: Any) -> AsyncIterator[str]:
    """Its base URL. options: uvicorn's."""
    # of a socket that does not say it is TCP's, asyncio leaves Nagle's algorithm on: 40 ms a response
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        server = Loopback(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=5, **options))
        serving = asyncio.create_task(server.serve([listening]))
        try:
            ready = asyncio.create_task(server.listens.wait())
            await asyncio.wait((serving, ready), return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
            assert server.listens.is_set(), "the server did not start"
            yield "http://{}:{}".format(*listening.getsockname())
        finally:
            server.should_exit = True
            await serving
