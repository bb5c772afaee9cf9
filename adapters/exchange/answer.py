"""What has come of one answer, and what the entry of its job is told of it."""

from __future__ import annotations

from collections.abc import Mapping

from tailwise.adapters.entry import Entry
from tailwise.adapters.exchange.ask import TokenReader, TokenReaders
from tailwise.adapters.exchange.fault import Fault

__all__ = ["Answer"]

#: Answers that have no body whatever their headers say (RFC 9110, 6.4.1).
BODILESS = (204, 304)

#: No answer has more: whatever says so, its count is not to be taken for an error of the caller's.
MOST_TOKENS = 1 << 40


class Answer:
    """One answer as it comes in. Its entry is settled at its last byte, or by whoever stops reading before.

    A status of 2xx completes the job. One of 3xx or 4xx cancels it: it says nothing of how fast the resource is nor
    of what was promised, and a client's mistakes must neither teach "fast" nor open a breaker. 429 and 5xx are
    failures, which `Exchange` settles before the body is read.
    """

    __slots__ = ("_entry", "_reader", "_scan", "_streams", "_told", "expected", "got", "status")

    def __init__(
        self, entry: Entry, method: str, status: int, headers: Mapping[str, str], tokens: TokenReaders | None
    ) -> None:
        self._entry = entry
        self.status = status
        self.got = 0
        self.expected = length_of(method, status, headers)
        self._streams = entry.ticket.model.streams
        self._told = 0
        self._reader: TokenReader | None = None
        self._scan: bytes | None = None
        if (self._streams or tokens is not None) and is_readable(status, headers):
            if tokens is not None:
                self._reader = tokens(headers)
            elif headers.get("content-type", "").startswith("text/event-stream"):
                self._scan = b"\n"

    @property
    def entry(self) -> Entry:
        return self._entry

    @property
    def failed(self) -> bool:
        return self.status == 429 or self.status >= 500

    def feed(self, chunk: bytes) -> None:
        """The next bytes. The last one ends the job, where it is known to be the last."""
        self.got += len(chunk)
        if self._entry.settled:
            return
        self._read(chunk)
        if self.got == self.expected or (self._reader is not None and self._reader.ended):
            self.end()

    def _read(self, chunk: bytes) -> None:
        reader, entry = self._reader, self._entry
        if reader is not None:
            reader.feed(chunk)
        if not self._streams:
            return
        if entry.decision.ttft_s is None:
            if not (self._seen_data(chunk) if reader is None else reader.started):
                return
            entry.first()
        tokens = None if reader is None else reader.tokens
        if tokens is not None and tokens > self._told:
            self._told = min(tokens, MOST_TOKENS)
            entry.progress(self._told)

    def _seen_data(self, chunk: bytes) -> bool:
        """Whether an event with data has begun: lines before it are comments, names and numbers."""
        if self._scan is None:
            return False
        seen = self._scan + chunk
        self._scan = seen[-6:]
        return b"\ndata:" in seen

    def end(self) -> str | None:
        """Nothing more comes. What is missing, and then whoever raises that settles; or None."""
        if self.expected is not None and self.got < self.expected:
            return f"the answer ended after {self.got} of {self.expected} bytes"
        if self._entry.settled:
            return None
        if self._reader is not None and self._reader.ended is False:
            self._entry.fail()
        elif 200 <= self.status < 300:
            self._entry.complete(tokens=self._tokens())
        else:
            self._entry.cancel()
        return None

    def _tokens(self) -> int | None:
        tokens = None if self._reader is None or not self._streams else self._reader.tokens
        if tokens is None:
            return None
        least = max(
            self._told, int(self._entry.decision.ttft_s is not None)
        )  # some servers count the rest alone
        return min(max(tokens, least), MOST_TOKENS)

    def broke(self, fault: Fault) -> None:
        """Reading it raised."""
        if not self._entry.settled:
            fault.settle(self._entry)

    def close(self) -> None:
        """Nobody reads on."""
        if not self._entry.settled:
            self._entry.cancel()


def is_readable(status: int, headers: Mapping[str, str]) -> bool:
    return 200 <= status < 300 and headers.get("content-encoding", "identity") == "identity"


def length_of(method: str, status: int, headers: Mapping[str, str]) -> int | None:
    """Bytes of the body, where the headers say so."""
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()) or method == "HEAD" or status in BODILESS:
        return None
    return None if "transfer-encoding" in headers else int(length)
