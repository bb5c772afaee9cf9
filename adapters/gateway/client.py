"""The client's side of a request: its body within bounds, its departure, its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from types import TracebackType
from typing import Any, Self, TypeAlias

from tailwise.adapters.gateway.errors import Problem
from tailwise.adapters.gateway.headers import first

__all__ = ["Gone", "Receive", "Scope", "Send", "Watch", "read_body", "send_whole"]

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Gone(Exception):
    """The client has closed its connection."""


async def read_body(scope: Scope, receive: Receive, *, most: int, seconds: float) -> bytes:
    """The whole body. Raises Problem where it is too large or too slow, Gone."""
    length = first(scope["headers"], b"content-length")
    if length is not None and int(length) > most:  # digits: the parser refuses anything else
        raise _too_large(most)
    message = await receive() if length == b"0" else None
    if message is None:
        try:
            async with asyncio.timeout(seconds):
                return await _gather(receive, most)
        except TimeoutError:
            raise Problem(408, "request_timeout", f"a body must come within {seconds:g} s") from None
    if message["type"] == "http.disconnect":
        raise Gone
    return b""


async def _gather(receive: Receive, most: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        if not message.get("more_body"):
            return b"".join((*chunks, chunk)) if chunks else chunk
        chunks.append(chunk)


def _too_large(most: int) -> Problem:
    return Problem(413, "body_too_large", f"a body has at most {most} bytes")


class Watch:
    """`async with`: leaves the block, wherever it waits, when the client closes its connection; raises Gone then.

    Begins when the whole body was read: then nothing but the end can come from the client.
    """

    __slots__ = ("_over", "_task", "_watcher", "gone")

    def __init__(self, receive: Receive) -> None:
        self.gone = self._over = False
        self._task = asyncio.current_task()
        self._watcher = asyncio.ensure_future(_until_gone(receive))
        self._watcher.add_done_callback(self._leave)

    def _leave(self, watcher: asyncio.Future[None]) -> None:
        if not self._over and not watcher.cancelled() and self._task is not None:
            self.gone = True
            self._task.cancel()

    def over(self) -> None:
        """The answer is about to be complete: what comes then is the end of the request, not of the client."""
        self._over = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over = True
        self._watcher.cancel()
        if (
            self.gone
            and self._task is not None
            and self._task.uncancel() == 0
            and kind is asyncio.CancelledError
        ):
            raise Gone from None


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_whole(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
    """An answer of ours."""
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})
