"""What backends say of their load: pages that are polled, headers of answers that are read."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tailwise.adapters.gateway.config import Backend
from tailwise.adapters.load import Intake, Poller, Target
from tailwise.engine import Engine

__all__ = ["ORCA", "Reports"]

#: The format of reports that come in the headers of answers, and are polled nowhere.
ORCA = "orca"


class Reports:
    """`async with`: polls while it lasts. faults(), state(): what is wrong, and what was told, for the operators."""

    def __init__(self, engine: Engine, backends: Sequence[Backend], every_s: float) -> None:
        targets = {b.name: target_of(b) for b in backends if b.report not in (None, ORCA)}
        self._poller = Poller(engine, targets, interval_s=every_s) if targets else None
        self._intake = Intake(engine) if self._poller is None else self._poller.intake
        self._orca = frozenset(b.name for b in backends if b.report == ORCA)
        self.faults = self._intake.faults
        self.state = self._intake.state
        self._stack = contextlib.AsyncExitStack()

    def headers(self, backend: str, headers: Mapping[str, str]) -> None:
        """Of an answer."""
        if backend in self._orca:
            self._intake.headers(backend, headers)

    async def __aenter__(self) -> Self:
        if self._poller is not None:
            await self._stack.enter_async_context(self._poller)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()


def target_of(backend: Backend) -> Target:
    headers: dict[str, Any] = {}
    if backend.api_key is not None:
        headers["authorization"] = f"Bearer {backend.api_key}"
    host = urlsplit(backend.url)
    return Target(f"{host.scheme}://{host.netloc}{backend.report_path}", backend.report or "", headers)
