"""uvicorn's HTTP protocol with bounds on what a client may send before a request exists."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tailwise.adapters.gateway.errors import CLOSE, Problem

__all__ = ["bounded"]


#: Seconds for which what a refused client still sends is read and dropped.
LINGER_S = 1.0


class _TooLarge(Exception):
    """Stops the parser."""


class BoundedProtocol(HttpToolsProtocol):
    """Bounds the head of a request in bytes, fields and seconds, and keeps trailers out of the headers.

    Neither httptools nor uvicorn bounds them: a head that never ends would be kept, whole. A request that offers to
    go on in another protocol (Java's client offers h2c with each) goes on in this one; uvicorn loses its body.
    """

    max_head_bytes = 32 << 10
    max_headers = 100
    head_s = 30.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._problem: Problem | None = None
        self._in_head = self._refused = self._again = False
        self._data = self._rest = b""
        self._head_bytes = self._unread_bytes = 0
        super().connection_made(transport)
        self._late: asyncio.TimerHandle | None = self.loop.call_later(self.head_s, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._punctual()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        began_before = self._in_head
        self._rest = data
        while self._rest and not self._refused:
            self._data, self._rest = self._rest, b""
            super().data_received(self._data)
        if not self._in_head or self._refused or self.transport.is_closing():
            return
        # The parser holds what it has of a field, out of sight. Of the data with which the head began it may hold
        # all, which asyncio bounds: that of the request before may be in there, too.
        self._unread_bytes += len(data) if began_before else 0
        if self._unread_bytes > self.max_head_bytes:
            self._refuse(self._too_large())
        elif self._late is None:
            self._late = self.loop.call_later(self.head_s, self._too_late)

    def _unsupported_upgrade_warning(self) -> None:
        """The parser takes what follows the head for the other protocol, and stops: another parser reads it."""
        stopped = sys.exc_info()[1]
        assert stopped is not None
        self._rest = self._data[stopped.args[0] :]
        self.parser = httptools.HttpRequestParser(self)
        if framing := self._framing():
            self._again = True
            self.parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n")
            self._again = False

    def _framing(self) -> bytes:
        """The header lines that say how long the body is; empty: there is none."""
        names = (b"content-length", b"transfer-encoding")
        return b"".join(b"%b: %b\r\n" % pair for pair in self.headers if pair[0] in names)

    def on_message_begin(self) -> None:
        if self._again:
            return
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = self._unread_bytes = 0

    def on_url(self, url: bytes) -> None:
        if self._again:
            return
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:  # or, again, a line that was read before
            return  # a trailer: nothing that it says may pass for a header (RFC 9110, 6.5.1)
        super().on_header(name, value)
        self._count(len(name) + len(value) + 4)

    def on_headers_complete(self) -> None:
        if self._again:
            return
        self._in_head = False
        self._punctual()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not (self.parser.should_upgrade() and self._framing()):
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._problem or Problem(400, "bad_request", "this is not HTTP"))

    def _count(self, n: int) -> None:
        self._head_bytes += n
        if self._head_bytes > self.max_head_bytes or len(self.headers) > self.max_headers:
            self._problem = self._too_large()
            raise _TooLarge

    def _too_large(self) -> Problem:
        message = (
            f"a request has at most {self.max_head_bytes} bytes of headers and {self.max_headers} of them"
        )
        return Problem(431, "headers_too_large", message)

    def _punctual(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        self._late = None
        if not self._in_head and self.cycle is None:
            self.transport.close()  # a connection that never said anything
        elif self._in_head:
            self._refuse(
                Problem(408, "request_timeout", f"a request's head must come within {self.head_s:g} s")
            )

    def _refuse(self, problem: Problem) -> None:
        """Answers, unless another answer is on its way, and closes."""
        self._punctual()
        if self.cycle is None or self.cycle.response_complete:
            headers, body = problem.answer()
            if CLOSE not in headers:
                headers.append(CLOSE)
            lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
            self.transport.write(STATUS_LINE[problem.status] + lines + b"\r\n" + body)
            # closed at once, with data unread, the client's system would drop the answer that it has not read
            self._refused = True
            self.loop.call_later(LINGER_S, self.transport.close)
        else:
            self.transport.close()


def bounded(*, max_head_bytes: int, max_headers: int, head_s: float) -> type[BoundedProtocol]:
    """The protocol with these bounds, as uvicorn takes it: a class."""
    bounds: dict[str, Any] = {"max_head_bytes": max_head_bytes, "max_headers": max_headers, "head_s": head_s}
    return type("BoundedProtocol", (BoundedProtocol,), bounds)
