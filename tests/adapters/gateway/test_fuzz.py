"""Whatever clients send and backends answer: no error 500 of ours, and no ticket left open."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from tests.adapters.gateway.schema import SCHEMA
from tests.adapters.gateway.world import CONFIG, Threaded, event

TEXT = CONFIG.replace(
    "hedge = false", "hedge = false\nmax_header_bytes = 4096\nmax_body_bytes = 65536\nbody_s = 0.3"
)
FUZZ = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
OUR_STATUSES = {200, 400, 404, 405, 408, 413, 429, 431, 502, 503, 504}

schema = schemathesis.openapi.from_dict(SCHEMA)


@pytest.fixture(scope="module")
def running() -> Iterator[Threaded]:
    running = Threaded(2, TEXT)
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def fuzzed(running: Threaded) -> Threaded:
    for backend in running.world.backends:
        backend.answer = lambda request: PlainTextResponse("fine")
    return running


@schema.parametrize()
@FUZZ
def test_requests_of_the_schema_and_beside_it(case: Any, fuzzed: Threaded) -> None:
    response = case.call(base_url=fuzzed.world.server.url)
    assert response.status_code in OUR_STATUSES, (response.status_code, response.text)
    if response.status_code >= 400:
        assert [response.json()["error"]["code"]] == response.headers["x-tailwise-reason"]
    fuzzed.settle()


KNOWN = (
    "x-tailwise-class x-tailwise-deadline-ms x-slo-ttft-ms x-slo-tpot-ms x-session-id x-request-id host upgrade "
    "x-tailwise-backend x-tailwise-model connection te transfer-encoding content-length content-type expect"
)
HEADER_NAMES = st.sampled_from(KNOWN.split()) | st.text(st.characters(codec="latin-1"), max_size=10)
HEADER_VALUES = st.text(st.characters(codec="latin-1"), max_size=20) | st.sampled_from(
    ["0", "-1", "1e3", "nan", "99999999999999999999", "chunked", "close, x-request-id", "b0", "chat"]
)


@given(st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=6), st.binary(max_size=80), st.booleans())
@FUZZ
def test_heads_of_any_kind(
    fuzzed: Threaded, headers: list[tuple[str, str]], body: bytes, whole: bool
) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers).encode("latin-1")
    framing = b"content-length: %d\r\n" % len(body) if whole else b""
    sent = b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\n" + framing + lines + b"\r\n" + body
    assert b" 500 " not in exchange(fuzzed, sent)[:20]
    fuzzed.settle()


@given(st.binary(max_size=300))
@FUZZ
def test_bytes_of_any_kind(fuzzed: Threaded, sent: bytes) -> None:
    assert b" 500 " not in exchange(fuzzed, sent)[:20]
    fuzzed.settle()


def exchange(fuzzed: Threaded, sent: bytes) -> bytes:
    """What comes back until the gateway closes, or we do: at the first answer."""
    host, port = fuzzed.world.server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(sent)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
            return connection.recv(65536)
    return b""


CHUNKS = st.lists(
    st.binary(max_size=60)
    | st.sampled_from([event("llama", {"content": "x"}), b"data: [DONE]\n\n", b"data: {\n\n", b": ping\n\n"]),
    max_size=6,
)


@given(
    CHUNKS,
    st.booleans(),
    st.sampled_from(["text/event-stream", "application/json", "x", ""]),
    st.sampled_from([200, 206, 404, 429, 500]),
    st.booleans(),
)
@FUZZ
def test_answers_of_any_kind_that_may_stop_half_way(
    fuzzed: Threaded, chunks: list[bytes], breaks: bool, kind: str, status: int, stream: bool
) -> None:
    async def body() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk
        if breaks:
            raise ConnectionError

    def answer(request: Request) -> Response:
        return StreamingResponse(body(), status, {"content-type": kind} if kind else None)

    for backend in fuzzed.world.backends:
        backend.answer = answer
    asked = {"model": "llama", "messages": [{"role": "user", "content": "x"}], "stream": stream}
    with httpx2.Client(base_url=fuzzed.world.server.url, timeout=30, trust_env=False) as client:
        try:
            response = client.post("/v1/chat/completions", content=json.dumps(asked))
        except httpx2.RemoteProtocolError:
            assert breaks
        else:
            assert response.status_code in {status, 502, 503}
            if response.status_code == status:
                assert b"".join(chunks).startswith(response.content)
    fuzzed.settle()
    for name in ("b0", "b1"):
        fuzzed.world.fleet.engine.changed(name)  # its breaker: what failed here is due for a try


@given(st.lists(st.integers(1, 400), min_size=1, max_size=4))
@FUZZ
def test_clients_that_stop_reading_half_way_leave_nothing_open(fuzzed: Threaded, sizes: list[int]) -> None:
    async def body() -> AsyncIterator[bytes]:
        for size in sizes * 20:
            yield event("llama", {"content": "x" * size})

    for backend in fuzzed.world.backends:
        backend.answer = lambda request: StreamingResponse(body(), media_type="text/event-stream")
    with (
        httpx2.Client(base_url=fuzzed.world.server.url, timeout=30, trust_env=False) as client,
        client.stream("POST", "/v1/chat/completions", json={"model": "llama", "stream": True}) as response,
    ):
        next(response.iter_raw())
    fuzzed.settle()
