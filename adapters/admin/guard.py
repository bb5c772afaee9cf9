"""Who may ask: this machine, by one of its names, and no page of another site."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["HEADER", "Guard", "refused"]

#: A page of another origin cannot send it: browsers ask first, and the answer is no.
HEADER = "x-tailwise-admin"

LOCAL = ("localhost", "127.0.0.1", "::1")


class Guard:
    """Passes requests of this machine on, and answers the others. hosts: further names that Host may have."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = frozenset((*LOCAL, *(host.lower() for host in hosts)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (why := self._wrong(HTTPConnection(scope), scope["method"])):
            await refused(403, "forbidden", why)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _wrong(self, asked: HTTPConnection, method: str) -> str | None:
        if not is_local(asked.scope):
            return "only this machine may ask: over loopback, or a unix socket"
        host, headers = asked.headers.get("host", ""), asked.headers
        if not _by_socket(asked.scope) and _name(host) not in self._hosts:
            return f"Host {host!r} is no name of this machine; there are {', '.join(sorted(self._hosts))}"
        if method in ("GET", "HEAD"):
            return "a page of another site asks" if _from_elsewhere(headers) else None
        if headers.get(HEADER) != "1":
            return f"what changes something needs the header {HEADER}: 1"
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return f"Origin {origin!r} is not this page's"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "a page of another site asks"
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return "a body of application/json is expected"
        return None


def _from_elsewhere(headers: Headers) -> bool:
    """Whether a page of another site fetches: it cannot read the answer, and could take up every reader's place. One
    that is followed to here by a link is a reader."""
    return headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate"


def is_local(scope: Scope) -> bool:
    """Whether the client is on this machine."""
    if _by_socket(scope):
        return True
    try:
        address = ipaddress.ip_address(scope["client"][0].partition("%")[0])
    except (ValueError, TypeError, KeyError):
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def refused(status: int, kind: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"type": kind, "message": message}}, status)


def _by_socket(scope: Scope) -> bool:
    """ASGI: server is (path, None) for a unix socket, and the client of one has no address."""
    server = scope.get("server")
    return not scope.get("client") and (server is None or server[1] is None)


def _name(host: str) -> str:
    """Without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
