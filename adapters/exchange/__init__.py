"""Jobs over HTTP without the HTTP: what the transports of httpx and httpx2 share.

What a request asks for (`Ask`), where it goes, whether it may be sent again, and what its job's entry is told.
"""

from tailwise.adapters.exchange.ask import Ask, TokenReader, by_headers
from tailwise.adapters.exchange.asynchronous import AsyncSender
from tailwise.adapters.exchange.blocking import BlockingSender

__all__ = ["Ask", "AsyncSender", "BlockingSender", "TokenReader", "by_headers"]
