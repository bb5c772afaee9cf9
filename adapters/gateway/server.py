"""The gateway's two ports in one event loop: its clients', and the operators' on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import uvicorn

from tailwise.adapters.gateway.app import App
from tailwise.adapters.gateway.fleet import Fleet
from tailwise.adapters.gateway.operators import Operators
from tailwise.adapters.gateway.protocol import bounded

__all__ = ["Server"]


class _Uvicorn(uvicorn.Server):
    """Says when it listens. signals: whether it hears the process's."""

    def __init__(self, config: uvicorn.Config, *, signals: bool) -> None:
        super().__init__(config)
        self._signals = signals
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals() if self._signals else contextlib.nullcontext():
            yield

    @property
    def url(self) -> str:
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server:
    """Serves until it is told to stop, by SIGTERM, SIGINT or `stop`; then no new request is taken, and open ones get
    `drain_s` to end. signals: whether it hears them: in the main thread alone."""

    def __init__(self, fleet: Fleet, *, signals: bool = True) -> None:
        self.fleet = fleet
        self.app = App(fleet)
        serving = fleet.config.serving
        protocol = bounded(
            max_head_bytes=serving.max_header_bytes, max_headers=serving.max_headers, head_s=serving.body_s
        )
        config = _config(self.app, serving.host, serving.port, serving.drain_s, http=protocol)
        self._main = _Uvicorn(config, signals=signals)
        self._admin: _Uvicorn | None = None
        self._operators = Operators(fleet)
        if serving.admin_port is not None:
            config = _config(self._operators, "127.0.0.1", serving.admin_port, 1.0, lifespan="off")
            self._admin = _Uvicorn(config, signals=False)

    async def serve(self, started: Callable[[Server], None] = lambda server: None) -> None:
        """started: called once it can be connected to. Raises SystemExit where a port is taken."""
        servers = [server for server in (self._admin, self._main) if server is not None]
        tasks = [asyncio.create_task(server.serve()) for server in servers]
        telling = asyncio.create_task(self._tell(servers, started))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            telling.cancel()
            self._operators.close()
            for server in servers:
                server.should_exit = True
            await asyncio.gather(*tasks)

    async def _tell(self, servers: Sequence[_Uvicorn], started: Callable[[Server], None]) -> None:
        for server in servers:
            await server.listens.wait()
        started(self)

    def stop(self) -> None:
        """From any thread."""
        self._main.should_exit = True

    @property
    def url(self) -> str:
        """Of the clients' port, once it has started."""
        return self._main.url

    @property
    def admin_url(self) -> str | None:
        return None if self._admin is None else self._admin.url


def _config(app: Any, host: str, port: int, drain_s: float, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        ws="none",
        # what a backend says of itself in `server` and `date` is passed on, and who the client is nobody may say
        server_header=False,
        date_header=False,
        proxy_headers=False,
        access_log=False,  # it writes query strings, which hold keys
        log_config=None,
        timeout_graceful_shutdown=max(1, round(drain_s)),
        **{"http": "httptools", "lifespan": "on", **more},
    )
