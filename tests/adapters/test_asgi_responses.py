"""How the response of a request ends is how its job ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import Depends, HTTPException
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.testclient import TestClient

import tailwise as tw
from tailwise.adapters.asgi import TailwiseMiddleware, decide
from tailwise.adapters.fastapi import ticket
from tailwise.adapters.journal import Entry, Journal
from tests.adapters.asgi_world import World, ask

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize(
    ("end", "statuses"),
    [("completed", (200, 204)), ("cancelled", (302, 404, 422, 429)), ("failed", (500, 503))],
)
def test_the_status_of_the_response_settles_the_job(end: str, statuses: tuple[int, ...]) -> None:
    world = World()

    async def run(request: Request) -> Response:
        return Response(status_code=int(request.headers["x-status"]))

    for status in statuses:
        assert ask(world.starlette(run), headers={"x-status": str(status)}).status_code == status
    assert world.ends == [end] * len(statuses)


def test_an_error_of_the_handler_is_not_swallowed() -> None:
    world = World()

    async def run(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    app = TailwiseMiddleware(run, world.journal, {"/run": "net"}, lambda scope: (8.0,), "plain")
    with pytest.raises(ZeroDivisionError):
        TestClient(app).post("/run")
    assert world.ends == ["failed"]


def test_an_app_that_returns_without_a_response_has_failed() -> None:
    world = World()

    async def run(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})

    app = TailwiseMiddleware(run, world.journal, {"/run": "net"}, lambda scope: (8.0,), "plain")
    with pytest.raises(httpx2.RemoteProtocolError):
        ask(app)
    assert world.ends == ["failed"]


def test_the_first_chunk_of_a_stream_is_the_first_token_and_a_whole_answer_says_nothing_of_it() -> None:
    world = World()

    async def run(request: Request) -> Response:
        entry = request.state.tailwise

        async def tokens() -> AsyncIterator[str]:
            yield "a"
            assert entry.decision.ttft_s is not None
            yield "b"
            entry.complete(tokens=2)

        whole = request.headers.get("x-whole")
        return PlainTextResponse("ab") if whole else StreamingResponse(tokens())

    app = world.starlette(run, routes={"/run": "llm"}, features=None, default="chat")
    assert ask(app).text == "ab"
    decision = world.decision
    assert (decision.end, decision.on_time, decision.tokens) == ("completed", True, 2)
    assert decision.ttft_s is not None
    assert world.engine.length("llm").n == 1.0
    assert ask(app, headers={"x-whole": "1"}).text == "ab"
    assert world.journal.decisions[-1].ttft_s is None


def test_what_the_handler_has_settled_stays_settled() -> None:
    world = World()

    async def run(request: Request) -> Response:
        with request.state.tailwise as entry:
            assert not entry.settled
        return Response(status_code=500)

    ask(world.starlette(run))
    assert world.ends == ["completed"]


def test_a_handler_may_try_elsewhere() -> None:
    world, ran = World(), []

    async def run(request: Request) -> Response:
        entry = request.state.tailwise
        with entry.retry() as second:
            ran.extend((entry.resource, second.resource))
        return Response()

    ask(world.starlette(run))
    assert world.ends == ["failed", "completed"]
    assert sorted(ran) == ["a", "b"]


def test_two_jobs_of_one_request_are_settled_each() -> None:
    world = World()
    app = world.fastapi(default="plain")

    @app.post("/run")
    async def run(
        net: Entry = Depends(ticket("net", lambda: (1,))),  # noqa: B008
        llm: Entry = Depends(ticket("llm", default="chat")),  # noqa: B008
    ) -> None:
        net.complete()

    assert ask(app).status_code == 200
    assert [(d.model, d.end) for d in world.journal.decisions] == [("net", "completed"), ("llm", "completed")]


def test_two_jobs_of_one_request_have_the_deadline_of_the_one_that_is_due_first() -> None:
    engine = tw.Engine(
        [tw.Resource("a", slots=4)],
        [tw.Model("net")],
        [tw.QoS("short", 5.0), tw.QoS("long", 50.0, priority=1)],
        clock=tw.ManualClock(100.0),
    )
    left_s: list[float] = []

    async def run(scope: Any, receive: Any, send: Any) -> None:
        left_s.extend(decide(scope, "net", (), default=name).left_s for name in ("long", "short", "long"))
        await Response()(scope, receive, send)

    assert ask(TailwiseMiddleware(run, Journal(engine))).status_code == 200
    assert left_s == [pytest.approx(50.0), pytest.approx(5.0), pytest.approx(5.0)]
    assert engine.in_flight == 0


def test_a_refusal_of_what_the_handler_asks_for_in_turn_is_no_failure_of_its_resource() -> None:
    world = World()

    async def run(request: Request) -> Response:
        world.engine.drain("a")
        world.engine.drain("b")
        decide(request, "llm", (), default="chat")
        raise AssertionError

    response = ask(world.starlette(run))
    assert (response.status_code, response.headers["x-tailwise-reason"]) == (503, "no_resource")
    assert world.ends == ["cancelled", None]
    assert sum(world.engine.health(name).failures for name in "ab") == 0


def test_background_tasks_run_after_the_job_has_ended() -> None:
    world, seen = World(), []

    async def run(request: Request) -> Response:
        return Response(background=BackgroundTask(lambda: seen.append(request.state.tailwise.settled)))

    ask(world.starlette(run, enforce=True))
    assert seen == [True]
    assert world.ends == ["completed"]


def test_enforced_a_handler_that_takes_too_long_is_ended_and_answered() -> None:
    world = World()

    async def run(request: Request) -> Response:
        await asyncio.Event().wait()
        return Response()

    answer = ask(world.starlette(run, enforce=True), headers={"x-tailwise-deadline-ms": "500"})
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "timed_out"
    assert world.ends == ["timed_out"]


def test_other_middleware_around_and_inside_changes_nothing() -> None:
    world = World()

    async def run(request: Request) -> Response:
        return StreamingResponse(iter([request.state.tailwise.resource]))

    async def passing(request: Request, proceed: Any) -> Response:
        response: Response = await proceed(request)
        return response

    app = world.starlette(run)
    app.add_middleware(BaseHTTPMiddleware, dispatch=passing)  # outside
    app.user_middleware.append(app.user_middleware[0])  # and inside
    assert ask(app).text in ("a", "b")
    assert world.ends == ["completed"]


def test_an_http_exception_of_fastapi_settles_by_its_status() -> None:
    world = World()
    app = world.fastapi(default="plain")

    @app.post("/run")
    async def run(entry: Entry = Depends(ticket("net", lambda: (1,)))) -> None:  # noqa: B008
        raise HTTPException(418)

    assert ask(app).status_code == 418
    assert world.ends == ["cancelled"]


def test_a_plain_handler_may_decide_in_its_thread_and_is_timed_out_when_it_returns() -> None:
    world = World()
    app = world.fastapi(default="plain", enforce=True, abort=True)
    over = threading.Event()

    @app.post("/run")
    def run(request: Request) -> str:
        entry = decide(request, "net", (1,))
        threading.Timer(max(0.0, entry.left_s) + 0.02, over.set).start()
        over.wait()
        return str(entry.resource)

    assert ask(app, headers={"x-tailwise-deadline-ms": "1000"}).status_code == 504
    assert world.ends == ["timed_out"]
