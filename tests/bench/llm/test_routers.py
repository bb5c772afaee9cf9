"""What stands before the servers: the gateway's file is one that it takes, and nginx hands streams through."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path

import pytest

from bench.gateway.fleet import nginx_binary
from bench.llm.calibrate import Bounds
from bench.llm.client import play
from bench.llm.files import Files
from bench.llm.routers import GATEWAY, NGINX, gateway_toml, headers, plain, router
from bench.llm.server import Server, Setting, llama, settings
from bench.llm.traffic import Session, Turn
from tailwise.adapters.gateway.config import load

LIMITS = {"chat": Bounds(ttft_s=1.5, tpot_s=0.1), "batch": Bounds(end_s=20.0)}
FILES = Files(Path("binaries"), Path("small"), Path("full"))


def servers(*ports: int) -> list[Server]:
    found = [llama(FILES, kind, Path("logs")) for kind in settings(FILES, 2)]
    for server, port in zip(found, ports, strict=False):
        server.port = port
    return found


@pytest.mark.parametrize("name", GATEWAY)
def test_the_gateway_takes_its_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(gateway_toml(8080, servers(), LIMITS, GATEWAY[name], 1))
    found = load(path)
    assert [backend.name for backend in found.backends] == ["quick", "slow"]
    assert [(q.name, q.ttft_s, q.tpot_s, q.deadline_s) for q in found.qos] == [
        ("chat", 1.5, 0.1, math.inf),
        ("batch", math.inf, math.inf, 20.0),
    ]
    assert {q.contract for q in found.qos} == {"standard" if "refusing" in name else "best_effort"}


def test_without_nginx_the_gateway_follows_a_rule_and_decides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(gateway_toml(8080, servers(), LIMITS, plain("least connections"), 1))
    serving = load(path).serving
    assert (serving.mode, serving.rule, serving.attempts, serving.hedge) == (
        "bypass",
        "least_connections",
        1,
        False,
    )
    with pytest.raises(RuntimeError, match="needs nginx"):
        plain("session hash")


def test_a_quarter_of_four_cores_is_the_slow_servers() -> None:
    """And one of two each: there the weights tell them apart."""
    assert [s.n_threads for s in settings(FILES, 8)] == [6, 2]
    assert [s.n_threads for s in settings(FILES, 2)] == [1, 1]
    flags = Setting("a", Path("w"), 3, n_slots=2, slot_tokens=100).flags()
    assert flags[flags.index("--threads") + 1] == "3"
    assert flags[flags.index("--ctx-size") + 1] == "200"


@pytest.mark.skipif(nginx_binary() is None, reason="nginx is not installed")
def test_nginx_hands_on_each_event_as_it_comes(tmp_path: Path) -> None:
    """The server sends its second event when the client has its first: a proxy that gathers would wait forever."""
    asked: list[int] = []

    async def run() -> None:
        heard = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\nfirst\n"
            )
            await writer.drain()
            await heard.wait()
            writer.write(b"second\n")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with router("round robin", servers(port, port), LIMITS, tmp_path, 1) as url:
                reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
                writer.write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                await reader.readuntil(b"first\n")
                heard.set()
                asked.append(len(await reader.readuntil(b"second\n")))
                writer.close()

    asyncio.run(asyncio.wait_for(run(), 60.0))
    assert len(asked) == 1


@pytest.mark.skipif(nginx_binary() is None, reason="nginx is not installed")
@pytest.mark.parametrize("name", NGINX)
def test_nginx_tells_which_server_answered(name: str, tmp_path: Path) -> None:
    body = json.dumps({"choices": [{"message": {"content": "a"}}]}).encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.split("content-length:")[1].split("\r\n")[0]))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async def run() -> list[str]:
        async with (
            await asyncio.start_server(serve, "127.0.0.1", 0) as one,
            await asyncio.start_server(serve, "127.0.0.1", 0) as two,
        ):
            ports = [server.sockets[0].getsockname()[1] for server in (one, two)]
            with router(name, servers(*ports), LIMITS, tmp_path, 1) as url:
                tape = [Session(f"s{i}", "batch", (Turn(0.0, "hi", 1, 1),) * 2) for i in range(8)]
                answers = await play(url, tape, headers(LIMITS), {"batch": False})
        assert all(answer.ok for answer in answers)
        return sorted(
            {answer.backend.replace(str(ports[0]), "one").replace(str(ports[1]), "two") for answer in answers}
        )

    assert asyncio.run(run()) == ["127.0.0.1:one", "127.0.0.1:two"]
