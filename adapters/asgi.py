"""ASGI middleware: a request gets its class from its headers and its resource from the engine, and how its response
ends settles the job. For Starlette, FastAPI and bare ASGI apps on asyncio; imports none of them."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from types import MappingProxyType
from typing import Any, TypeAlias

from tailwise.adapters.by_class import ByClass
from tailwise.adapters.deadline import within
from tailwise.adapters.entry import REFUSALS, Entry
from tailwise.adapters.journal import Journal
from tailwise.adapters.refusal import Refusal, refuse
from tailwise.adapters.request import Receive, RequestJobs, Scope, Send
from tailwise.errors import ConfigError, JobTimedOut

__all__ = ["TailwiseMiddleware", "decide"]

App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

JOBS = "tailwise.jobs"  #: key in the scope of the request's middleware and its jobs


class TailwiseMiddleware:
    """Decides on requests and settles their jobs by how the response ends.

    Completed once the last chunk of a 2xx response was sent; failed by a 5xx, an exception, or an app that returns
    before the end; cancelled by any other status (the model has not run, or not to its end) and where the client has
    left by then. The first chunk of a stream is the first token where the model has two signals. What the handler has
    settled itself, `with entry:` around the run, stays: use that where the rest of the response takes long.

    journal: decides and counts. routes: the model or family of each path, {"/classify": "resnet50"}; POST, or the
    method that is said: {"GET /embed": "minilm"}. Its handler finds the entry in `request.state.tailwise`; what other
    paths run asks for it by `decide`. features: of the ASGI scope, the x of `Route.select`; None = (). default:
    name of the class of requests that ask for none. enforce: ends the handler when the job's time is over (504);
    abort: when the client has left. Both cancel what it awaits; a plain function ends when it returns.
    Add it inside of what answers errors: `app.add_middleware(TailwiseMiddleware, journal=journal)` does.
    Cost: some 45 us of the processor a job, where Starlette takes 8 for the whole request; 8 us for other requests.
    """

    def __init__(
        self,
        app: App,
        journal: Journal,
        routes: Mapping[str, str] = MappingProxyType({}),
        features: Callable[[Scope], Any] | None = None,
        default: str | None = None,
        enforce: bool = False,
        abort: bool = False,
    ) -> None:
        self.app = app
        self.journal = journal
        self.default = default
        self._enforce = enforce
        self._abort = abort
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
            jobs = RequestJobs(
                scope, receive, send, self.journal.engine.clock, deadline, self._enforce, self._abort
            )
            scope[JOBS] = (self, jobs)
            try:
                async with jobs.limit or nullcontext():
                    self._decide_by_path(scope, jobs)
                    await self.app(scope, jobs.receive, jobs.send)
            except (*REFUSALS, JobTimedOut) as error:
                jobs.settle_by(error)
                if jobs.left:
                    return
                if jobs.status is not None:
                    raise
                await _answer(send, refuse(error))
            except BaseException as error:
                jobs.settle_by(error)
                raise
            else:  # what is open then has had no end of a response
                jobs.settle("cancel" if jobs.left else "fail")
            finally:
                jobs.close()

    def _decide_by_path(self, scope: Scope, jobs: RequestJobs) -> None:
        method, path = scope["method"], scope["path"]
        by_class = self._routes.get((method, path))
        if by_class is None and method == "POST":
            by_class = self._routes.get(("", path))
        if by_class is not None:
            jobs.decide(by_class, () if self._features is None else self._features(scope))


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

    Asked for again, it is another job of the same response: none has longer than the one that is due first.

    request: Starlette's, FastAPI's, or the ASGI scope; it has passed a TailwiseMiddleware. default: name of the class
    of requests that ask for none; None = the middleware's. x, Z, options: as in `Route.select`.
    Raises HeaderError and EntryRefused, which the middleware answers by 400, 429 or 503.
    """
    if JOBS not in request:
        raise ConfigError(
            "this request has passed no TailwiseMiddleware: app.add_middleware(TailwiseMiddleware, ...)"
        )
    middleware, jobs = request[JOBS]
    entry: Entry = jobs.decide(middleware.by_class(model, default or middleware.default), x, Z, **options)
    return entry


async def _answer(send: Send, refusal: Refusal) -> None:
    headers = [(name.encode(), value.encode()) for name, value in refusal.headers]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": refusal.body})
