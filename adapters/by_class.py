"""A model as requests ask for it: its route under every class that fits it. No framework."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from tailwise.adapters.deadline import narrow
from tailwise.adapters.entry import Entry
from tailwise.adapters.journal import Journal
from tailwise.adapters.slo import Headers, Slo, read
from tailwise.errors import ConfigError
from tailwise.family import Family
from tailwise.route import Route

__all__ = ["ByClass"]


class ByClass:
    """The routes of one model, or of one family of variants, by the name of their class.

    default: name of the class of requests that name none and whose bounds no class covers; None = those are refused.
    Raises UnknownName, and ConfigError when no class, or not the default one, fits the model.
    """

    def __init__(self, journal: Journal, model: str, default: str | None = None) -> None:
        engine = journal.engine
        resolve = engine.route if any(m.name == model for m in engine.models) else engine.family
        self.journal = journal
        self.routes: dict[str, Route | Family] = {}
        for qos in engine.qos:
            with suppress(ConfigError):
                self.routes[qos.name] = resolve(model, qos.name)
        wanted = default if self.routes else engine.qos[0].name
        if wanted is not None and wanted not in self.routes:
            resolve(model, wanted)  # raises what keeps it from fitting
        self.default = default
        self._qos = {name: route.qos for name, route in self.routes.items()}

    def read(self, headers: Headers) -> Slo:
        """Raises HeaderError: see `slo.read`."""
        return read(headers, self._qos, self.default)

    def select(
        self, slo: Slo, x: Any, Z: Any = None, *, arrival_s: float | None = None, **options: Any
    ) -> Entry:
        """`Journal.select` with the bounds of the request, within what is left of the deadline around it."""
        route, bounds = self.routes[slo.qos], slo.bounds()
        bounds |= narrow(route.qos, self.journal.engine.clock, bounds.pop("deadline_s", None), arrival_s)
        return self.journal.select(route, x, Z, request_id=slo.request_id, **bounds, **options)
