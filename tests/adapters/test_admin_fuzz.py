"""The admin app under requests that nobody foresaw, and readers that do not read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tailwise.adapters.admin import Admin
from tailwise.adapters.admin import events as streams
from tests.adapters.served import Served

CHANGE = {"x-tailwise-admin": "1", "content-type": "application/json"}
NAMES = st.sampled_from(["fast", "slow", "net", "llm", "urgent", "tokens", "tpot", "late"]) | st.text(
    max_size=20
)
GET = st.sampled_from(
    ["", "page.js", "api/snapshot", "api/why", "api/doctor", "api/curves", "api/mode", "api"]
)
POST = st.sampled_from(["mode", "reset", "drain", "undrain", "snapshot", "events", "nothing"])
KEYS = st.sampled_from(["mode", "rollout", "resource", "model", "other"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | NAMES, lambda inner: st.lists(inner, max_size=3)
)
HEADERS = st.dictionaries(
    st.sampled_from(["host", "origin", "sec-fetch-site", "content-type", "x-tailwise-admin", "accept"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    world = Served()
    world.serve(20)
    app = Admin(world.engine, world.journal)
    with TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1)) as client:
        yield client


@given(
    path=GET,
    query=st.dictionaries(st.sampled_from(["n", "request", "reason", "model", "feature", "signal"]), NAMES),
)
def test_whatever_is_asked_is_answered_or_refused(
    client: TestClient, path: str, query: dict[str, str]
) -> None:
    answer = client.get(f"/{path}", params=query)
    assert answer.status_code in (200, 400, 404, 405)
    if answer.status_code != 200:
        assert answer.json()["error"]["message"]


@given(
    what=POST,
    body=st.binary(max_size=60) | st.dictionaries(KEYS, VALUES).map(lambda d: json.dumps(d).encode()),
)
def test_whatever_is_sent_changes_something_or_is_refused_with_a_reason(
    client: TestClient, what: str, body: bytes
) -> None:
    answer = client.post(f"/api/{what}", content=body, headers=CHANGE)
    assert answer.status_code in (200, 400, 404, 405)
    if answer.status_code != 200:
        assert answer.json()["error"]["message"]


@given(headers=HEADERS, method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"]))
def test_whatever_the_headers_say_it_is_answered_or_refused(
    client: TestClient, headers: dict[str, str], method: str
) -> None:
    answer = client.request(method, "/api/mode", headers=headers)
    assert answer.status_code in (200, 400, 403, 405)
    foreign = headers.get("host", "localhost").partition(":")[0].lower() not in ("localhost", "127.0.0.1")
    if foreign or (method not in ("GET", "HEAD") and headers.get("x-tailwise-admin", "").strip() != "1"):
        assert answer.status_code == 403


def test_a_reader_that_takes_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "STUCK_S", 0.05)
    world = Served()
    endpoint = streams.Events(lambda: "{}", lambda: "[]", world.journal)

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":  # its buffers are full, and stay so
            await asyncio.Event().wait()

    async def read() -> None:
        await asyncio.wait_for(endpoint({"type": "http"}, receive, send), 30.0)

    asyncio.run(read())
    assert endpoint._n_readers == 0


def test_a_reader_that_leaves_frees_its_place() -> None:
    world = Served()
    endpoint = streams.Events(lambda: "{}", lambda: "[]", world.journal)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(endpoint({"type": "http"}, receive, send))
    assert endpoint._n_readers == 0
    assert sent[0]["status"] == 200
