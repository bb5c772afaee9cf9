"""What resources say of themselves: validation, and which of two reports is the newer one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tailwise._core.core import Core
from tailwise.errors import InputError, UnknownName
from tailwise.types import Model
from tailwise.validate import as_number, is_not_negative, is_number, require

__all__ = ["Reports"]


#: Jobs on the resource, from everybody; a column may have the name too.
COUNTS = frozenset({"running", "waiting"})


class Reports:
    """Writes reported columns and counts of jobs into the core. A report older than the last one of its resource is
    ignored."""

    def __init__(self, core: Core, models: Sequence[Model]) -> None:
        self._core = core
        self._reported_at: dict[int, float] = {}
        self._targets: dict[str, list[tuple[int, int]]] = {}  # (model, column) by the column's name
        for m, model in enumerate(models):
            for c, column in enumerate(model.columns):
                if column.reported:
                    self._targets.setdefault(column.name, []).append((m, c))

    def forget(self, lane: int) -> None:
        """The resource of this lane is gone."""
        self._reported_at.pop(lane, None)

    def report(self, resource: str, lane: int, at: float | None, values: Mapping[str, float]) -> None:
        """Raises UnknownName, InputError and then changes nothing."""
        now_s = self._core.now_s()
        me = f"report of {resource!r}"
        for name, value in values.items():
            if name not in self._targets and name not in COUNTS:
                known = sorted({*self._targets, *COUNTS})
                raise UnknownName(f"no model has a reported column {name!r}; there are {known}")
            number = as_number(value)
            usable = is_number(value) and (math.isnan(number) or is_not_negative(number))
            require(usable, me, name, value, "a number >= 0 or NaN", InputError)
        if at is not None:
            require(math.isfinite(as_number(at)), me, "at", at, "finite seconds", InputError)
        # by another clock, or from before this one went back, it must not make the next ones look old
        at_s = now_s if at is None else min(float(at), now_s)
        if at_s < min(self._reported_at.get(lane, -math.inf), now_s):
            return
        self._reported_at[lane] = at_s
        if not COUNTS.isdisjoint(values):
            self._core.report_jobs(lane, values.get("running"), values.get("waiting"), at_s)
        for name, value in values.items():
            for model, column in self._targets.get(name, ()):
                self._core.store(model, column, lane, value)
