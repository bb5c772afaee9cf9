"""Asks servers for their load, again and again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from tailwise import Engine
from tailwise.adapters.load.faults import Fault
from tailwise.adapters.load.formats import FORMATS, Format
from tailwise.adapters.load.intake import Intake, State
from tailwise.adapters.load.page import format_of, parser, read_metrics
from tailwise.errors import InputError, MissingExtra, UnknownName
from tailwise.validate import as_number, is_positive, require, require_name

__all__ = ["Poller", "Target"]

#: Pages of vLLM have some 100 kB an engine; what is much longer is no page of one server.
MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Target:
    """Where a resource tells its load. url: of its metrics. format: a name, or a Format of your own."""

    url: str
    format: str | Format = "vllm"
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        require_name("Target", self.url, "url")

    @property
    def shown(self) -> str:
        """The URL for logs and pages: without what may be secret, its user and its query."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class Client(Protocol):
    """As httpx2.AsyncClient and httpx.AsyncClient are."""

    @property
    def stream(self) -> Callable[..., AbstractAsyncContextManager[Any]]: ...
    async def aclose(self) -> None: ...


class Poller:
    """Polls the load of resources and reports it to an engine; one task a resource, so no poll meets the next.

        async with Poller(engine, {"gpu-0": Target("http://10.0.0.7:8000/metrics")}) as poller:
            ...                                     # poller.faults(), poller.state()

    Without an event loop of your own: `Thread(target=lambda: asyncio.run(poller.run()), daemon=True)`.

    interval_s: between the end of a poll and the next, drawn from 0.8 to 1.2 of it, so that pollers of several
    processes do not fall in step. timeout_s: of a whole poll. stale_s, quiet_s: see Intake. client: made where None,
    and then closed, too. seed: of the intervals.
    A report counts as measured when its answer began. A server reads its gauges when it comes to the request, right
    before it answers; what makes a poll slow is its own load, and passes before that. The engine compares a report
    with our own open jobs of that moment: dated when it was asked for, those sent meanwhile would look like others'.
    Raises ConfigError, UnknownName (no such format), MissingExtra.
    """

    def __init__(
        self,
        engine: Engine,
        targets: Mapping[str, Target],
        *,
        formats: Mapping[str, Format] = FORMATS,
        interval_s: float = 1.0,
        timeout_s: float = 5.0,
        stale_s: float = 10.0,
        quiet_s: float = 60.0,
        client: Client | None = None,
        seed: int | None = None,
    ) -> None:
        for name, seconds in (("interval_s", interval_s), ("timeout_s", timeout_s)):
            require(is_positive(as_number(seconds)), "Poller", name, seconds, "finite seconds > 0")
        parser()  # a missing extra is said now, not once a poll
        self.intake = Intake(engine, quiet_s=quiet_s, stale_s=stale_s)
        self._targets = {
            name: (target, format_of(target.format, formats)) for name, target in targets.items()
        }
        self._interval_s, self._timeout_s = float(interval_s), float(timeout_s)
        self._random = random.Random(seed)
        self._owns = client is None
        self._client = client if client is not None else _client()
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for name in self._targets:
                    group.create_task(self._again(name), name=f"tailwise.load {name}")
        finally:
            if self._owns:
                await self._client.aclose()

    async def poll(self, resource: str) -> bool:
        """Once, now; True: the engine was told. Raises UnknownName (no target of that name), nothing else."""
        if resource not in self._targets:
            raise UnknownName(f"no target {resource!r}; there are {', '.join(self._targets) or 'none'}")
        target, form = self._targets[resource]
        try:
            async with asyncio.timeout(self._timeout_s):
                page, at = await self._read(target)
            report = read_metrics(page, form, self.intake.wanted(resource))
            self.intake.page(resource, report, at)
        except TimeoutError:
            self.intake.failed(resource, f"{target.shown}: no whole answer within {self._timeout_s:g} s")
        except Exception as error:  # each client has errors of its own, and a poll ends no task
            self.intake.failed(resource, f"{target.shown}: {str(error) or repr(error)}")
        else:
            return True
        return False

    def faults(self) -> list[Fault]:
        """What resources should say and do not, by resource."""
        return self.intake.faults()

    def state(self) -> dict[str, State]:
        """The age and the values of each resource's last report."""
        return self.intake.state()

    async def __aenter__(self) -> Poller:
        self._task = asyncio.create_task(self.run(), name="tailwise.load")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _again(self, resource: str) -> None:
        await asyncio.sleep(self._interval_s * self._random.random())  # spread from the first on
        while True:
            await self.poll(resource)
            await asyncio.sleep(self._interval_s * self._random.uniform(0.8, 1.2))

    async def _read(self, target: Target) -> tuple[bytes, float]:
        """The page, and when it began to come."""
        headers = {"accept": "text/plain;version=0.0.4", **target.headers}
        async with self._client.stream("GET", target.url, headers=headers) as answer:
            at = self.intake.now_s()
            if answer.status_code != 200:
                raise InputError(f"status {answer.status_code}, but 200 is expected")
            page = bytearray()
            async for piece in answer.aiter_bytes():
                page += piece
                if len(page) > MOST_BYTES:
                    raise InputError(f"more than {MOST_BYTES} bytes")
        return bytes(page), at


def _client() -> Client:
    try:
        import httpx2
    except ImportError as error:
        raise MissingExtra(
            "tailwise.adapters.load.Poller needs a client: give one, or pip install 'tailwise[httpx2]'"
        ) from error
    return httpx2.AsyncClient()
