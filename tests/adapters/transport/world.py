"""Two backends, an engine that likes the first one better, and clients of both libraries behind one face."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections import Counter
from contextlib import ExitStack
from typing import Any, Self

import tailwise as tw
from tailwise.adapters.exchange import Ask
from tailwise.adapters.journal import Decision, Journal
from tests.adapters.transport.origin import Origin

__all__ = ["FLAVOURS", "Caller", "Ear", "World"]

#: The library, and whether its client is the one for asyncio.
FLAVOURS = [(library, on_asyncio) for library in ("httpx", "httpx2") for on_asyncio in (False, True)]

PLAIN = Ask("net", "plain")
CHAT = Ask("llm", "chat")


class Ear:
    """Counts what each decision was told to have become."""

    def __init__(self) -> None:
        self.ends: dict[int, list[str | None]] = {}
        self._change = threading.Condition()

    def decided(self, decision: Decision) -> None:
        if decision.reason is None:
            self.ends[decision.number] = []

    def ended(self, decision: Decision) -> None:
        with self._change:
            self.ends[decision.number].append(decision.end)
            self._change.notify_all()

    def wait_until_ended(self, end: str) -> None:
        """One decision has ended so."""
        with self._change:
            assert self._change.wait_for(lambda: [end] in self.ends.values(), 30.0)


class World:
    """An engine whose resources `a`, `b` .. are the origins; the sooner, the better liked."""

    def __init__(self, *origins: Origin, **options: Any) -> None:
        self.origins = dict(zip("abc", origins, strict=False))
        self.engine = tw.Engine(
            [tw.Resource(name, offset_s=20.0 * i) for i, name in enumerate(self.origins)],
            [tw.Model("net"), tw.Model("llm", signals=("ttft", "tpot"))],
            [
                tw.QoS("plain", 60.0, contract="best_effort", explore=False),
                tw.QoS("hasty", 1e-3, contract="best_effort", explore=False),
                tw.QoS("chat", 60.0, ttft_s=30.0, priority=1, contract="best_effort", explore=False),
            ],
            seed=1,
            **options,
        )
        self.journal = Journal(self.engine)
        self.ear = Ear()
        self.journal.listen(self.ear)
        self._stack = ExitStack()

    @property
    def urls(self) -> dict[str, str]:
        return {name: origin.url for name, origin in self.origins.items()}

    @property
    def decisions(self) -> list[tuple[str | None, str | None]]:
        """Where each was sent, and what became of it."""
        return [(d.resource, d.end) for d in self.journal.decisions]

    @property
    def ended(self) -> dict[str, int]:
        """Jobs by how they ended."""
        return dict(sum((tally.ended for tally in self.journal.classes.values()), Counter()))

    def caller(self, flavour: tuple[str, bool], ask: Any = PLAIN, **options: Any) -> Caller:
        return self._stack.enter_context(Caller(self, *flavour, ask, **options))

    def __enter__(self) -> Self:
        for origin in self.origins.values():
            self._stack.enter_context(origin)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stack.close()
        if kind is None:
            assert self.engine.in_flight == 0
            assert {len(ends) for ends in self.ear.ends.values()} <= {1}  # each ended, and once


class Caller:
    """One client over a world's backends; its calls block, on asyncio too."""

    def __init__(
        self, world: World, library: str, on_asyncio: bool, ask: Any, timeout: float = 30.0, **options: Any
    ) -> None:
        self.http: Any = importlib.import_module(library)
        adapter = importlib.import_module(f"tailwise.adapters.{library}")
        self.on_asyncio = on_asyncio
        kind = adapter.AsyncTransport if on_asyncio else adapter.Transport
        inner = self.http.AsyncHTTPTransport if on_asyncio else self.http.HTTPTransport
        # certificates take 50 ms to read, and nothing here is encrypted
        options = {"inner": inner(verify=False), **options}
        self.transport = kind(world.journal, options.pop("urls", world.urls), ask, **options)
        client = self.http.AsyncClient if on_asyncio else self.http.Client
        self._runner = asyncio.Runner()
        self._client = client(
            transport=self.transport, base_url="http://any", timeout=timeout, trust_env=False
        )

    def run(self, call: Any) -> Any:
        return self._runner.run(call) if self.on_asyncio else call

    def send(self, method: str = "POST", path: str = "/v1/x", content: Any = b"ask", **options: Any) -> Any:
        if self.on_asyncio:
            return self.run(self._send(method, path, content=content, **options))
        return self._client.request(method, path, content=content, **options)

    async def _send(self, method: str, path: str, **options: Any) -> Any:
        return await self._client.request(method, path, **options)

    def read(self, n_chunks: int, **options: Any) -> bytes:
        """Reads so many pieces of a body and hangs up."""
        if self.on_asyncio:
            read: bytes = self.run(self._read(n_chunks, **options))
            return read
        got = b""
        with self._client.stream("POST", "/v1/x", content=b"ask", **options) as response:
            pieces = response.iter_raw()
            for _ in range(n_chunks):
                got += next(pieces)
        return got

    async def _read(self, n_chunks: int, **options: Any) -> bytes:
        got = b""
        async with self._client.stream("POST", "/v1/x", content=b"ask", **options) as response:
            pieces = response.aiter_raw()
            for _ in range(n_chunks):
                got += await anext(pieces)
        return got

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._client.aclose() if self.on_asyncio else self._client.close())
        self._runner.close()
