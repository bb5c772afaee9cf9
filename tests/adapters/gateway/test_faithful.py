"""What passes through unchanged, and what belongs to one connection and does not."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest
from starlette.requests import Request
from starlette.responses import Response

from tests.adapters.gateway.world import CONFIG, Backend, World, connected, play, raw

HTTP = (
    CONFIG
    + """
[[model]]
name = "plain"
api = "http"
paths = ["/plain"]
"""
)


def answering(w: World, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    def answer(request: Request) -> Response:
        response = Response(body, status)
        response.raw_headers[:] = [*headers, (b"content-length", str(len(body)).encode())]
        return response

    for backend in w.backends:
        backend.answer = answer


def test_a_body_reaches_the_backend_byte_for_byte() -> None:
    body = b'{ "model":"llama",\n "messages" : [{"role":"user","content":"\\u00e9\xc3\xa9"}], "x": 1.0e2 }'

    async def scenario(w: World) -> None:
        headers = {"content-type": "application/json; charset=utf-8"}
        await w.http.post("/v1/chat/completions?a=b%20c&d", content=body, headers=headers)
        [seen] = w.backends[0].seen
        assert seen.body == body
        assert seen.target == "/v1/chat/completions?a=b%20c&d"
        assert seen.all("content-type") == ["application/json; charset=utf-8"]
        assert seen.all("content-length") == [str(len(body))]

    play(scenario, n=1)


def test_an_alias_reaches_the_backend_by_the_name_that_it_knows() -> None:
    async def scenario(w: World) -> None:
        await w.chat(model="default", temperature=0.5)
        sent = json.loads(w.backends[0].seen[0].body)
        assert (sent["model"], sent["temperature"]) == ("meta/llama", 0.5)

    play(scenario, n=1, text=CONFIG.replace('["default"]', '["default"]\nbackend_name = "meta/llama"'))


def test_headers_of_one_connection_stay_there() -> None:
    async def scenario(w: World) -> None:
        answering(
            w,
            200,
            b"{}",
            [(b"connection", b"x-hop"), (b"x-hop", b"1"), (b"keep-alive", b"timeout=9"), (b"x-kept", b"2")],
        )
        sent = {
            "connection": "keep-alive, X-Mine",
            "x-mine": "1",
            "te": "trailers",
            "proxy-authorization": "Basic secret",
            "upgrade": "h2c",
            "x-other": "3",
        }
        response = await w.chat(headers=sent)
        [seen] = w.backends[0].seen
        for name in ("x-mine", "te", "proxy-authorization", "upgrade", "keep-alive"):
            assert seen.all(name) == [], name
        assert seen.all("x-other") == ["3"]
        assert seen.all("host") == [w.backends[0].url.removeprefix("http://")]
        assert seen.all("via") == ["1.1 tailwise"]
        assert "x-hop" not in response.headers
        assert "keep-alive" not in response.headers
        assert response.headers["x-kept"] == "2"

    play(scenario, n=1)


def test_a_header_that_comes_twice_arrives_twice() -> None:
    async def scenario(w: World) -> None:
        answering(
            w,
            200,
            b"{}",
            [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"date", b"then"), (b"server", b"own")],
        )
        response = await w.chat(headers=[("x-twice", "1"), ("x-twice", "2")])
        assert w.backends[0].seen[0].all("x-twice") == ["1", "2"]
        assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
        assert response.headers.get_list("server") == ["uvicorn", "own"]  # the backend's, and none of ours

    play(scenario, n=1)


def test_a_compressed_answer_is_not_touched() -> None:
    packed = gzip.compress(b'{"a": 1}')

    async def scenario(w: World) -> None:
        answering(w, 200, packed, [(b"content-encoding", b"gzip"), (b"content-type", b"application/json")])
        response = await raw(w, b'{"model": "llama"}', b"accept-encoding: gzip\r\n")
        assert response.endswith(b"\r\n\r\n" + packed)
        assert b"content-encoding: gzip" in response
        assert w.backends[0].seen[0].all("accept-encoding") == ["gzip"]

    play(scenario, n=1)


@pytest.mark.parametrize("status", [201, 302, 400, 404, 422, 499])
def test_what_a_backend_answers_is_passed_as_it_is(status: int) -> None:
    async def scenario(w: World) -> None:
        answering(w, status, b'{"error": "its own"}', [(b"location", b"/elsewhere")])
        response = await w.chat()
        assert (response.status_code, response.content) == (status, b'{"error": "its own"}')
        assert response.headers["location"] == "/elsewhere"
        assert len(w.backends[0].seen) == 1
        assert w.decisions[-1].end == ("completed" if status == 201 else "cancelled")

    play(scenario, n=1)


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_has_none(status: int) -> None:
    async def scenario(w: World) -> None:
        for backend in w.backends:
            backend.answer = lambda request: Response(status_code=status, headers={"etag": "1"})
        response = await w.http.get("/plain")
        assert (response.status_code, response.content, response.headers["etag"]) == (status, b"", "1")
        assert (await w.http.get("/plain")).status_code == status  # on the same connection

    play(scenario, text=HTTP)


def test_head_has_the_headers_and_no_body() -> None:
    async def scenario(w: World) -> None:
        answering(w, 200, b"12345", [(b"x-kept", b"2")])
        response = await w.http.head("/plain/deep")
        assert (response.headers["content-length"], response.content) == ("5", b"")
        assert w.backends[0].seen[0].method == "HEAD"
        assert w.decisions[-1].end == "completed"
        assert (await w.http.get("/plain")).content == b"12345"  # on the same connection

    play(scenario, n=1, text=HTTP)


def test_a_trailer_is_no_header() -> None:
    async def scenario(w: World) -> None:
        await raw(
            w,
            b'12\r\n{"model": "llama"}\r\n0\r\nx-late: 1\r\nauthorization: Bearer late\r\n\r\n',
            b"transfer-encoding: chunked\r\n",
            framed=False,
        )
        [seen] = w.backends[0].seen
        assert seen.body == b'{"model": "llama"}'
        assert (seen.all("x-late"), seen.all("authorization")) == ([], [])

    play(scenario, n=1)


@pytest.mark.parametrize("cut", [40, 150, 165, 1000])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_offer_of_another_protocol_is_not_taken_up_and_the_request_goes_on(
    chunked: bool, cut: int
) -> None:
    """What Java's own client sends with each request over plain HTTP. cut: where its bytes are in two."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\n"
    offer = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"
    body = json.dumps({"model": "llama", "messages": []}).encode()
    framed = b"content-length: %d\r\n\r\n%b" % (len(body), body)
    if chunked:
        framed = b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)

    async def scenario(w: World) -> None:
        reader, writer = await connected(w)
        sent = head + offer + framed + head + offer + framed  # the second in line behind the first
        writer.write(sent[:cut])
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(sent[cut:])
        for _ in range(2):
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200 ")
            length = next(line for line in answer.split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.split()[1]))
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: g\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        writer.close()
        [backend] = w.backends
        assert [seen.body for seen in backend.seen] == [body, body]
        assert backend.seen[0].all("upgrade") == []

    play(scenario, n=1)


