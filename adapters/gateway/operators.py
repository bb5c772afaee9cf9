"""The operators' port: the admin app with its page, and metrics for Prometheus."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, make_asgi_app

from tailwise.adapters.admin import Admin
from tailwise.adapters.admin.guard import Guard
from tailwise.adapters.gateway.client import Receive, Scope, Send
from tailwise.adapters.gateway.fleet import Fleet
from tailwise.adapters.prometheus import TailwiseCollector

__all__ = ["Operators"]


class Operators:
    """The ASGI app. Only this machine may ask, as of `tailwise.adapters.admin`."""

    def __init__(self, fleet: Fleet) -> None:
        self._admin = Admin(fleet.engine, fleet.journal, fleet.reports)
        registry = CollectorRegistry()
        registry.register(TailwiseCollector(fleet.journal))
        metrics: Any = make_asgi_app(registry)
        self._metrics = Guard(metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in ("/metrics", "/metrics/"):
            await self._metrics(scope, receive, send)
        else:
            await self._admin(scope, receive, send)

    def close(self) -> None:
        """Ends its streams, for which a server would wait."""
        self._admin.close()
