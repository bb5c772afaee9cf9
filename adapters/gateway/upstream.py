"""Requests on their way to the backends, and answers on theirs back.

The transport of `tailwise.adapters.exchange` decides, retries, hedges and settles. It is given requests and answers
that are no more than it reads: httpx2's own, made twice each on the way, cost as much as the decision thirty times.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpcore2
import httpx2

from tailwise.adapters.entry import Entry
from tailwise.adapters.exchange import Ask, AsyncSender
from tailwise.adapters.exchange.exchange import Exchange, Leg
from tailwise.adapters.gateway.config import Backend
from tailwise.adapters.gateway.connections import Connections, Taken
from tailwise.adapters.gateway.errors import raw
from tailwise.adapters.gateway.headers import Headers, first
from tailwise.adapters.gateway.job import Job
from tailwise.adapters.gateway.queue import Queue, Turn
from tailwise.adapters.gateway.reports import ORCA
from tailwise.adapters.load import ORCA_REQUEST
from tailwise.adapters.refusal import refuse
from tailwise.adapters.slo import DEADLINE, deadline_header
from tailwise.errors import JobExpired

__all__ = ["Answer", "Forwarder", "Outgoing", "Queueing", "Upstreams"]

_DEADLINE = DEADLINE.encode()


class Outgoing:
    """A request as all backends get it; backend: which one, once that is decided. headers: lower case, without host
    and content-length."""

    __slots__ = ("ask", "backend", "headers", "job", "method", "stream", "target")

    def __init__(self, method: str, target: bytes, headers: Headers, job: Job, ask: Ask) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.stream = httpx2.ByteStream(job.body)
        self.job = job
        self.ask = ask
        self.backend: str | None = None
        if job.body or method in ("POST", "PUT", "PATCH"):
            self.headers.append((b"content-length", b"%d" % len(job.body)))

    def to(self, backend: str | None, left_s: float) -> Outgoing:
        """Of a deadline that the client told, the backend is told what is left."""
        other = Outgoing.__new__(Outgoing)
        other.method, other.target, other.headers = self.method, self.target, self.headers
        other.stream, other.job, other.ask, other.backend = self.stream, self.job, self.ask, backend
        if first(self.headers, _DEADLINE) is not None:
            other.headers = [pair for pair in self.headers if pair[0] != _DEADLINE]
            other.headers += [
                (name.encode(), value.encode()) for name, value in deadline_header(left_s).items()
            ]
        return other


class Incoming(httpx2.AsyncByteStream):
    """A backend's answer as it comes: not decoded. headers: by lower-case name, the first of each."""

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self.status_code = taken.response.status
        self.raw: Headers = [(name.lower(), value) for name, value in taken.response.headers]
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(self.raw)}

    @property
    def stream(self) -> Incoming:
        return self

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._taken.response.stream:  # type: ignore[union-attr]
                yield chunk
        except Exception as error:
            raise as_httpx2(error) from error

    async def aclose(self) -> None:
        await self._taken.aclose()


class Answer:
    """What the client gets. headers: lower case. body: chunks, or all of it."""

    __slots__ = ("body", "entry", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: Any, entry: Entry) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.entry = entry


class Forwarder(AsyncSender[Outgoing, Answer]):
    """The transport between a gateway's clients and its backends."""

    http = httpx2

    def _asked(self, request: Outgoing) -> Ask:
        return request.ask

    def _addressed(self, request: Outgoing, entry: Entry) -> Outgoing:
        request.job.sent_to(entry.ticket.lane)
        return request.to(entry.resource, entry.end_left_s)

    def _unopened(self, error: Exception) -> Answer:
        raise error  # the app has answers for those

    def _refused(self, entry: Entry) -> Answer:
        decision = entry.decision
        if decision.reason == "no_resource" and decision.retry_after_s is None:
            decision.retry_after_s = self._reopens_in_s(entry)
        refusal = refuse(entry)
        return Answer(refusal.status, raw(refusal), httpx2.ByteStream(refusal.body), entry)

    def _reopens_in_s(self, entry: Entry) -> float | None:
        """Seconds to the first probe of a backend that is left alone now; None where there is none."""
        engine = self.journal.engine
        names = entry.ticket.model.resources or [resource.name for resource in engine.resources]
        ends = [engine.health(name).until_s for name in names]
        known = [end_s for end_s in ends if end_s is not None]
        return max(0.0, min(known) - engine.clock.now_ns() * 1e-9) if known else None

    def _response(self, leg: Leg, body: Any) -> Answer:
        return Answer(leg.response.status_code, leg.response.raw, body, leg.entry)