def test_the_clients_key_is_passed_on_where_a_backend_has_none_of_its_own() -> None:
    async def scenario(w: World) -> None:
        await w.chat(headers={"authorization": "Bearer mine"})
        assert w.backends[0].seen[0].all("authorization") == ["Bearer mine"]

    play(scenario, n=1)


def test_a_backends_own_key_is_sent_instead_of_the_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_BACKEND_KEY", "theirs")

    async def scenario(w: World) -> None:
        await w.chat(headers={"authorization": "Bearer mine", "api-key": "mine"})
        [seen] = w.backends[0].seen
        assert seen.all("authorization") == ["Bearer theirs"]
        assert seen.all("api-key") == []

    play(scenario, n=1, text=CONFIG + '[each_backend]\napi_key_env = "TEST_BACKEND_KEY"\n')


def test_who_the_client_is_is_told_only_where_the_file_says_so() -> None:
    async def silent(w: World) -> None:
        await w.chat(headers={"x-forwarded-for": "10.0.0.1"})
        assert w.backends[0].seen[0].all("x-forwarded-for") == ["10.0.0.1"]
        assert w.backends[0].seen[0].all("x-forwarded-host") == []

    async def told(w: World) -> None:
        await w.chat(headers={"x-forwarded-for": "10.0.0.1", "x-forwarded-proto": "https"})
        [seen] = w.backends[0].seen
        assert seen.all("x-forwarded-for") == ["10.0.0.1, 127.0.0.1"]
        assert seen.all("x-forwarded-host") == [w.server.url.removeprefix("http://")]
        assert seen.all("x-forwarded-proto") == ["http"]

    play(silent, n=1)
    play(told, n=1, text=CONFIG.replace("hedge = false", "hedge = false\nforwarded = true"))


def test_a_path_before_each_request_is_the_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(w: World) -> None:
        upstreams = w.server.fleet.config.backends
        assert upstreams[0].url.endswith("/openai")
        await w.chat()
        assert w.backends[0].seen[0].target == "/openai/v1/chat/completions"

    monkeypatch.setattr(Backend, "path", "/openai")
    play(scenario, n=1)
