"""Apps that run jobs of one engine, and one request to such an app on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import tailwise as tw
from tailwise.adapters.asgi import TailwiseMiddleware
from tailwise.adapters.journal import Decision, Journal
from tests.adapters.loopback import loopback


class World:
    """A model with one signal and one with two, on two resources."""

    def __init__(self, clock: tw.ManualClock | None = None) -> None:
        self.engine = tw.Engine(
            [tw.Resource("a", slots=4), tw.Resource("b", slots=4)],
            [
                tw.Model("net", features=(tw.Feature("n", typical=8),)),
                tw.Model("llm", signals=("ttft", "tpot")),
            ],
            [tw.QoS("plain", 30.0), tw.QoS("chat", 60.0, ttft_s=30.0, tpot_s=10.0, priority=1)],
            clock=clock,
        )
        self.journal = Journal(self.engine)

    def starlette(self, handler: Callable[[Request], Awaitable[Response]], **options: Any) -> Starlette:
        """POST and GET /run by the handler; the model "net" of 8."""
        app = Starlette(routes=[Route("/run", handler, methods=["GET", "POST", "OPTIONS"])])
        options = {"routes": {"/run": "net"}, "features": lambda scope: (8.0,), "default": "plain"} | options
        app.add_middleware(TailwiseMiddleware, journal=self.journal, **options)
        return app

    def fastapi(self, **options: Any) -> FastAPI:
        app = FastAPI()
        app.add_middleware(TailwiseMiddleware, journal=self.journal, **options)
        return app

    @property
    def decision(self) -> Decision:
        """The only one."""
        [decision] = self.journal.decisions
        assert self.engine.in_flight == 0
        return decision

    @property
    def ends(self) -> list[str | None]:
        assert self.engine.in_flight == 0
        return [d.end for d in self.journal.decisions]


def ask(app: Any, method: str = "POST", path: str = "/run", **options: Any) -> httpx2.Response:
    """One request to the app on a server."""

    async def run() -> httpx2.Response:
        async with loopback(app) as url, httpx2.AsyncClient(timeout=30.0) as client:
            return await client.request(method, url + path, **options)

    return asyncio.run(run())
