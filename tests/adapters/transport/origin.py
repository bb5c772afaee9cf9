"""Backends that do as they are told: raw sockets on loopback, each answer a list of steps."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self, TypeAlias

__all__ = ["Origin", "Received", "Step", "chunk", "events", "whole"]


class Step(Enum):
    CLOSE = "close the connection"
    ABORT = "reset it"
    HOLD = "say nothing until let go"
    ENDLESS = "send chunks until nobody reads them"


Script: TypeAlias = Sequence[bytes | Step]


@dataclass(frozen=True, slots=True)
class Received:
    """One request, as it came in."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Origin:
    """One server in a thread of its own. scripts: the answers in turn, the last one for ever."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = [list(script) for script in scripts]
        self.received: list[Received] = []
        self._change = threading.Condition()
        self._n_open = self._n_held = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def let_go(self) -> None:
        """Goes on where it holds, now and from now on."""
        self._loop.call_soon_threadsafe(self._go.set)

    def wait_until_held(self, n: int = 1) -> None:
        with self._change:
            assert self._change.wait_for(lambda: self._n_held >= n, 30.0)

    def wait_until_left(self) -> None:
        """No client has a connection open."""
        with self._change:
            assert self._change.wait_for(lambda: self._n_open == 0, 30.0)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30.0)
        assert not self._thread.is_alive()

    async def _serve(self) -> None:
        self._loop, self._stop, self._go = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._converse(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._change:
            self._n_open += 1
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            with self._change:
                self._n_open -= 1
                self._change.notify_all()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """False: the connection is over."""
        self.received.append(await receive(reader))
        script = self.scripts[0] if len(self.scripts) == 1 else self.scripts.pop(0)
        for step in script:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif step is Step.HOLD:
                await self._hold(reader)
            elif step is Step.ENDLESS:
                while not reader.at_eof():
                    writer.write(chunk(b"x" * 1000))
                    await writer.drain()
            else:
                if step is Step.ABORT:
                    writer.transport.abort()
                return False
        return True

    async def _hold(self, reader: asyncio.StreamReader) -> None:
        """Until let go, or until the client has gone."""
        with self._change:
            self._n_held += 1
            self._change.notify_all()
        waits = {asyncio.create_task(self._go.wait()), asyncio.create_task(reader.read(1))}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        if not self._go.is_set():
            raise ConnectionError("the client has gone")


async def receive(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, value in (re.split(r":\s*", line, maxsplit=1) for line in lines)}
    body = b""
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    elif headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    return Received(method, target, headers, body)


def whole(body: bytes, status: int = 200, **headers: str) -> bytes:
    """A whole answer with its length; of a header's name, _ is -."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {status} Said", f"content-length: {len(body)}", *lines])
    return head.encode() + b"\r\n\r\n" + body


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; empty = its end."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def events(status: int = 200) -> bytes:
    """The head of an event stream in chunks."""
    return f"HTTP/1.1 {status} Said\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".encode()
