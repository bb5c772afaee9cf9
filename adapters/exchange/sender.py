"""What both transports of a library share: from a request to its job, its backend and its answer."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from tailwise.adapters.deadline import narrow
from tailwise.adapters.entry import Entry
from tailwise.adapters.exchange.answer import Answer
from tailwise.adapters.exchange.ask import Ask, asked_by
from tailwise.adapters.exchange.backends import Backends
from tailwise.adapters.exchange.exchange import Exchange, Leg
from tailwise.adapters.exchange.fault import Fault
from tailwise.adapters.exchange.wait import retry_after_s
from tailwise.adapters.journal import Journal
from tailwise.adapters.refusal import Refusal, refuse
from tailwise.adapters.slo import HeaderError, deadline_header
from tailwise.errors import CapacityError, ConfigError, UnknownName
from tailwise.family import Family
from tailwise.route import Route

__all__ = ["Sender"]

#: URLs that are kept; beyond, paths are made for each request, and keeping them gains nothing.
MOST_URLS = 1024

log = logging.getLogger("tailwise.adapters")


class Sender:
    """Sends each job to one of several backends.

    backends: base URLs by the names of their resources. ask: what a request asks for, the same of all or by the
    request, None = it is none of ours and goes on as it is; by default `asked_by`. attempts: on how many backends a
    job may fail before its caller hears of it. hedge: whether a job of priority 0 that outlives its forecast may
    have a copy (`AsyncTransport` only). give_up: whether a job is given up at its deadline while nothing of its
    answer has come; what has begun to come is never cut. None = at a deadline that the request brings itself
    (`Ask.deadline_s`): that of its class is a promise, and given up at, a stall of this process would count as
    failures of all backends at once. tell_deadline: whether what is left of it is sent along, in
    `x-tailwise-deadline-ms`. inner: the transport that sends; by default the library's own, without a limit on
    connections, since admission is the engine's. on_response: told of each backend's answer, by resource and
    headers, before its body is read. wall: seconds since 1970.

    A refused job is answered by `refuse`: 429 or 503, as is one for which no ticket is free, and by 400 one whose
    headers cannot be read. What a backend answered is handed on once the first bytes of its body are there, and
    until then another may try: after an error or an answer of 429 or 5xx, where the deadline leaves time, and the
    request may be sent again (`Ask.repeatable`). The entry of the job is `response.extensions["tailwise"]`; it is
    settled with the last byte, or when the response is closed.
    """

    http: Any  #: the library's module

    def __init__(
        self,
        journal: Journal,
        backends: Mapping[str, str],
        ask: Ask | Callable[[Any], Ask | None] | None = None,
        *,
        attempts: int = 2,
        hedge: bool = True,
        give_up: bool | None = None,
        tell_deadline: bool = False,
        inner: Any = None,
        on_response: Callable[[str, Any], None] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        if attempts < 1:
            raise ConfigError(f"attempts={attempts!r}: 1 (no second try) or more")
        self.journal = journal
        self.backends = Backends(journal.engine, backends)
        self._ask = ask
        self._attempts = attempts
        self._hedge = hedge
        self._give_up = give_up
        self._tell_deadline = tell_deadline
        self._inner = self._own() if inner is None else inner
        self._on_response = on_response
        self._wall = wall
        self._urls: dict[tuple[str, bytes], Any] = {}
        self._routes: dict[tuple[str, str], Route | Family] = {}

    def _limit_s(self, ask: Ask, entry: Entry) -> float:
        """Seconds after which a job of which nothing has come is given up."""
        gives_up = ask.deadline_s is not None if self._give_up is None else self._give_up
        return entry.end_left_s if gives_up else math.inf

    def _ended(self, leg: Leg) -> None:
        """Raises what the library raises of an answer that was cut off."""
        missing = leg.answer.end()
        if missing is not None:
            raise self.http.RemoteProtocolError(missing)

    def _own(self) -> Any:
        raise NotImplementedError

    def _limits(self) -> Any:
        """keepalive_expiry: below the 5 s after which uvicorn and others close what is idle; httpx's own 5 s meet
        them, and a request on a connection that is closing reads like a failed backend."""
        return self.http.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=4.0)

    def _open(self, request: Any) -> Exchange | None:
        """Decides. None: the request is none of ours."""
        ask = self._asked(request)
        if ask is None:
            return None
        route = self._route(ask.model, ask.qos)
        mask = self.backends.mask(ask.mask)
        bounds = narrow(route.qos, self.journal.engine.clock, ask.deadline_s, ask.arrival_s)
        options = ask.options() | bounds
        entry = self.journal.select(route, ask.x, ask.given(route), mask=mask, **options)
        replay = isinstance(request.stream, self.http.ByteStream)
        return Exchange(ask, route, entry, self.backends, replay=replay, attempts=self._attempts)

    def _asked(self, request: Any) -> Ask | None:
        if isinstance(self._ask, Ask):
            return self._ask
        if self._ask is not None:
            return self._ask(request)
        return asked_by(request, self.journal.engine)

    def _route(self, model: str, qos: str) -> Route | Family:
        route = self._routes.get((model, qos))
        if route is None:
            engine = self.journal.engine
            try:
                route = engine.route(model, qos)
            except UnknownName:
                route = engine.family(model, qos)
            self._routes[model, qos] = route
        return route

    def _addressed(self, request: Any, entry: Entry) -> Any:
        """The request as its backend gets it: URL and Host replaced, what is ours taken out."""
        url = self._url(entry.resource or "", request.url.raw_path)
        headers = request.headers.copy()
        headers["host"] = url.netloc.decode("ascii")
        if self._tell_deadline:
            headers.update(deadline_header(entry.end_left_s))
        extensions = {k: v for k, v in request.extensions.items() if k != "tailwise"}
        return self.http.Request(
            request.method, url, headers=headers, stream=request.stream, extensions=extensions
        )

    def _url(self, resource: str, target: bytes) -> Any:
        """A library takes 25 us to read a URL; there are few."""
        try:
            base = self.backends[resource]
        except KeyError:  # it was removed since the decision
            raise self.http.ConnectError(f"backend {resource!r} was removed") from None
        url = self._urls.get((base, target))
        if url is None:
            if len(self._urls) >= MOST_URLS:
                self._urls.clear()
            url = self._urls[base, target] = self.http.URL(base + target.decode("ascii"))
        return url

    def _heard(self, exchange: Exchange, leg: Leg, request: Any, response: Any) -> None:
        """The head of an answer is there."""
        leg.response = response
        status, headers = response.status_code, response.headers
        leg.answer = Answer(leg.entry, request.method, status, headers, exchange.ask.tokens)
        if leg.answer.failed:
            leg.retry_after_s = retry_after_s(headers.get("retry-after"), self._wall())
        if self._on_response is not None:
            try:
                self._on_response(leg.entry.resource or "", headers)
            except Exception:
                log.exception("on_response raised; the answer goes on")

    def _fault(self, error: Exception) -> Fault:
        http = self.http
        if isinstance(error, (http.ConnectError, http.ConnectTimeout, http.ProxyError)):
            return Fault.UNREACHED
        if isinstance(error, (http.PoolTimeout, http.LocalProtocolError, http.UnsupportedProtocol)):
            return Fault.OURS
        if isinstance(error, http.TimeoutException):
            return Fault.TIMED_OUT
        return Fault.BROKEN if isinstance(error, http.TransportError) else Fault.UNKNOWN

    def _unopened(self, error: HeaderError | CapacityError) -> Any:
        """The answer to a request that became no job."""
        return self._said(refuse(error), {})

    def _refused(self, entry: Entry) -> Any:
        """The answer to a job that no backend took."""
        return self._said(refuse(entry), {"tailwise": entry})

    def _said(self, refusal: Refusal, extensions: dict[str, Any]) -> Any:
        return self.http.Response(
            refusal.status, headers=refusal.headers, content=refusal.body, extensions=extensions
        )

    def _response(self, leg: Leg, body: Any) -> Any:
        response = leg.response
        extensions = {**response.extensions, "tailwise": leg.entry}
        return self.http.Response(
            response.status_code, headers=response.headers, stream=body, extensions=extensions
        )
