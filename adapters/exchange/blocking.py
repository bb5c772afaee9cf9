"""The transport for callers that block."""

from __future__ import annotations

import contextlib
import math
import weakref
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from tailwise.adapters.entry import Entry
from tailwise.adapters.exchange.ask import Ask
from tailwise.adapters.exchange.exchange import Exchange, Leg
from tailwise.adapters.exchange.sender import Sender
from tailwise.adapters.slo import HeaderError
from tailwise.errors import CapacityError

__all__ = ["BlockingSender"]

Request = TypeVar("Request")
Response = TypeVar("Response")


class BlockingSender(Sender, Generic[Request, Response]):
    """A transport for a library's blocking client. May be used from several threads; see `Sender`.

    Nothing interrupts a call that blocks: a job is given up when one step of it (to connect, to write, to wait for
    the next bytes, those of its body too) takes what was left to its deadline when it was sent.
    """

    _body: ClassVar[type[Any]]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._lent: dict[weakref.ref[Body], Leg] = {}
        self._left: deque[Leg] = deque()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._body = type("Body", (Body, cls.http.SyncByteStream), {})

    def _own(self) -> Any:
        return self.http.HTTPTransport(limits=self._limits())

    def handle_request(self, request: Request) -> Response:
        self._close_left()
        try:
            exchange = self._open(request)
        except (HeaderError, CapacityError) as error:
            return self._unopened(error)  # type: ignore[no-any-return]
        if exchange is None:
            return self._inner.handle_request(request)  # type: ignore[no-any-return]
        if not exchange.entry.admitted:
            return self._refused(exchange.entry)  # type: ignore[no-any-return]
        try:
            while exchange.again(leg := self._try(exchange, request)):
                close(leg)
            if leg.error is not None:
                raise leg.error
            return self._response(leg, self._lend(leg))  # type: ignore[no-any-return]
        except BaseException:
            exchange.abandon()
            raise

    def _try(self, exchange: Exchange, request: Any) -> Leg:
        """Sends it to one backend, and waits for the first bytes of what may be handed on."""
        leg = Leg(exchange.entry)
        try:
            response = self._inner.handle_request(self._bounded(exchange.ask, request, leg.entry))
            self._heard(exchange, leg, request, response)
            if not leg.answer.failed and leg.answer.status != 101:
                leg.body = iter(response.stream)
                self._first_bytes(leg)
        except Exception as error:
            leg.error, leg.fault = error, self._fault(error)
            close(leg)
        except BaseException:
            close(leg)
            raise
        return leg

    def _bounded(self, ask: Ask, request: Any, entry: Entry) -> Any:
        sent = self._addressed(request, entry)
        if (left_s := self._limit_s(ask, entry)) < math.inf:
            own = sent.extensions.get("timeout", {})
            phases = ("connect", "read", "write", "pool")
            sent.extensions["timeout"] = {p: shorter(own.get(p), max(left_s, 1e-3)) for p in phases}
        return sent

    def _first_bytes(self, leg: Leg) -> None:
        for chunk in leg.body:
            if chunk:
                leg.answer.feed(chunk)
                leg.chunks.append(chunk)
                return
        self._ended(leg)

    def _lend(self, leg: Leg) -> Body:
        """The body for the caller. The leg stays here: its iterator has begun, and were it collected with a response
        that nobody closed, wherever the collector comes, it would wait for the lock of the pool of connections, which
        may be held there."""
        body: Body = self._body(self, leg)
        body.key = weakref.ref(body, self._forgotten)
        self._lent[body.key] = leg
        return body

    def _forgotten(self, key: weakref.ref[Body]) -> None:
        leg = self._lent.pop(key, None)
        if leg is not None:
            leg.answer.close()
            self._left.append(leg)

    def _close_left(self) -> None:
        while self._left:
            close(self._left.popleft())

    def close(self) -> None:
        self._close_left()
        self._inner.close()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._close_left()
        self._inner.__exit__(kind, error, traceback)


class Body:
    """The body of an answer, told to its job as it is read."""

    key: weakref.ref[Body]

    def __init__(self, sender: BlockingSender[Any, Any], leg: Leg) -> None:
        self._sender = sender
        self._leg = leg

    def __iter__(self) -> Iterator[bytes]:
        leg, answer = self._leg, self._leg.answer
        try:
            yield from leg.chunks
            for chunk in leg.response.stream if leg.body is None else leg.body:
                answer.feed(chunk)
                yield chunk
            self._sender._ended(leg)
        except Exception as error:
            answer.broke(self._sender._fault(error))
            raise

    def close(self) -> None:
        self._sender._lent.pop(self.key, None)
        self._leg.answer.close()
        self._leg.response.close()


def shorter(own_s: float | None, left_s: float) -> float:
    return left_s if own_s is None else min(own_s, left_s)


def close(leg: Leg) -> None:
    """Lets go of its connection; what that raises is nothing to the job."""
    if leg.response is not None:
        with contextlib.suppress(Exception):
            leg.response.close()
