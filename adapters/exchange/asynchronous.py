"""The transport for asyncio."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Coroutine
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from tailwise.adapters.entry import Entry
from tailwise.adapters.exchange.exchange import Exchange, Leg
from tailwise.adapters.exchange.fault import Fault
from tailwise.adapters.exchange.race import Race, close
from tailwise.adapters.exchange.sender import Sender
from tailwise.adapters.slo import HeaderError
from tailwise.errors import CapacityError

__all__ = ["AsyncSender"]

Request = TypeVar("Request")
Response = TypeVar("Response")


class AsyncSender(Sender, Generic[Request, Response]):
    """A transport for a library's asynchronous client, on asyncio; see `Sender`."""

    _body: ClassVar[type[Any]]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._closing: set[asyncio.Task[Any]] = set()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._body = type("Body", (Body, cls.http.AsyncByteStream), {})

    def _own(self) -> Any:
        return self.http.AsyncHTTPTransport(limits=self._limits())

    async def handle_async_request(self, request: Request) -> Response:
        try:
            exchange = self._open(request)
        except (HeaderError, CapacityError) as error:
            return self._unopened(error)  # type: ignore[no-any-return]
        if exchange is None:
            return await self._inner.handle_async_request(request)  # type: ignore[no-any-return]
        if not exchange.entry.admitted:
            return self._refused(exchange.entry)  # type: ignore[no-any-return]
        try:
            while exchange.again(leg := await self._first_of(exchange, request)):
                await close(leg)
            if leg.error is not None:
                raise leg.error
            return self._response(leg, self._body(self, leg))  # type: ignore[no-any-return]
        except BaseException:
            exchange.abandon()
            raise

    async def _first_of(self, exchange: Exchange, request: Any) -> Leg:
        """The leg of the job, or of a copy of it where that is first."""
        at_s = exchange.hedge_at_s if self._hedge else None
        if at_s is None or at_s >= exchange.entry.end_left_s:
            return await self._try(exchange, exchange.entry, request)
        return await Race(self, exchange, request, at_s).run()

    def _drop(self, task: asyncio.Task[Leg], entry: Entry) -> None:
        """Its connection is closed behind the caller's back, who has waited enough."""
        if not entry.settled:
            entry.cancel()
        task.cancel()
        self._behind(let_go(task))

    def _behind(self, closing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _try(self, exchange: Exchange, entry: Entry, request: Any) -> Leg:
        """Sends it to one backend, and waits for the first bytes of what may be handed on."""
        leg = Leg(entry)
        left_s = self._limit_s(exchange.ask, entry)
        try:
            if left_s == math.inf:
                await self._fetch(exchange, leg, request)
            else:
                async with asyncio.timeout(left_s):
                    await self._fetch(exchange, leg, request)
        except TimeoutError as error:
            leg.error = self.http.ReadTimeout("nothing came before the deadline of the job")
            leg.error.__cause__ = error
            leg.fault = Fault.TIMED_OUT
            await close(leg)
        except Exception as error:
            leg.error, leg.fault = error, self._fault(error)
            await close(leg)
        except BaseException:  # whoever called settles
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

    async def aclose(self) -> None:
        await self._closed()
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
        await self._closed()
        await self._inner.__aexit__(kind, error, traceback)

    async def _closed(self) -> None:
        if self._closing:
            await asyncio.wait(self._closing)


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
            answer.broke(self._sender._fault(error))
            raise

    async def aclose(self) -> None:
        self._leg.answer.close()
        await self._leg.response.aclose()


async def let_go(task: asyncio.Task[Leg]) -> None:
    """Waits for the end of a leg that is not wanted any more."""
    await asyncio.wait([task])
    if not task.cancelled() and task.exception() is None:
        await close(task.result())
