"""A real server on loopback that tells its load as it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Metrics:
    """page: what is served. answer: a whole response instead, sent as it is; b"" hangs. polls: how many came."""

    def __init__(self, page: str) -> None:
        self.page = page
        self.answer: bytes | None = None
        self.polls = 0
        self.most_at_once = 0
        self.url = ""
        self.before: Callable[[], None] = lambda: None  # run when a request is there, before it is answered
        self._at_once = 0
        self._came = asyncio.Condition()

    async def polled(self, times: int) -> None:
        """Waits for so many polls in all."""
        async with self._came:
            await self._came.wait_for(lambda: self.polls >= times)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
                self.before()
                async with self._came:
                    self.polls += 1
                    self._came.notify_all()
                if self.answer == b"":
                    await reader.read()  # until the client gives up
                body = self.page.encode()
                head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode()
                writer.write(head + body if self.answer is None else self.answer)
                await writer.drain()
                self._at_once -= 1
                if self.answer is not None:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def served(*pages: str) -> AsyncIterator[list[Metrics]]:
    metrics = [Metrics(page) for page in pages]
    servers = [await asyncio.start_server(m.serve, "127.0.0.1", 0) for m in metrics]
    for m, server in zip(metrics, servers, strict=True):
        m.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"
    try:
        yield metrics
    finally:
        for server in servers:
            server.close()
            await server.wait_closed()
