"""The connections to the backends: a pool each, since one that is slow must not use up another's."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpcore2
import httpx2

from tailwise.adapters.gateway.config import Backend

__all__ = ["Upstreams", "origin"]

#: Connections that a backend keeps open idle: as many as it is taken to run together, up to this.
MOST_IDLE = 256
#: Seconds after which an idle connection is closed: below the 5 s of uvicorn, whose backends would close it in the
#: moment in which the next request is sent (vLLM and SGLang run on it).
IDLE_S = 4.0


def origin(at: int) -> str:
    """What stands for the backend in a request's URL until it is sent. Reserved (RFC 6761): no name resolves to it,
    so that nothing that a request says can lead anywhere else."""
    return f"http://b{at}.invalid"


class _Upstream:
    """One backend."""

    def __init__(self, backend: Backend, most: int) -> None:
        url = urlsplit(backend.url)
        secure = url.scheme == "https"
        self.port = url.port or (443 if secure else 80)
        self.scheme, self.host = url.scheme.encode(), (url.hostname or "").encode("idna")
        self.host_header = url.netloc.encode("idna")
        self.prefix = url.path.encode("ascii", "strict")
        key = backend.api_key
        self.authorization = None if key is None else b"Bearer " + key.encode("latin-1")
        self.timeout = {
            "connect": backend.connect_s,
            "read": backend.read_s,
            "write": backend.read_s,
            "pool": backend.read_s,
        }
        self.pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl.create_default_context() if secure else None,
            max_connections=most,
            max_keepalive_connections=min(most, MOST_IDLE),
            keepalive_expiry=IDLE_S,
        )

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        headers = [pair for pair in request.headers.raw if pair[0].lower() != b"host"]
        if self.authorization is not None:
            headers = [pair for pair in headers if pair[0].lower() not in (b"authorization", b"api-key")]
            headers.append((b"authorization", self.authorization))
        headers.insert(0, (b"Host", self.host_header))
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        raw = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=self.scheme, host=self.host, port=self.port, target=self.prefix + request.url.raw_path
            ),
            headers=headers,
            content=request.stream,
            extensions={
                **request.extensions,
                "timeout": self._timeout(request.extensions.get("timeout", {})),
            },
        )
        try:
            answer = await self.pool.handle_async_request(raw)
        except Exception as error:
            raise _as_httpx2(error) from error
        return httpx2.Response(
            answer.status,
            headers=answer.headers,
            stream=_Stream(answer.stream),
            extensions=answer.extensions,
        )

    def _timeout(self, asked: Mapping[str, float | None]) -> dict[str, float]:
        """The shorter of what the backend is given and what is left to the job."""
        left = {phase: s for phase, s in asked.items() if s is not None}
        return {phase: min(s, left.get(phase, s)) for phase, s in self.timeout.items()}


class _Stream(httpx2.AsyncByteStream):
    """A backend's body, as it comes: not decoded."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._stream:
                yield chunk
        except Exception as error:
            raise _as_httpx2(error) from error

    async def aclose(self) -> None:
        await self._stream.aclose()


def _as_httpx2(error: Exception) -> Exception:
    """httpcore2's exceptions by the names that httpx2 gives them, the most specific first; others as they are."""
    for kind in type(error).__mro__:
        if kind.__module__.startswith("httpcore2"):
            named: type[Exception] | None = getattr(httpx2, kind.__name__, None)
            if named is not None:
                return named(str(error))
    return error


class Upstreams(httpx2.AsyncBaseTransport):
    """Sends a request to the backend that its origin stands for, with that backend's key, and to nobody else."""

    def __init__(self, backends: Sequence[Backend], most: int) -> None:
        self._by_host = {origin(i)[7:]: _Upstream(backend, most) for i, backend in enumerate(backends)}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self._by_host[request.url.host].send(request)

    async def aclose(self) -> None:
        for upstream in self._by_host.values():
            await upstream.pool.aclose()
