"""What one page or header said of a server's load."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass

from tailwise.adapters.load.formats import Field, Format

__all__ = ["Report", "Series"]

#: The labels of one sample, and its value.
Series = tuple[Mapping[str, str], float]


@dataclass(frozen=True, slots=True)
class Report:
    """By field.

    values: numbers >= 0, as `engine.report` takes them; NaN = it is told, as unknown. missing: the metric that would
    tell the field and is not there. renamed: the old name under which a value was found. refused: why what was told
    is no such number; its value is NaN.
    """

    values: Mapping[str, float]
    missing: Mapping[str, str]
    renamed: Mapping[str, str]
    refused: Mapping[str, str]

    @classmethod
    def of(
        cls,
        form: Format,
        series: Callable[[str], Iterable[Series]],
        fields: Container[str] | None = None,
    ) -> Report:
        """series: all of the metric of that name; none where there is none. fields: those to look for; None = all."""
        values: dict[str, float] = {}
        missing: dict[str, str] = {}
        renamed: dict[str, str] = {}
        refused: dict[str, str] = {}
        for name, field in form.fields.items():
            if fields is not None and name not in fields:
                continue
            found = _first(field, series)
            if found is None:
                missing[name] = str(field)
                continue
            metric, number = found
            values[name] = number
            if metric in field.old:
                renamed[name] = metric
            if not (math.isnan(number) or (0.0 <= number <= field.most and number < math.inf)):
                values[name] = math.nan
                refused[name] = f"{metric} says {number:g}, but 0 to {field.most:g} is expected"
        return cls(values, missing, renamed, refused)


def _first(field: Field, series: Callable[[str], Iterable[Series]]) -> tuple[str, float] | None:
    for metric in field.names:
        number = field.number(series(metric))
        if number is not None:
            return metric, number
    return None
