"""A client over several backends, for httpx2: see `tailwise.adapters.exchange`."""

from tailwise.adapters.exchange import Ask, AsyncSender, BlockingSender, TokenReader, by_headers
from tailwise.errors import MissingExtra

try:
    import httpx2
except ImportError as error:
    raise MissingExtra("tailwise.adapters.httpx2 needs httpx2: pip install 'tailwise[httpx2]'") from error

__all__ = ["Ask", "AsyncTransport", "TokenReader", "Transport", "by_headers"]


class Transport(BlockingSender[httpx2.Request, httpx2.Response], httpx2.BaseTransport):
    http = httpx2


class AsyncTransport(AsyncSender[httpx2.Request, httpx2.Response], httpx2.AsyncBaseTransport):
    http = httpx2
