"""ASGI middleware: a request gets its class from its headers and its resource from the engine, and how its response
ends settles the job. For Starlette, FastAPI and bare ASGI apps on asyncio; imports none of them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import nullcontext, suppress
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from tailwise.adapters.asyncio import TimeLimit
from tailwise.adapters.by_class import ByClass
from tailwise.adapters.deadline import Deadline, within
from tailwise.adapters.entry import Entry
from tailwise.adapters.journal import Journal
from tailwise.adapters.refusal import EntryRefused, Refusal, refuse
from tailwise.adapters.slo import HeaderError
from tailwise.errors import ConfigError, JobExpired, JobRejected, JobTimedOut, QueueFull, TicketError

__all__ = ["TailwiseMiddleware", "decide"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

JOBS = "tailwise.jobs"  #: key in the scope of the request's `RequestJobs`


class TailwiseMiddleware:
    """Decides on requests and settles their jobs by how the response ends.

    Completed once the last chunk of a 2xx response was sent; failed by a 5xx, an exception, or an app that returns
    before the end; cancelled by any other status (the model has not run, or not to its end) and where the client has
    left by then. The first chunk of a stream is the first token where the model has two signals. What the handler has
    settled itself, `with entry:` around the run, stays: use that where the rest of the response takes long.

    journal: decides and counts. routes: the model or family of each path, {"/classify": "resnet50"}; POST, or the
    method that is said: {"GET /embed": "minilm"}. Its handler finds the entry in `request.state.tailwise`; what other
    paths run asks for it by `decide`. features: of the ASGI scope, the x of `Route.select`; None = (). default:
    name of the class of requests that ask for none. enforce: ends the handler when the job's time is over (504).
    Add it inside of what answers errors: `app.add_middleware(TailwiseMiddleware, journal=journal)` does.
    """

    def __init__(
        self,
        app: App,
        journal: Journal,
        routes: Mapping[str, str] = MappingProxyType({}),
        features: Callable[[Scope], Any] | None = None,
        default: str | None = None,
        enforce: bool = False,
    ) -> None:
        self.app = app
        self.journal = journal
        self.default = default
        self.enforce = enforce
        self._features = features
        self._known: dict[tuple[str, str | None], ByClass] = {}
        self._routes = {
            tuple(path.rpartition(" ")[::2]): self.by_class(m, default) for path, m in routes.items()
        }

    def by_class(self, model: str, default: str | None) -> ByClass:
        """Resolves names once."""
        if (model, default) not in self._known:
            self._known[model, default] = ByClass(self.journal, model, default)
        return self._known[model, default]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with within(math.inf, self.journal.engine.clock) as deadline:
            jobs = scope[JOBS] = RequestJobs(self, scope, receive, send, deadline)
            try:
                async with jobs.limit or nullcontext():
                    self._decide_by_path(scope, jobs)
                    await self.app(scope, jobs.receive, jobs.send)
            except (HeaderError, JobRejected, QueueFull, JobExpired, JobTimedOut) as error:
                jobs.settle("fail")
                if jobs.status is not None:
                    raise
                await _answer(send, refuse(error))
            except Exception:
                jobs.settle("cancel" if jobs.left else "fail")
                raise
            except BaseException:
                jobs.settle("cancel")
                raise
            jobs.settle("cancel" if jobs.left else "fail")

    def _decide_by_path(self, scope: Scope, jobs: RequestJobs) -> None:
        method, path = scope["method"], scope["path"]
        by_class = self._routes.get((method, path))
        if by_class is None and method == "POST":
            by_class = self._routes.get(("", path))
        if by_class is not None:
            jobs.decide(by_class, () if self._features is None else self._features(scope))


class RequestJobs:
    """The jobs of one request, one as a rule, between the server and the app."""

    def __init__(
        self, middleware: TailwiseMiddleware, scope: Scope, receive: Receive, send: Send, deadline: Deadline
    ) -> None:
        self.middleware = middleware
        self.limit = TimeLimit() if middleware.enforce else None
        self.status: int | None = None
        self.left = False  #: the client has, before the response ended
        self._scope = scope
        self._receive = receive
        self._send = send
        self._deadline = deadline
        self._arrival_s = middleware.journal.engine.clock.now_ns() * 1e-9
        self._entries: list[Entry] = []
        self._unread: list[Message] = []
        scope.setdefault("state", {})

    def decide(self, by_class: ByClass, x: Any, Z: Any = None, **options: Any) -> Entry:
        slo = by_class.read(self._scope["headers"])
        entry = by_class.select(slo, x, Z, arrival_s=self._arrival_s, **options)
        if not entry.admitted:
            raise EntryRefused(entry)
        self._entries.append(entry)
        self._scope["state"]["tailwise"] = entry
        waited_s = by_class.journal.engine.clock.now_ns() * 1e-9 - self._arrival_s
        end_left_s = min(entry.end_left_s, math.inf if slo.deadline_s is None else slo.deadline_s - waited_s)
        self._deadline.shorten(end_left_s)
        if self.limit is not None:
            self.limit.hold(entry, end_left_s)
        return entry

    def settle(self, end: Literal["complete", "fail", "cancel"]) -> None:
        """What is still open."""
        if self.limit is not None:
            self.limit.release()
        for entry in self._entries:
            if not entry.settled:
                with suppress(TicketError):  # a thread of the handler was faster
                    getattr(entry, end)()

    async def receive(self) -> Message:
        message = self._unread.pop() if self._unread else await self._receive()
        self.left = self.left or message["type"] == "http.disconnect"
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

    async def _has_left(self) -> bool:
        """Whether the server knows already that the client is gone: what it has received then comes at once."""
        if not self.left and not self._unread:
            with suppress(TimeoutError):
                async with asyncio.timeout(0):
                    message = await self._receive()
                    self._unread.append(message)
                    self.left = message["type"] == "http.disconnect"
        return self.left


def decide(
    request: Mapping[str, Any],
    model: str,
    x: Any,
    Z: Any = None,
    *,
    default: str | None = None,
    **options: Any,
) -> Entry:
    """The entry of a job that this request asks for, by its headers; settled by how its response ends.

    request: Starlette's, FastAPI's, or the ASGI scope; it has passed a TailwiseMiddleware. default: name of the class
    of requests that ask for none; None = the middleware's. x, Z, options: as in `Route.select`.
    Raises HeaderError and EntryRefused, which the middleware answers by 400, 429 or 503.
    """
    jobs = request.get(JOBS)
    if not isinstance(jobs, RequestJobs):
        raise ConfigError(
            "this request has passed no TailwiseMiddleware: app.add_middleware(TailwiseMiddleware, ...)"
        )
    middleware = jobs.middleware
    return jobs.decide(middleware.by_class(model, default or middleware.default), x, Z, **options)


async def _answer(send: Send, refusal: Refusal) -> None:
    headers = [(name.encode(), value.encode()) for name, value in refusal.headers]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": refusal.body})
