"""Connections to one backend that are kept between requests.

httpcore2's own pool looks at every idle connection, by a system call each, for every request: with 32 of them that is
more than all that the gateway does. Here the one used last goes first, and only that is looked at.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque

import httpcore2

__all__ = ["Connections", "Taken"]

#: Seconds after which an idle connection is closed: below the 5 s of uvicorn, whose backends would close it in the
#: moment in which the next request is sent (vLLM and SGLang run on it).
IDLE_S = 4.0
#: What a server that closes an idle connection makes of a request that was just sent on it.
CLOSED = (httpcore2.RemoteProtocolError, httpcore2.ReadError, httpcore2.WriteError)


class Taken:
    """An answer whose head is there, and the connection on which the rest of it comes."""

    __slots__ = ("_connection", "_owner", "response")

    def __init__(
        self, owner: Connections, connection: httpcore2.AsyncHTTPConnection, response: httpcore2.Response
    ) -> None:
        self._owner = owner
        self._connection: httpcore2.AsyncHTTPConnection | None = connection
        self.response = response

    async def aclose(self) -> None:
        """Keeps the connection when the answer was read to its end, closes it when not. May be called again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await self.response.aclose()
            self._owner._give_back(connection)


class Connections:
    """To one origin; without a limit, since who may be open at once is decided before."""

    def __init__(self, origin: httpcore2.Origin, ssl_context: ssl.SSLContext | None) -> None:
        self._origin = origin
        self._ssl_context = ssl_context
        self._idle: deque[httpcore2.AsyncHTTPConnection] = deque()  # the last used last
        self._sweep_at: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, request: httpcore2.Request) -> Taken:
        """Raises what httpcore2 raises.

        A request that meets the end of a kept connection is sent again on a new one: the backend has closed what was
        idle, and that says nothing of the request, nor of the backend. Its body is bytes, and can be sent twice.
        """
        kept = self._take()
        if kept is not None:
            try:
                return Taken(self, kept, await kept.handle_async_request(request))
            except CLOSED:
                pass
        new = httpcore2.AsyncHTTPConnection(self._origin, self._ssl_context, keepalive_expiry=IDLE_S)
        return Taken(self, new, await new.handle_async_request(request))

    def _take(self) -> httpcore2.AsyncHTTPConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.has_expired():
                return connection
            self._close(connection)
        return None

    def _give_back(self, connection: httpcore2.AsyncHTTPConnection) -> None:
        if not connection.is_idle():
            return  # it closed itself
        self._idle.append(connection)
        if self._sweep_at is None:
            self._sweep_at = asyncio.get_running_loop().call_later(IDLE_S, self._sweep)

    def _sweep(self) -> None:
        """Closes what has been idle for long, while nobody asks for it."""
        self._sweep_at = None
        while self._idle and self._idle[0].has_expired():
            self._close(self._idle.popleft())
        if self._idle:
            self._sweep_at = asyncio.get_running_loop().call_later(IDLE_S / 2, self._sweep)

    def _close(self, connection: httpcore2.AsyncHTTPConnection) -> None:
        closing = asyncio.get_running_loop().create_task(connection.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def aclose(self) -> None:
        """Those that are idle."""
        if self._sweep_at is not None:
            self._sweep_at.cancel()
        while self._idle:
            self._close(self._idle.pop())
        if self._closing:
            await asyncio.wait(self._closing)
