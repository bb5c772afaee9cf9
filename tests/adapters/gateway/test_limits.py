"""What a gateway does not take, and how it says so: JSON in the shape of OpenAI's errors, with a stable id."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError

from tests.adapters.gateway.world import CONFIG, World, connected, play, raw

SMALL = CONFIG.replace(
    "hedge = false",
    "hedge = false\nmax_body_bytes = 1000\nmax_header_bytes = 2000\nmax_headers = 20\nmax_open = 2\nbody_s = 0.2",
)


def error_of(answer: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)["error"]


async def answer_from(reader: asyncio.StreamReader) -> bytes:
    """One answer with a length, on a connection that stays open for a while."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length"))
    return head + await reader.readexactly(int(length.split()[1]))


def test_a_body_that_is_too_large_by_its_length_is_not_read() -> None:
    async def scenario(w: World) -> None:
        status, error = error_of(await raw(w, b"{" * 1001))
        assert (status, error["code"], error["type"]) == (413, "body_too_large", "invalid_request_error")
        assert w.backends[0].seen == []

    play(scenario, n=1, text=SMALL)


def test_a_body_that_grows_too_large_is_refused() -> None:
    async def scenario(w: World) -> None:
        chunk = b"3e8\r\n" + b"x" * 1000 + b"\r\n"
        answer = await raw(w, chunk + b"1\r\nx\r\n0\r\n\r\n", b"transfer-encoding: chunked\r\n", framed=False)
        status, error = error_of(answer)
        assert (status, error["code"]) == (413, "body_too_large")

    play(scenario, n=1, text=SMALL)


@pytest.mark.parametrize(
    "headers", [b"x-long: " + b"a" * 2000 + b"\r\n", b"".join(b"x-%d: 1\r\n" % i for i in range(30))]
)
def test_headers_beyond_the_bounds_are_refused(headers: bytes) -> None:
    async def scenario(w: World) -> None:
        status, error = error_of(await raw(w, b"{}", headers))
        assert (status, error["code"]) == (431, "headers_too_large")

    play(scenario, n=1, text=SMALL)


def test_a_header_that_never_ends_is_refused_while_it_comes() -> None:
    async def scenario(w: World) -> None:
        reader, writer = await connected(w)
        answer = asyncio.create_task(answer_from(reader))
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nx-long: ")
        while not answer.done():
            writer.write(b"a" * 500)
            await asyncio.sleep(0)
        status, error = error_of(answer.result())
        assert (status, error["code"]) == (431, "headers_too_large")
        writer.close()

    play(scenario, n=1, text=SMALL)


@pytest.mark.parametrize(
    "begun",
    [b"POST /v1/chat/completions HT", b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 9\r\n\r\n{"],
)
def test_a_request_that_does_not_arrive_is_given_up(begun: bytes) -> None:
    async def scenario(w: World) -> None:
        reader, writer = await connected(w)
        writer.write(begun)
        status, error = error_of(await reader.read())
        assert (status, error["code"]) == (408, "request_timeout")
        writer.close()

    play(scenario, n=1, text=SMALL)


def test_a_connection_that_says_nothing_is_closed() -> None:
    async def scenario(w: World) -> None:
        reader, writer = await connected(w)
        assert await reader.read() == b""
        writer.close()

    play(scenario, n=1, text=SMALL)


def test_what_is_no_http_is_told_so() -> None:
    async def scenario(w: World) -> None:
        reader, writer = await connected(w)
        writer.write(b"\x16\x03\x01\x02\x00\x01\r\n\r\n")
        status, error = error_of(await reader.read())
        assert (status, error["code"]) == (400, "bad_request")
        writer.close()

    play(scenario, n=1)


def test_more_requests_than_may_be_open_are_told_when_to_come_back() -> None:
    async def scenario(w: World) -> None:
        w.backends[0].gate = asyncio.Event()
        first = [asyncio.create_task(w.chat()) for _ in range(2)]
        while len(w.backends[0].seen) < 2:
            await w.backends[0].asked.wait()
            w.backends[0].asked.clear()
        third = await w.chat()
        assert third.status_code == 503
        assert third.json()["error"]["code"] == "too_many_open"
        assert third.headers["retry-after"] == "1"
        w.backends[0].gate.set()
        assert [answer.status_code for answer in await asyncio.gather(*first)] == [200, 200]

    play(scenario, n=1, text=SMALL)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/", 404, "unknown_path"),
        ("GET", "/favicon.ico", 404, "unknown_path"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/models/none", 404, "model_not_found"),
        ("GET", "/v1/files", 400, "bad_request"),
        ("POST", "/v1/%2e%2e/metrics", 404, "unknown_path"),
        ("POST", "/v1/%2e/chat/completions", 404, "unknown_path"),
    ],
)
def test_paths_and_methods_that_are_not_served(method: str, path: str, status: int, code: str) -> None:
    async def scenario(w: World) -> None:
        response = await w.http.request(method, path)
        assert (response.status_code, response.json()["error"]["code"]) == (status, code)
        assert (response.headers.get("allow") is not None) == (status == 405)

    play(scenario, n=1)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "bad_request"),
        (b"{", 400, "bad_request"),
        (b"[1]", 400, "bad_request"),
        (b'{"messages": []}', 400, "bad_request"),
        (b'{"model": 7}', 400, "bad_request"),
        (b'{"model": "\\ud800"}', 404, "model_not_found"),
        (b'{"model": "other"}', 404, "model_not_found"),
        (b"[" * 100_000, 400, "bad_request"),
    ],
)
def test_bodies_that_name_no_model_are_told_what_is_wrong(body: bytes, status: int, code: str) -> None:
    async def scenario(w: World) -> None:
        response = await w.http.post("/v1/chat/completions", content=body)
        assert (response.status_code, response.json()["error"]["code"]) == (status, code)

    play(scenario, n=1)


def test_openais_client_raises_what_it_raises_of_openai() -> None:
    async def scenario(w: World) -> None:
        with pytest.raises(NotFoundError, match="no model 'other'"):
            await w.openai.chat.completions.create(model="other", messages=[])
        with pytest.raises(BadRequestError, match="milliseconds"):
            await w.openai.chat.completions.create(
                model="llama", messages=[], extra_headers={"x-llm-d-slo-ttft-ms": "soon"}
            )

    play(scenario, n=1)


def test_models_are_listed_by_the_names_that_clients_may_say() -> None:
    async def scenario(w: World) -> None:
        assert [model.id async for model in w.openai.models.list()] == ["llama", "default"]
        assert (await w.openai.models.retrieve("default")).id == "default"
        assert (await w.http.get("/healthz")).json() == {"status": "ok"}

    play(scenario, n=1)


def test_no_request_can_name_an_upstream() -> None:
    async def scenario(w: World) -> None:
        body = b'{"model": "llama"}'
        head = "POST http://127.0.0.1:1/v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:1\r\nconnection: close\r\n"
        reader, writer = await connected(w)
        writer.write(f"{head}x-tailwise-backend: b9\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        assert w.backends[0].seen[0].target == "/v1/chat/completions"
        writer.close()

    play(scenario, n=1)
