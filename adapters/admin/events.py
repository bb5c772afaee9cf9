"""Server-sent events: the picture of an engine, its decisions, its findings, for as long as somebody looks."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable

from starlette.types import Message, Receive, Scope, Send

from tailwise.adapters.admin.guard import refused
from tailwise.adapters.decision import Decision
from tailwise.adapters.journal import Journal

__all__ = ["Events"]

#: Seconds: of a look at the journal, and ticks between snapshots and between findings.
TICK_S, SNAPSHOT_TICKS, DOCTOR_TICKS = 0.25, 4, 20
#: Decisions that one event holds; of more in a tick the latest are sent, and `skipped` counts the others.
MOST_DECISIONS = 24
#: A reader that takes nothing for so long is dropped.
STUCK_S = 10.0
#: Readers at once.
MOST_READERS = 16


class Events:
    """The ASGI endpoint. Nothing is queued for a reader: each tick he gets what is true then, so a slow one costs no
    memory and misses events, and one that takes nothing for ten seconds is dropped.

    picture, findings: JSON texts, worked out in a thread of their own.
    """

    def __init__(
        self, picture: Callable[[], str], findings: Callable[[], str], journal: Journal | None
    ) -> None:
        self._picture, self._findings, self._journal = picture, findings, journal
        self._over = threading.Event()
        self._n_readers = 0

    def close(self) -> None:
        self._over.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") == "HEAD":  # no stream without a body
            return await refused(405, "http", "GET is expected")(scope, receive, send)
        if self._n_readers >= MOST_READERS:
            busy = refused(503, "busy", f"{MOST_READERS} readers are connected, which is the most")
            return await busy(scope, receive, send)
        self._n_readers += 1
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await self._stream(gone, send)
        except (TimeoutError, OSError):  # it reads nothing, or is not there any more
            pass
        finally:
            self._n_readers -= 1
            gone.cancel()

    async def _stream(self, gone: asyncio.Future[None], send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        await _send(send, {"type": "http.response.start", "status": 200, "headers": headers})
        news, tick = _News(self._journal), 0
        text = "retry: 1000\n\n"
        while not (gone.done() or self._over.is_set()):
            if tick % SNAPSHOT_TICKS == 0:
                text += _event("snapshot", await asyncio.to_thread(self._picture))
            if tick % DOCTOR_TICKS == 0:
                text += _event("doctor", await asyncio.to_thread(self._findings))
            text += news.event()
            if text:
                body = {"type": "http.response.body", "body": text.encode(), "more_body": True}
                await _send(send, body)
            text, tick = "", tick + 1
            await asyncio.wait({gone}, timeout=TICK_S)
        await _send(send, {"type": "http.response.body", "body": b""})


class _News:
    """What one reader has not seen of the journal yet: decisions that are new, or have ended since."""

    def __init__(self, journal: Journal | None) -> None:
        self._journal = journal
        self._sent: dict[int, str | None] = {}  # the end that was told, by number, of those still kept
        self._last = 0

    def event(self) -> str:
        """Empty: nothing new."""
        if self._journal is None:
            return ""
        kept = self._journal.decisions
        new = [d for d in kept if d.number > self._last]
        ended = [d for d in kept if d.number in self._sent and self._sent[d.number] != d.end]
        sent = new[-MOST_DECISIONS:]
        self._last = kept[-1].number if kept else 0
        oldest = kept[0].number if kept else 0
        self._sent = {number: end for number, end in self._sent.items() if number >= oldest}
        self._sent.update((d.number, d.end) for d in (*sent, *ended))
        if not sent and not ended:
            return ""
        told: list[Decision] = [*ended, *sent]
        body = {"decisions": [d.to_json() for d in told], "skipped": len(new) - len(sent)}
        return _event("decisions", json.dumps(body))


def _event(name: str, text: str) -> str:
    return f"event: {name}\ndata: {text}\n\n"


async def _send(send: Send, message: Message) -> None:
    async with asyncio.timeout(STUCK_S):
        await send(message)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
