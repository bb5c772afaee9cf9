"""The table of ends in `tailwise.adapters.decision`, row by row, in every adapter where the row can happen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

import tailwise as tw
from tailwise.adapters.asgi import TailwiseMiddleware
from tailwise.adapters.asyncio import AsyncRoute
from tailwise.adapters.journal import Decision, Journal
from tailwise.adapters.refusal import refuse
from tailwise.adapters.slo import read
from tailwise.errors import CapacityError, JobRejected, JobTimedOut
from tests.adapters import test_asgi
from tests.adapters.conformance import DEADLINE, Call, Conformance, Ends, Scene, Told, Work, WorkFailed
from tests.adapters.gateway import test_conformance as gateway
from tests.adapters.transport import test_conformance as transport

pytestmark = pytest.mark.timeout(120)

ALL = ("asyncio", "asgi", "transport", "gateway")
HTTP, IN_PROCESS, BACKENDS = ALL[1:], ALL[:2], ALL[2:]
#: Seconds that a job takes by the clock of the tests: half of its class's deadline.
USUAL_S = 10.0
LATE_S = 100.0
N_WARM = 40
#: Beyond the median of their forecast, within its bulk.
SLOW_S = 11.0


@dataclass(frozen=True)
class Row:
    """What a job does, and what must come of it. takes_s: by the clock of the tests; of one that is given up,
    before it begins, whenever that is. leaves, gives_up: its caller, while it waits."""

    happens: str
    where: tuple[str, ...]
    end: str | None
    on_time: bool | None
    failures: int = 0  #: that the breaker counted
    learned: str = "nothing"
    raises: Exception | None = None
    status: int = 200
    takes_s: float = 0.0
    leaves: bool = False
    gives_up: bool = False


LATER: dict[str, Any] = {"takes_s": LATE_S, "learned": "at least"}
ROWS = [
    Row("answered", ALL, "completed", True, learned="times", takes_s=USUAL_S),
    Row("answered late", ALL, "completed", False, learned="times", takes_s=LATE_S),
    Row("an exception, or a 500", ALL, "failed", False, 1, raises=WorkFailed()),
    Row("an exception late", ALL, "failed", False, 1, raises=WorkFailed(), takes_s=LATE_S),
    Row("a 503", HTTP, "failed", False, 1, status=503),
    Row("half an answer", HTTP, "failed", False, 1, raises=ConnectionError()),
    Row("a backend's 429", BACKENDS, "failed", False, 1, status=429),
    Row("a handler's 429", ("asgi",), "cancelled", None, status=429),
    Row("a 404", HTTP, "cancelled", None, status=404),
    Row("a 404 late", HTTP, "cancelled", False, status=404, **LATER),
    Row("a 302", HTTP, "cancelled", None, status=302),
    Row("the caller leaves", ALL, "cancelled", None, leaves=True),
    Row("the caller leaves late", ALL, "cancelled", False, leaves=True, **LATER),
    Row("refused in turn", IN_PROCESS, "cancelled", None, raises=JobRejected("no", "late")),
    Row("no ticket in turn", IN_PROCESS, "cancelled", None, raises=CapacityError("full")),
    Row("given up in turn", IN_PROCESS, "timed_out", False, raises=JobTimedOut("no")),
    Row("given up before its deadline", ALL, "timed_out", False, gives_up=True),
    Row("given up slow", ALL, "timed_out", False, gives_up=True, takes_s=SLOW_S, learned="at least"),
    Row("given up beyond its forecast", ALL, "timed_out", False, 1, gives_up=True, **LATER),
]


class Plays(Work):
    """The work of one row's job."""

    def __init__(self, row: Row, clock: tw.ManualClock) -> None:
        super().__init__()
        self.row = row
        self.waits = row.leaves or row.gives_up
        self._clock = clock

    async def __call__(self, left_s: float | None) -> None:
        if not self.row.gives_up:
            self._clock.advance(self.row.takes_s)
        await super().__call__(left_s)
        if self.row.raises is not None:
            raise self.row.raises

    def decided(self, decision: Decision) -> None:
        """As a listener: how soon after it its work begins is not the test's to say."""
        if self.row.gives_up:
            self._clock.advance(self.row.takes_s)

    def ended(self, decision: Decision) -> None: ...


def app(work: Any) -> Starlette:
    """A handler, or a backend."""

    async def half() -> AsyncIterator[str]:
        yield "half"
        raise ConnectionError

    async def run(request: Request) -> Response:
        try:
            await work(None)
        except ConnectionError:
            return StreamingResponse(half())
        return PlainTextResponse("done", work.row.status)

    return Starlette(routes=[Route(path, run, methods=["POST"]) for path in ("/run", "/job")])


