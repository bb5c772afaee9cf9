"""The gateway's two ports in one event loop: its clients', and the operators' on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from tailwise.adapters.gateway.app import App
from tailwise.adapters.gateway.fleet import Fleet
from tailwise.adapters.gateway.protocol import bounded

__all__ = ["Server"]


class _Quiet(uvicorn.Server):
    """Leaves the process's signals to the other one."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


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
        kind = uvicorn.Server if signals else _Quiet
        self._main = kind(_config(self.app, serving.host, serving.port, serving.drain_s, http=protocol))
        self._admin: uvicorn.Server | None = None
        if serving.admin_port is not None:
            app = admin_app(fleet)
            self._admin = _Quiet(_config(app, "127.0.0.1", serving.admin_port, 1.0))

    async def serve(self, started: Callable[[Server], None] = lambda server: None) -> None:
        """started: called once it can be connected to. Raises OSError where a port is taken."""
        admin = None if self._admin is None else asyncio.ensure_future(self._admin.serve())
        watch = asyncio.ensure_future(self._tell(started))
        try:
            await self._main.serve()
        finally:
            watch.cancel()
            if self._admin is not None and admin is not None:
                self._admin.should_exit = True
                await admin

    async def _tell(self, started: Callable[[Server], None]) -> None:
        servers = [server for server in (self._main, self._admin) if server is not None]
        while not all(server.started for server in servers):
            await asyncio.sleep(0.01)
        started(self)

    def stop(self) -> None:
        """From any thread."""
        self._main.should_exit = True

    @property
    def url(self) -> str:
        """Of the clients' port, once it has started."""
        return _url(self._main)

    @property
    def admin_url(self) -> str | None:
        return None if self._admin is None else _url(self._admin)


def admin_app(fleet: Fleet) -> Any:
    """What the operators' port serves."""
    return App(fleet)


def _url(server: uvicorn.Server) -> str:
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _config(app: Any, host: str, port: int, drain_s: float, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        ws="none",
        lifespan="on",
        # what a backend says of itself in `server` and `date` is passed on, and who the client is nobody may say
        server_header=False,
        date_header=False,
        proxy_headers=False,
        access_log=False,  # it writes query strings, which hold keys
        log_config=None,
        timeout_graceful_shutdown=max(1, round(drain_s)),
        **{"http": "httptools", **more},
    )
