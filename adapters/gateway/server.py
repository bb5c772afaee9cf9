"""The gateway's two ports in one event loop: its clients', and the operators' on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from tailwise.adapters.gateway.app import App
from tailwise.adapters.gateway.fleet import Fleet
from tailwise.adapters.gateway.operators import Operators
from tailwise.adapters.gateway.protocol import bounded
from tailwise.errors import ConfigError

__all__ = ["Server"]


#: Seconds that an idle connection of a client is kept: longer than proxies in front keep theirs (60 s is usual), so
#: that it is they who close it, and not we in the moment in which they send a request.
KEEP_ALIVE_S = 75


class _Uvicorn(uvicorn.Server):
    """Says when it listens, and leaves signals alone: uvicorn's own raise them again at its end, in the middle of
    what the other server still has to do."""

    def __init__(self, app: Any, host: str, port: int, drain_s: float, **more: Any) -> None:
        self._socket = _bound(host, port)
        super().__init__(_config(app, drain_s, **more))
        self.listens = asyncio.Event()

    def serve_bound(self) -> asyncio.Task[None]:
        return asyncio.create_task(self.serve([self._socket]))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @property
    def url(self) -> str:
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def close(self) -> None:
        self._socket.close()


class Server:
    """Serves until it is told to stop, by SIGTERM, SIGINT or `stop`; then no new request is taken, and open ones get
    `drain_s` to end. signals: whether it hears them: in the main thread alone. Has its ports from the beginning.
    Raises ConfigError where one is taken."""

    def __init__(self, fleet: Fleet, *, signals: bool = True) -> None:
        self.fleet = fleet
        self.app = App(fleet)
        self._signals = signals
        self._operators = Operators(fleet)
        serving = fleet.config.serving
        protocol = bounded(
            max_head_bytes=serving.max_header_bytes, max_headers=serving.max_headers, head_s=serving.body_s
        )
        self._main = _Uvicorn(self.app, serving.host, serving.port, serving.drain_s, http=protocol)
        self._servers = [self._main]
        if serving.admin_port is not None:
            try:
                admin = _Uvicorn(self._operators, "127.0.0.1", serving.admin_port, 1.0, lifespan="off")
            except ConfigError:
                self._main.close()
                raise
            self._servers.append(admin)

    async def serve(self, started: Callable[[Server], None] = lambda server: None) -> None:
        """Once. started: called when it takes requests."""
        loop = asyncio.get_running_loop()
        heard = (signal.SIGTERM, signal.SIGINT) if self._signals else ()
        for number in heard:
            loop.add_signal_handler(number, self._main.handle_exit, number, None)
        tasks = [server.serve_bound() for server in self._servers]
        telling = asyncio.create_task(self._tell(started))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            telling.cancel()
            self._operators.close()
            for server in self._servers:
                server.should_exit = True
            await asyncio.gather(*tasks)
            for number in heard:
                loop.remove_signal_handler(number)
            for server in self._servers:
                server.close()

    async def _tell(self, started: Callable[[Server], None]) -> None:
        for server in self._servers:
            await server.listens.wait()
        started(self)

    def run(self, started: Callable[[Server], None] = lambda server: None) -> None:
        """`serve` in an event loop of its own: uvloop's where it is installed."""
        with asyncio.Runner(loop_factory=self._main.config.get_loop_factory()) as runner:
            runner.run(self.serve(started))

    def stop(self) -> None:
        """From any thread."""
        self._main.should_exit = True

    @property
    def url(self) -> str:
        """Of the clients' port."""
        return self._main.url

    @property
    def admin_url(self) -> str | None:
        return self._servers[1].url if len(self._servers) > 1 else None


def _bound(host: str, port: int) -> socket.socket:
    """Raises ConfigError."""
    with contextlib.ExitStack() as stack:
        try:
            family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            # of one that does not say it is TCP's asyncio leaves Nagle's algorithm on: 40 ms an answer
            bound = stack.enter_context(socket.socket(family, kind, proto))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(2048)
        except OSError as error:
            raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}") from None
        stack.pop_all()
    return bound


def _config(app: Any, drain_s: float, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        ws="none",
        # what a backend says of itself in `server` and `date` is passed on, and who the client is nobody may say
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        access_log=False,  # it writes query strings, which hold keys
        log_config=None,
        timeout_graceful_shutdown=math.ceil(drain_s),
        **{"http": "httptools", "lifespan": "on", **more},
    )