class Queueing(Forwarder):
    """A forwarder whose requests wait for their turn here."""

    def __init__(self, queue: Queue, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "hedge": False})
        self._queue = queue

    def _open(self, request: Outgoing) -> Exchange:
        turn = self._queue.submit(request.ask)
        route = self._route(request.ask.model, request.ask.qos)
        return Exchange(request.ask, route, turn, self.backends, replay=True, attempts=self._attempts)

    async def _try(self, exchange: Exchange, entry: Entry, request: Outgoing) -> Leg:
        assert isinstance(entry, Turn)
        try:
            await entry.wait()
        except JobExpired as error:
            leg = Leg(entry)
            leg.error = error
            return leg
        return await super()._try(exchange, entry, request)


class Upstreams:
    """The backends: a request goes to the one that it is for, with that one's key, and to no other address."""

    def __init__(self, backends: Sequence[Backend]) -> None:
        self._by_name = {backend.name: _Upstream(backend) for backend in backends}

    async def handle_async_request(self, request: Outgoing) -> Incoming:
        assert request.backend is not None
        try:
            return Incoming(await self._by_name[request.backend].send(request))
        except Exception as error:
            raise as_httpx2(error) from error

    async def aclose(self) -> None:
        for upstream in self._by_name.values():
            await upstream.connections.aclose()


class _Upstream:
    def __init__(self, backend: Backend) -> None:
        url = urlsplit(backend.url)
        secure = url.scheme == "https"
        host, port = (url.hostname or "").encode("idna"), url.port or (443 if secure else 80)
        self._scheme, self._host, self._port = url.scheme.encode(), host, port
        self._prefix = url.path.encode("ascii")
        key = backend.api_key
        self._key = None if key is None else b"Bearer " + key.encode("latin-1")
        self._own: Headers = [(b"host", url.netloc.encode("idna"))]
        if backend.report == ORCA:
            self._own += [(name.encode(), value.encode()) for name, value in ORCA_REQUEST.items()]
        read_s, connect_s = backend.read_s, backend.connect_s
        self._extensions = {"timeout": {"connect": connect_s, "read": read_s, "write": read_s, "pool": None}}
        context = ssl.create_default_context() if secure else None
        self.connections = Connections(httpcore2.Origin(self._scheme, host, port), context)

    async def send(self, request: Outgoing) -> Taken:
        headers = self._own + request.headers
        if self._key is not None:
            headers = [
                pair for pair in headers if pair[0] not in (b"authorization", b"api-key", b"x-api-key")
            ]
            headers.append((b"authorization", self._key))
        url = httpcore2.URL(
            scheme=self._scheme, host=self._host, port=self._port, target=self._prefix + request.target
        )
        return await self.connections.send(
            httpcore2.Request(
                request.method, url, headers=headers, content=request.stream, extensions=self._extensions
            )
        )


def as_httpx2(error: Exception) -> Exception:
    """httpcore2's exceptions by the names that httpx2 gives them, the most specific first; others as they are."""
    for kind in type(error).__mro__:
        if kind.__module__.startswith("httpcore2"):
            named: type[Exception] | None = getattr(httpx2, kind.__name__, None)
            if named is not None:
                return named(str(error))
    return error
