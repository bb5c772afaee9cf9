"""Which requests are jobs, of which class, within which bounds; what is none of ours passes untouched."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from fastapi import Body, Depends
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient

import tailwise as tw
from tailwise.adapters import deadline
from tailwise.adapters.asgi import TailwiseMiddleware, decide
from tailwise.adapters.asyncio import AsyncRoute
from tailwise.adapters.fastapi import ticket
from tailwise.adapters.journal import Entry
from tailwise.errors import MissingExtra
from tests.adapters.asgi_world import World, ask
from tests.adapters.loopback import loopback

pytestmark = pytest.mark.timeout(60)


def test_bounds_of_tokens_in_headers_are_the_jobs() -> None:
    world, seen = World(), []

    async def run(request: Request) -> Response:
        seen.append((request.state.tailwise.left_s, deadline.left_s()))
        return Response()

    app = world.starlette(run, routes={"/run": "llm"}, features=None, default="chat")
    bounds = {"x-llm-d-slo-ttft-ms": "20000", "x-tailwise-deadline-ms": "25000"}
    assert ask(app, headers=bounds).status_code == 200
    [(first_s, end_s)] = seen
    assert 0.0 < first_s <= 20.0 < end_s <= 25.0


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_only_posts_are_jobs_unless_another_method_is_said(method: str) -> None:
    world = World()

    async def run(request: Request) -> Response:
        return PlainTextResponse(str("tailwise" in request.scope["state"]))

    assert ask(world.starlette(run), method).text == "False"
    assert ask(world.starlette(run), path="/other").status_code == 404
    assert world.ends == []
    assert ask(world.starlette(run, routes={f"{method} /run": "net"}), method).text == "True"
    assert world.ends == ["completed"]


def test_lifespan_and_websockets_pass_untouched() -> None:
    world, ran = World(), []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        ran.append("up")
        yield {"pool": "p"}
        ran.append("down")

    async def run(request: Request) -> Response:
        return PlainTextResponse(request.state.pool + request.state.tailwise.resource)

    app = world.starlette(run)
    app.router.lifespan_context = lifespan

    async def echo(socket: Any) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())

    app.router.routes.append(WebSocketRoute("/socket", echo))
    with TestClient(app) as client:
        with client.websocket_connect("/socket") as socket:
            socket.send_text("hello")
            assert socket.receive_text() == "hello"
        assert client.post("/run").text in ("pa", "pb")
    assert ran == ["up", "down"]
    assert world.ends == ["completed"]


def test_a_job_that_the_handler_asks_for_is_refused_like_its_own() -> None:
    world = World()
    inner = AsyncRoute(world.engine.route("llm", "chat"), world.journal)

    async def run(request: Request) -> Response:
        for name in ("a", "b"):
            world.engine.drain(name)
        async with inner.ticket(()):
            return Response()

    answer = ask(world.starlette(run))
    assert (answer.status_code, answer.headers["x-tailwise-reason"]) == (503, "no_resource")
    assert world.ends == ["cancelled", None]


def test_a_decision_needs_the_middleware() -> None:
    with pytest.raises(tw.ConfigError, match="add_middleware"):
        decide({"type": "http"}, "net", (8,))


@pytest.mark.parametrize(("model", "default"), [("none", "plain"), ("net", "none")])
def test_a_wrong_name_is_told_when_the_middleware_is_made(model: str, default: str) -> None:
    with pytest.raises(tw.UnknownName):
        TailwiseMiddleware(Starlette(), World().journal, {"/run": model}, default=default)


def test_a_class_that_does_not_fit_the_model_is_told_by_name() -> None:
    world = World()

    async def run(request: Request) -> Response:
        return Response()

    with pytest.raises(tw.ConfigError, match=r"'chat'.*'net'"):
        world.starlette(run, default="chat").build_middleware_stack()
    answer = ask(world.starlette(run), headers={"x-tailwise-class": "chat"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "x-tailwise-class"


def test_features_come_from_what_fastapi_reads_and_a_plain_handler_runs_in_a_thread() -> None:
    world, seen = World(), []
    app = world.fastapi(default="plain")

    def size(images: list[str] = Body(embed=True)) -> tuple[int]:  # noqa: B008
        return (len(images),)

    @app.post("/run")
    def run(images: list[str] = Body(embed=True), entry: Entry = Depends(ticket("net", size))) -> str:  # noqa: B008
        seen.append((len(images), deadline.left_s()))
        with entry:
            return str(entry.resource)

    answer = ask(app, json={"images": ["x", "y", "z"]})
    assert answer.json() in ("a", "b")
    [(n, left_s)] = seen
    assert n == 3
    assert 0.0 < left_s <= 30.0
    assert ask(app, json={"images": 5}).status_code == 422
    assert world.ends == ["completed"]  # what cannot be read is no job


def test_what_passes_before_the_decision_is_gone_from_the_deadline() -> None:
    clock = tw.ManualClock(100.0)
    world = World(clock)

    async def run(request: Request) -> Response:
        clock.advance(0.75)  # an upload
        assert decide(request, "net", (8.0,)).left_s == pytest.approx(0.25)
        assert deadline.left_s() == pytest.approx(0.25)
        return Response()

    app = world.starlette(run, routes={})
    assert ask(app, headers={"x-tailwise-deadline-ms": "1000"}).status_code == 200
    assert world.ends == ["completed"]


NAMES = st.sampled_from(
    ("x-tailwise-class", "x-tailwise-deadline-ms", "x-llm-d-slo-ttft-ms", "x-slo-tpot-ms", "x-session-id")
)
TEXTS = st.text(
    st.characters(min_codepoint=33, max_codepoint=255, exclude_categories=("Cc", "Cf")), max_size=40
)
VALUES = TEXTS | st.floats().map(repr) | st.sampled_from(("chat", "plain", "20000"))


def test_no_header_makes_an_error_of_ours_or_leaves_a_ticket_open() -> None:
    world = World()
    app = world.fastapi(default="chat")

    @app.post("/run")
    async def run(entry: Entry = Depends(ticket("llm"))) -> str:  # noqa: B008
        return str(entry.resource)

    with asyncio.Runner() as runner:
        server = loopback(app)
        url = runner.run(server.__aenter__())
        client = httpx2.AsyncClient(base_url=url, timeout=30.0)

        @settings(max_examples=150, deadline=None)
        @given(st.lists(st.tuples(NAMES, VALUES.map(lambda v: v.encode("latin-1"))), max_size=4))
        def send(headers: list[tuple[str, bytes]]) -> None:
            answer = runner.run(client.post("/run", headers=headers))
            assert answer.status_code in (200, 400, 429)
            if answer.status_code != 200:
                error = answer.json()["error"]
                assert error["code"] in ("bad_header", "late")
                assert error["message"].isprintable()
            assert world.engine.in_flight == 0

        send()
        runner.run(client.aclose())
        runner.run(server.__aexit__(None, None, None))
    tally = world.journal.classes["chat"]
    assert tally.offered == tally.ended["completed"] + tally.refused["late"] > 0


def test_without_fastapi_the_dependency_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.delitem(sys.modules, "tailwise.adapters.fastapi")
    with pytest.raises(MissingExtra, match=r"pip install 'tailwise\[fastapi\]'"):
        importlib.import_module("tailwise.adapters.fastapi")


def test_the_middleware_imports_no_framework() -> None:
    program = "import sys, tailwise.adapters.asgi; print(sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert "'tailwise'" in loaded
    assert not {"starlette", "fastapi", "anyio", "httpx", "uvicorn"} & set(
        loaded.strip("[]\n").replace("'", "").split(", ")
    )
