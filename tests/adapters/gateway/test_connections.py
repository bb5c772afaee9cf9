"""Connections to backends, against a backend that is no more than a socket, and so says exactly what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import httpx2

from tailwise.adapters.gateway.server import Server
from tests.adapters.gateway.world import CONFIG, fleet_of, serving

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine"
PLAIN = CONFIG + '[[model]]\nname = "plain"\napi = "http"\npaths = ["/plain"]\n'


class Socket:
    """say: what it answers to the n-th request of all, the m-th on its connection; None = it closes that."""

    def __init__(self, say: Callable[[int, int], bytes | None]) -> None:
        self._say = say
        self.n_connections = self.n_requests = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_connections += 1
        on_this = 0
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or b"0"))
                self.n_requests += 1
                on_this += 1
                answer = self._say(self.n_requests, on_this)
                if answer is None:
                    break
                writer.write(answer)
        writer.close()


@contextlib.asynccontextmanager
async def before(backend: Socket) -> AsyncIterator[tuple[Server, httpx2.AsyncClient]]:
    listening = await asyncio.start_server(backend, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    try:
        async with (
            serving(Server(fleet_of(PLAIN, [f"http://{host}:{port}"]), signals=False)) as server,
            httpx2.AsyncClient(base_url=server.url, timeout=30, trust_env=False) as client,
        ):
            yield server, client
    finally:
        listening.close()
        await listening.wait_closed()


def test_requests_one_after_another_share_a_connection() -> None:
    async def run() -> None:
        backend = Socket(lambda n, m: ANSWER)
        async with before(backend) as (_, client):
            for _ in range(5):
                assert (await client.post("/plain", content=b"x")).text == "fine"
        assert (backend.n_requests, backend.n_connections) == (5, 1)

    asyncio.run(run())


def test_a_request_that_meets_the_end_of_a_kept_connection_is_sent_again_and_nobody_is_blamed() -> None:
    async def run() -> None:
        backend = Socket(lambda n, m: ANSWER if m == 1 else None)
        async with before(backend) as (server, client):
            for _ in range(3):
                assert (await client.post("/plain", content=b"x")).text == "fine"
            assert {d.end for d in server.fleet.journal.decisions} == {"completed"}
            assert server.fleet.engine.health("b0").failures == 0
        assert (backend.n_requests, backend.n_connections) == (5, 3)

    asyncio.run(run())


def test_a_backend_that_closes_a_new_connection_has_failed() -> None:
    async def run() -> None:
        backend = Socket(lambda n, m: None)
        async with before(backend) as (server, client):
            response = await client.post("/plain", content=b"x")
            assert (response.status_code, response.json()["error"]["code"]) == (502, "backend_failed")
            assert server.fleet.engine.in_flight == 0
        assert backend.n_requests == 1

    asyncio.run(run())


def test_a_length_without_a_body_is_not_passed_on() -> None:
    async def run() -> None:
        backend = Socket(lambda n, m: b"HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\netag: 1\r\n\r\n")
        async with before(backend) as (_, client):
            for _ in range(2):
                response = await client.get("/plain")
                assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", "1")
                assert "content-length" not in response.headers
        assert backend.n_connections == 1

    asyncio.run(run())


def test_an_interim_answer_is_not_taken_for_the_answer() -> None:
    async def run() -> None:
        backend = Socket(lambda n, m: b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n" + ANSWER)
        async with before(backend) as (_, client):
            response = await client.post("/plain", content=b"x")
            assert (response.status_code, response.text) == (200, "fine")
            assert "link" not in response.headers

    asyncio.run(run())


def test_what_is_no_http_is_a_failed_backend() -> None:
    async def run() -> None:
        for said in (b"\x00\x01\x02\r\n\r\n", b"HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n"):
            async with before(Socket(lambda n, m, said=said: said)) as (server, client):  # type: ignore[misc]
                response = await client.post("/plain", content=b"x")
                assert (response.status_code, response.json()["error"]["code"]) == (502, "backend_failed")
                assert server.fleet.engine.in_flight == 0

    asyncio.run(run())
