"""The transport for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from tailwise.adapters.entry import Entry
from tailwise.adapters.exchange.exchange import Exchange, Fault, Leg
from tailwise.adapters.exchange.sender import Sender

__all__ = ["AsyncSender"]

Request = TypeVar("Request")
Response = TypeVar("Response")


class AsyncSender(Sender, Generic[Request, Response]):
    """A transport for a library's asynchronous client, on asyncio; see `Sender`."""

    _body: ClassVar[type[Any]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._body = type("Body", (Body, cls.http.AsyncByteStream), {})

    def _own(self) -> Any:
        return self.http.AsyncHTTPTransport(limits=self._limits())

    async def handle_async_request(self, request: Request) -> Response:
        exchange = self._open(request)
        if exchange is None:
            return await self._inner.handle_async_request(request)  # type: ignore[no-any-return]
        if not exchange.entry.admitted:
            return self._refused(exchange.entry)  # type: ignore[no-any-return]
        while True:
            leg = await self._try(exchange, exchange.entry, request)
            if not exchange.again(leg):
                break
            await close(leg)
        if leg.error is not None:
            raise leg.error
        return self._response(leg, self._body(self, leg))  # type: ignore[no-any-return]

    async def _try(self, exchange: Exchange, entry: Entry, request: Any) -> Leg:
        """Sends it to one backend, and waits for the first bytes of what may be handed on."""
        leg = Leg(entry)
        left_s = entry.end_left_s if self._give_up else math.inf
        try:
            if left_s == math.inf:
                await self._fetch(exchange, leg, request)
            else:
                async with asyncio.timeout(left_s):
                    await self._fetch(exchange, leg, request)
        except TimeoutError:
            leg.error = self.http.ReadTimeout("nothing came before the deadline of the job")
            leg.fault = Fault.TIMED_OUT
            await close(leg)
        except Exception as error:
            leg.error, leg.fault = error, self._fault(error)
            await close(leg)
        except BaseException:
            if not entry.settled:
                entry.cancel()
            await close(leg)
            raise
        return leg

    async def _fetch(self, exchange: Exchange, leg: Leg, request: Any) -> None:
        response = await self._inner.handle_async_request(self._addressed(request, leg.entry))
        self._heard(exchange, leg, request, response)
        if leg.answer.failed or leg.answer.status == 101:
            return
        leg.body = response.stream.__aiter__()
        async for chunk in leg.body:
            if chunk:
                leg.answer.feed(chunk)
                leg.chunks.append(chunk)
                return
        self._ended(leg)

    def _ended(self, leg: Leg) -> None:
        """Raises what the library raises of an answer that was cut off."""
        missing = leg.answer.end()
        if missing is not None:
            raise self.http.RemoteProtocolError(missing)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._inner.__aexit__(kind, error, traceback)


class Body:
    """The body of an answer, told to its job as it is read."""

    def __init__(self, sender: AsyncSender[Any, Any], leg: Leg) -> None:
        self._sender = sender
        self._leg = leg

    async def __aiter__(self) -> AsyncIterator[bytes]:
        leg, answer = self._leg, self._leg.answer
        try:
            for chunk in leg.chunks:
                yield chunk
            async for chunk in leg.response.stream if leg.body is None else leg.body:
                answer.feed(chunk)
                yield chunk
            self._sender._ended(leg)
        except Exception as error:
            answer.broke(timed_out=self._sender._fault(error) is Fault.TIMED_OUT)
            raise

    async def aclose(self) -> None:
        self._leg.answer.close()
        await self._leg.response.aclose()


async def close(leg: Leg) -> None:
    """Lets go of its connection; what that raises is nothing to the job."""
    if leg.response is not None:
        with contextlib.suppress(Exception):
            await leg.response.aclose()
