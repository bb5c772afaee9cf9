"""Tickets of coroutines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tailwise.adapters import deadline
from tailwise.adapters.asyncio import AsyncRoute
from tailwise.adapters.journal import Journal
from tailwise.adapters.refusal import refuse
from tailwise.adapters.slo import HeaderError, read
from tailwise.errors import JobRejected
from tests.adapters.conformance import Call, Conformance, Told, Work, WorkFailed


class TestAsyncio(Conformance):
    @asynccontextmanager
    async def adapter(self, journal: Journal, work: Work) -> AsyncIterator[Call]:
        engine = journal.engine
        routes = {q.name: AsyncRoute(engine.route(self.model, q.name), journal) for q in engine.qos}

        async def call(headers: dict[str, str]) -> Told:
            try:
                slo = read(headers, engine, "normal")
                async with routes[slo.qos].ticket((), request_id=slo.request_id, **slo.bounds()):
                    await work(deadline.left_s())
            except (HeaderError, JobRejected) as error:
                return Told.of_refusal(refuse(error))
            except WorkFailed:
                return Told(False)
            return Told(True)

        yield call
