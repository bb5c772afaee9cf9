"""Headers on their way through (RFC 9110, 7.6): what belongs to one connection stays there, all else is passed on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

__all__ = ["Headers", "answered", "connection_options", "first", "forwarded"]

Headers: TypeAlias = list[tuple[bytes, bytes]]

#: Of one connection, whether `Connection` lists them or not. Trailers are not passed on: neither server sends any.
HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
#: Said anew to each backend: its own host, and the length of the body as it is sent.
_REQUEST = HOP_BY_HOP | {b"host", b"content-length", b"expect"}
_FORWARDED = frozenset((b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"))
#: Said by a gateway of each request (RFC 9110, 7.6.3). Not in answers, where it may be left out.
VIA = (b"via", b"1.1 tailwise")


def connection_options(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Names that `Connection` lists: headers of this connection alone."""
    listed = [value for name, value in headers if name == b"connection"]
    if not listed:
        return frozenset()
    return frozenset(option.strip().lower() for value in listed for option in value.split(b","))


def first(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bytes | None:
    """The first value of a name in lower case; None = there is none."""
    return next((value for name, value in headers if name == wanted), None)


def forwarded(scope: Any, tell_client: bool) -> Headers:
    """A request's headers for a backend, in order, duplicates kept.

    tell_client: add to x-forwarded-for and say the host and scheme that the client used; else, what the client says
    of itself there is passed as it is.
    """
    headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
    dropped = _REQUEST | connection_options(headers)
    if not tell_client:
        kept = [pair for pair in headers if pair[0] not in dropped]
        kept.append(VIA)
        return kept
    kept = [pair for pair in headers if pair[0] not in dropped and pair[0] not in _FORWARDED]
    chain = [value for name, value in headers if name == b"x-forwarded-for"]
    if scope.get("client"):
        chain.append(scope["client"][0].encode("latin-1"))
    if chain:
        kept.append((b"x-forwarded-for", b", ".join(chain)))
    kept += [(b"x-forwarded-host", value) for name, value in headers if name == b"host"]
    kept.append((b"x-forwarded-proto", scope["scheme"].encode("latin-1")))
    kept.append(VIA)
    return kept


def answered(status: int, headers: Headers) -> Headers:
    """A backend's headers (lower case) for the client: in order, duplicates (set-cookie) kept."""
    dropped = HOP_BY_HOP | connection_options(headers)
    if status in (204, 304):  # a length without the body that it tells of
        dropped |= {b"content-length"}
    return [pair for pair in headers if pair[0] not in dropped]
