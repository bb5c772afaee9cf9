"""An open-loop client: requests leave when they are due, whatever became of those before.

Plain asyncio streams with connections that are kept: it shares the cores with what it measures, and a client library
would take more of them than the proxy.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Answer", "Due", "play"]

#: A request without an answer for so long is lost.
GIVE_UP_S = 10.0


@dataclass(frozen=True, slots=True)
class Due:
    """One request: seconds after the start, its class, its body."""

    at_s: float
    qos: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request: seconds from when it was due to the last byte; status 0 = no answer."""

    due: Due
    status: int
    seconds: float
    served_by: str


async def play(port: int, path: str, dues: Sequence[Due]) -> list[Answer]:
    """Sends each to 127.0.0.1:port when it is due. In the order of `dues`."""
    kept: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    start_s = time.perf_counter()

    async def one(due: Due) -> Answer:
        status, served_by = 0, ""
        try:
            async with asyncio.timeout(GIVE_UP_S):
                while True:
                    old = bool(kept)
                    stream = kept.pop() if old else await asyncio.open_connection("127.0.0.1", port)
                    try:
                        status, served_by = await _exchange(*stream, path, due)
                    except (OSError, asyncio.IncompleteReadError, ValueError):
                        stream[1].close()
                        if not old:  # a kept connection may have been closed just now, by right
                            raise
                    else:
                        kept.append(stream)
                        break
        except (OSError, asyncio.IncompleteReadError, ValueError, TimeoutError):
            status = 0
        return Answer(due, status, time.perf_counter() - start_s - due.at_s, served_by)

    tasks = []
    for due in dues:
        ahead_s = due.at_s - (time.perf_counter() - start_s)
        if ahead_s > 0.0:
            await asyncio.sleep(ahead_s)
        tasks.append(asyncio.create_task(one(due)))
    answers = await asyncio.gather(*tasks)
    for _, writer in kept:
        writer.close()
    return answers


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, due: Due
) -> tuple[int, str]:
    """Status and who served it. Raises OSError, IncompleteReadError, ValueError for what is no whole answer."""
    writer.write(
        f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        f"x-tailwise-class: {due.qos}\r\ncontent-length: {len(due.body)}\r\n\r\n".encode()
        + due.body
    )
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
        await reader.readuntil(b"\r\n")
    else:
        await reader.readexactly(int(headers["content-length"]))
    return int(lines[0].split(" ", 2)[1]), headers.get("x-served-by", "")