class OnAsyncio(Conformance):
    @asynccontextmanager
    async def adapter(self, journal: Journal, work: Work) -> AsyncIterator[Call]:
        route = AsyncRoute(journal.engine.route(self.model, "normal"), journal)

        async def call(headers: dict[str, str]) -> Told:
            bounds = read(headers, journal.engine, "normal").bounds()
            try:
                async with route.ticket((), enforce=True, **bounds):
                    await work(None)
            except (JobRejected, CapacityError) as error:
                return Told.of_refusal(refuse(error))
            return Told(True)

        yield call


class OnAsgi(test_asgi.Served):
    def app(self, journal: Journal, work: Work) -> Any:
        served, routes = app(work), {"/run": self.model}
        served.add_middleware(
            TailwiseMiddleware, journal=journal, routes=routes, default="normal", enforce=True
        )
        return served


class OnTransport(transport.OverHttp):
    http, kind = httpx2, transport.Httpx2Async
    server = staticmethod(app)
    options: ClassVar[dict[str, Any]] = {"attempts": 1}


class OnGateway(gateway.TestGateway):
    def server(self, work: Work) -> Starlette:
        return app(work)


ADAPTERS: dict[str, type[Conformance]] = {
    "asyncio": OnAsyncio,
    "asgi": OnAsgi,
    "transport": OnTransport,
    "gateway": OnGateway,
}


class World:
    """An engine that knows how long jobs take, and forgets nothing."""

    def __init__(self, **options: Any) -> None:
        self.clock = tw.ManualClock(1000.0)
        classes = [
            tw.QoS(name, 2.0 * USUAL_S, priority=i, contract="best_effort", explore=False)
            for i, name in enumerate(("urgent", "normal"))
        ]
        resources = [tw.Resource(name, slots=64) for name in "ab"]
        self.engine = tw.Engine(
            resources, [tw.Model("net")], classes, clock=self.clock, seed=3, tau_s=1e9, **options
        )
        self.journal = Journal(self.engine)
        route = self.engine.route("net", "normal")
        for i in range(N_WARM):
            ticket = route.select((), mask=1 << i % 2)
            self.clock.advance(USUAL_S)
            ticket.complete()
        self.before = self.facts

    @property
    def facts(self) -> dict[str, tuple[int, float]]:
        """(completions, median) by resource."""
        return {
            seen.resource: (round(seen.succeeded), self.engine.profile(seen.resource, "net").median_s)
            for seen in self.engine.statistics()
        }

    @property
    def learned(self) -> str:
        changes = [(self.facts[r][0] - self.before[r][0], self.facts[r][1] - self.before[r][1]) for r in "ab"]
        if any(n for n, _ in changes):
            return "times"
        return "at least" if any(median > 0.0 for _, median in changes) else "nothing"


@pytest.mark.parametrize(
    ("row", "name"), [pytest.param(r, name, id=f"{r.happens}-{name}") for r in ROWS for name in r.where]
)
def test_an_end_means_the_same_wherever_it_comes(row: Row, name: str) -> None:
    world = World()
    journal, engine = world.journal, world.engine

    async def play() -> None:
        work, ends, suite = Plays(row, world.clock), Ends(journal), ADAPTERS[name]()
        journal.listen(work)
        async with suite.adapter(journal, work) as call:
            scene = Scene(journal, work, call, ends)
            try:
                await end(scene, suite, row)
                async with asyncio.timeout(30.0):
                    await ends.none_open.wait()
            finally:
                work.release.set()

    asyncio.run(play())
    [decision] = journal.decisions
    assert (decision.end, decision.on_time) == (row.end, row.on_time)
    tally, seen = journal.classes["normal"], engine.certificate("normal")
    assert dict(tally.ended) == {row.end: 1}
    assert (tally.known, tally.on_time) == (int(row.on_time is not None), int(row.on_time is True))
    assert (seen.n, round((seen.on_time or 0.0) * seen.n)) == (N_WARM + tally.known, N_WARM + tally.on_time)
    assert engine.health(decision.resource or "").failures == row.failures
    assert world.learned == row.learned
    assert engine.in_flight == 0


async def end(scene: Scene, suite: Conformance, row: Row) -> None:
    if row.leaves:
        await scene.abandon()
        await suite.noticed(scene)
        if isinstance(suite, OnAsgi):  # a handler that is not aborted ends by itself
            scene.work.release.set()
    else:
        with suppress(WorkFailed, JobTimedOut, httpx2.TransportError):  # as its adapter lets its caller know
            await scene.call({DEADLINE: "20"} if row.gives_up else {})


@pytest.mark.parametrize("name", ALL)
def test_where_no_ticket_is_free_the_caller_is_told_when_to_come_again(name: str) -> None:
    world = World(max_tickets=1)
    held = world.engine.route("net", "normal").select(())

    async def play() -> Told:
        work = Plays(ROWS[0], world.clock)
        async with ADAPTERS[name]().adapter(world.journal, work) as call:
            return await call({})

    told = asyncio.run(play())
    assert (told.status, told.reason, told.retry_after_s) == (503, "too_many_open", 1.0)
    assert world.journal.classes["normal"].offered == 0
    held.cancel()
