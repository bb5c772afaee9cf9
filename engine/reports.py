"""What resources say of themselves, validated."""

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
    """Hands reported columns and counts of jobs to the core."""

    def __init__(self, core: Core, models: Sequence[Model]) -> None:
        self._core = core
        self._targets: dict[str, list[tuple[int, int]]] = {}  # (model, column) by the column's name
        for m, model in enumerate(models):
            for c, column in enumerate(model.columns):
                if column.reported:
                    self._targets.setdefault(column.name, []).append((m, c))

    def report(self, resource: str, at: float | None, values: Mapping[str, float]) -> None:
        """Raises UnknownName, InputError and then changes nothing."""
        me = f"report of {resource!r}"
        numbers = {name: as_number(value) for name, value in values.items()}
        for name, number in numbers.items():
            if name not in self._targets and name not in COUNTS:
                known = sorted({*self._targets, *COUNTS})
                raise UnknownName(f"no model has a reported column {name!r}; there are {known}")
            usable = is_number(values[name]) and (math.isnan(number) or is_not_negative(number))
            require(usable, me, name, values[name], "a number >= 0 or NaN", InputError)
        at_s = None if at is None else as_number(at)
        require(at_s is None or math.isfinite(at_s), me, "at", at, "finite seconds", InputError)
        columns = [
            (*target, number) for name, number in numbers.items() for target in self._targets.get(name, ())
        ]
        self._core.report(resource, at_s, numbers.get("running"), numbers.get("waiting"), columns)
