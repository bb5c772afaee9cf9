"""What servers say of their load and how they call it: as data, in formats.toml and in tables of the user's own."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal, get_args

from tailwise.errors import ConfigError
from tailwise.validate import as_items, as_number, hold_number, is_one_of, is_positive, require, require_name

__all__ = ["FORMATS", "Field", "Format", "formats_of"]

Over = Literal["sum", "mean", "max"]


@dataclass(frozen=True, slots=True)
class Field:
    """One number of a report and the names under which servers tell it; formats.toml says what each part means."""

    name: str
    metrics: tuple[str, ...]
    old: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict, hash=False)
    copies: tuple[str, ...] = ()
    over: Over = "sum"
    scale: float = 1.0
    most: float = math.inf

    def __post_init__(self) -> None:
        me = f"field {self.name!r}"
        known = isinstance(self.name, str) and self.name.isidentifier()
        require(known, "Field", "name", self.name, "an identifier, as engine.report takes it,")
        for name in ("metrics", "old", "copies"):
            names = as_items(me, name, getattr(self, name), str, "a list of names")
            require(all(names), me, name, names, "a list of names")
            object.__setattr__(self, name, names)
        require(bool(self.metrics), me, "metrics", self.metrics, "at least one name")
        plain = isinstance(self.where, Mapping) and all(map(_is_text, (*self.where, *self.where.values())))
        require(plain, me, "where", self.where, "a table of labels and their texts")
        object.__setattr__(self, "where", MappingProxyType(dict(self.where)))
        require(is_one_of(self.over, get_args(Over)), me, "over", self.over, "'sum', 'mean' or 'max'")
        hold_number(self, me, "scale", is_positive, "a finite number > 0")
        most = as_number(self.most)
        require(most > 0, me, "most", self.most, "a number > 0")
        object.__setattr__(self, "most", most)

    @property
    def names(self) -> tuple[str, ...]:
        """In the order in which they are looked for."""
        return self.metrics + self.old

    def __str__(self) -> str:
        """Its first metric, as a query would have it: what a person looks for on the page."""
        labels = ",".join(f'{label}="{text}"' for label, text in self.where.items() if text)
        return f"{self.metrics[0]}{{{labels}}}" if labels else self.metrics[0]

    def number(self, series: Iterable[tuple[Mapping[str, str], float]]) -> float | None:
        """What all series of one metric say together: NaN = unknown, None = none has the labels of `where`."""
        told: dict[frozenset[tuple[str, str]], float] = {}
        for labels, value in series:
            if any(labels.get(label, "") != text for label, text in self.where.items()):
                continue
            key = frozenset(item for item in labels.items() if item[0] not in self.copies)
            before = told.get(key, value)
            told[key] = value if value > before or math.isnan(value) else before
        if not told:
            return None
        values = told.values()
        combined = max(values) if self.over == "max" else sum(values)
        if any(map(math.isnan, values)):
            return math.nan
        return self.scale * (combined / len(values) if self.over == "mean" else combined)


@dataclass(frozen=True, slots=True)
class Format:
    """The fields that one kind of server tells."""

    name: str
    fields: Mapping[str, Field]

    def __post_init__(self) -> None:
        require_name("Format", self.name)
        me = f"Format {self.name!r}"
        require(bool(self.fields), me, "fields", self.fields, "at least one field")
        object.__setattr__(self, "fields", MappingProxyType(dict(self.fields)))


def formats_of(table: Mapping[str, Any]) -> dict[str, Format]:
    """Formats by name, from the tables of a TOML file that are laid out as formats.toml is. Raises ConfigError."""
    return {name: _format(name, fields) for name, fields in table.items()}


def _format(name: str, fields: object) -> Format:
    me = f"format {name!r}"
    require(isinstance(fields, Mapping), me, "fields", fields, "a table of fields")
    assert isinstance(fields, Mapping)
    return Format(name, {key: _field(f"{me}, field {key!r}", key, parts) for key, parts in fields.items()})


def _field(me: str, name: str, parts: object) -> Field:
    known = set(Field.__dataclass_fields__) - {"name"}
    usable = isinstance(parts, Mapping) and "metrics" in parts and known.issuperset(parts)
    expected = f"a table with metrics and, where wanted, {', '.join(sorted(known - {'metrics'}))}"
    require(usable, me, "parts", parts, expected)
    assert isinstance(parts, Mapping)
    try:
        return Field(name, **parts)
    except ConfigError as error:
        raise ConfigError(f"{me}: {error}") from None


def _is_text(value: object) -> bool:
    return isinstance(value, str)


#: Those that come with the package.
FORMATS: Mapping[str, Format] = MappingProxyType(
    formats_of(tomllib.loads(files(__package__).joinpath("formats.toml").read_text(encoding="utf-8")))
)
