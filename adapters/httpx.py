"""A client over several backends, for httpx: see `tailwise.adapters.exchange`."""

from tailwise.adapters.exchange import Ask, AsyncSender, BlockingSender, TokenReader, by_headers
from tailwise.errors import MissingExtra

try:
    import httpx
except ImportError as error:
    raise MissingExtra("tailwise.adapters.httpx needs httpx: pip install 'tailwise[httpx]'") from error

__all__ = ["Ask", "AsyncTransport", "TokenReader", "Transport", "by_headers"]


class Transport(BlockingSender[httpx.Request, httpx.Response], httpx.BaseTransport):
    http = httpx


class AsyncTransport(AsyncSender[httpx.Request, httpx.Response], httpx.AsyncBaseTransport):
    http = httpx
