"""Where the resources of an engine are to be reached."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from tailwise.engine import Engine
from tailwise.errors import ConfigError

__all__ = ["Backends"]


class Backends:
    """Base URLs by the names of their resources. Others may be added and removed while jobs run."""

    def __init__(self, engine: Engine, urls: Mapping[str, str]) -> None:
        self._engine = engine
        self._urls: dict[str, str] = {}
        if not urls:
            raise ConfigError("backends={}: at least one base URL, by the name of its resource")
        for name, url in urls.items():
            engine.lane(name)
            self.add(name, url)

    def add(self, name: str, url: str) -> None:
        """url: scheme, host, port and what comes before each path. Raises ConfigError."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ConfigError(f"backend {name!r}: {url!r} is no base URL such as 'http://127.0.0.1:8001'")
        self._urls[name] = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"

    def remove(self, name: str) -> None:
        """Its jobs end where they are; no other goes there."""
        self._urls.pop(name, None)

    def __getitem__(self, name: str) -> str:
        return self._urls[name]

    def mask(self, own: Any, but: Collection[int] = ()) -> Any:
        """Candidates: resources that have a URL, of the caller's own (bool (K,), a bit set, or None = all), without
        some lanes."""
        reachable, others = 0, False
        for lane, resource in enumerate(self._engine.by_lane):
            if resource is not None and resource.name in self._urls and lane not in but:
                reachable |= 1 << lane
            else:
                others = True
        if not others:
            return own
        if own is None:
            return reachable
        return reachable & (own if isinstance(own, int) else bits_of(own))


def bits_of(mask: Any) -> int:
    """The bit set of a bool array (K,)."""
    return int.from_bytes(np.packbits(mask, bitorder="little").tobytes(), "little")
