"""The jobs of one ASGI request, between the server and the app: what passes there settles them."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from functools import partial
from typing import Any, Literal, TypeAlias

from tailwise.adapters.asyncio import TimeLimit
from tailwise.adapters.by_class import ByClass
from tailwise.adapters.deadline import Deadline
from tailwise.adapters.entry import Entry
from tailwise.adapters.refusal import EntryRefused
from tailwise.clock import Clock
from tailwise.errors import TicketError

__all__ = ["Message", "Receive", "RequestJobs", "Scope", "Send"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class RequestJobs:
    """The jobs of one request, one as a rule, between the server and the app. One response ends them all, so all have
    the deadline of the one that is due first, whatever their classes allow."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        clock: Clock,
        deadline: Deadline,
        enforce: bool,
        abort: bool,
    ) -> None:
        self.limit = TimeLimit() if enforce or abort else None
        self.status: int | None = None
        self.left = False  #: the client has, before the response ended
        self._scope = scope
        self._receive = receive
        self._send = send
        self._deadline = deadline
        self._clock = clock
        self._enforce = enforce
        self._abort = abort
        self._arrival_s = clock.now_ns() * 1e-9
        self._loop = asyncio.get_running_loop()
        self._entries: list[Entry] = []
        self._unread: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        scope.setdefault("state", {})

    def decide(self, by_class: ByClass, x: Any, Z: Any = None, **options: Any) -> Entry:
        slo = by_class.read(self._scope["headers"])
        entry = by_class.select(slo, x, Z, arrival_s=self._arrival_s, **options)
        if not entry.admitted:
            raise EntryRefused(entry)
        self._entries.append(entry)
        self._scope["state"]["tailwise"] = entry
        waited_s = self._clock.now_ns() * 1e-9 - self._arrival_s
        end_left_s = min(entry.end_left_s, math.inf if slo.deadline_s is None else slo.deadline_s - waited_s)
        self._deadline.shorten(end_left_s)
        if self.limit is not None:
            watch = partial(self._watch, self.limit, entry, end_left_s)
            watch() if _in(self._loop) else self._loop.call_soon_threadsafe(watch)
        return entry

    def _watch(self, limit: TimeLimit, entry: Entry, end_left_s: float) -> None:
        if entry.settled:
            return
        if self._enforce:
            limit.hold(entry, end_left_s)
        if self._abort and self._listening is None:
            self._listening = self._loop.create_task(self._listen())

    def settle(self, end: Literal["complete", "fail", "cancel"]) -> None:
        """What is still open."""
        if self.limit is not None:
            self.limit.release()
        for entry in self._entries:
            if not entry.settled:
                with suppress(TicketError):  # a thread of the handler was faster
                    getattr(entry, end)()

    def settle_by(self, error: BaseException) -> None:
        """What is still open, when this was raised; whoever has left by then cancelled."""
        if self.left:
            self.settle("cancel")
            return
        if self.limit is not None:
            self.limit.release()
        for entry in self._entries:
            entry.settle(error)

    async def receive(self) -> Message:
        while self._listening is not None and not self._unread and not self.left:
            self._arrived.clear()
            await self._arrived.wait()
        if self._unread:
            message = self._unread.popleft()
        elif self._listening is not None:
            return {"type": "http.disconnect"}
        else:
            message = await self._receive()
        self.left = self.left or message["type"] == "http.disconnect"
        if self._listening is not None and message.get("more_body", False):
            self._listening = self._loop.create_task(self._listen())
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        last = kind == "http.response.pathsend"
        if kind == "http.response.start":
            self.status = message["status"]
            if not 200 <= message["status"] < 300:
                self.settle("fail" if message["status"] >= 500 else "cancel")
        elif kind == "http.response.body":
            last = not message.get("more_body", False)
            if not last and message.get("body"):  # what comes whole says nothing of its first token
                self._say_first()
        if last and not all(entry.settled for entry in self._entries) and await self._has_left():
            self.settle("cancel")
        try:
            await self._send(message)
        except OSError:
            self.left = True
            raise
        if last:
            self.settle("complete")

    def _say_first(self) -> None:
        for entry in self._entries:
            if entry.ticket.model.streams and entry.decision.ttft_s is None and not entry.settled:
                with suppress(TicketError):
                    entry.first()

    async def _listen(self) -> None:
        """Takes what comes, one chunk of a body ahead of the app, until the client leaves."""
        while True:
            message = await self._receive()
            self._unread.append(message)
            self._arrived.set()
            if message["type"] == "http.disconnect":
                self.left = True
                if self.limit is not None and not all(entry.settled for entry in self._entries):
                    self.settle("cancel")
                    self.limit.end()
                return
            if message.get("more_body", False):
                return

    async def _has_left(self) -> bool:
        """Whether the server knows already that the client is gone: what it has received then comes at once."""
        if not self.left and (self._listening is None or self._listening.done()):
            with suppress(TimeoutError):
                async with asyncio.timeout(0):
                    message = await self._receive()
                    self._unread.append(message)
                    self.left = message["type"] == "http.disconnect"
        return self.left

    def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()


def _in(loop: asyncio.AbstractEventLoop) -> bool:
    """False in the thread of a plain handler."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
