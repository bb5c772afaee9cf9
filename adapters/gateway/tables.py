"""TOML tables to frozen dataclasses: an error names the file, the table and the key."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tailwise.errors import ConfigError

__all__ = ["build", "no_others", "read", "rows"]

T = TypeVar("T")


def read(path: Path) -> dict[str, Any]:
    """The tables of a file. Raises ConfigError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None


def no_others(where: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raises ConfigError when the table has a key that nobody reads: it would be a typing error without effect."""
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise ConfigError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(known)}")


def rows(where: str, data: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The tables of an array [[key]], at least one. Raises ConfigError."""
    found = data.get(key)
    if not isinstance(found, list) or not found or not all(isinstance(row, dict) for row in found):
        raise ConfigError(f"{where}: at least one [[{key}]] table is expected")
    return found


def build(kind: type[T], table: object, where: str) -> T:
    """A dataclass of a table's keys; its own ConfigError is told with the place. Raises ConfigError."""
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: {table!r}, but a table is expected")
    fields = {f.name: f for f in dataclasses.fields(kind) if f.init}  # type: ignore[arg-type]
    no_others(where, table, fields)
    missing = [
        name
        for name, f in fields.items()
        if name not in table and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{where}: {', '.join(missing)} is missing")
    for name, value in table.items():
        # a string is a sequence of strings, too, and would be taken letter by letter
        if str(fields[name].type).startswith("tuple") and not isinstance(value, list):
            raise ConfigError(f"{where}: {name}={value!r}, but a list is expected")
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
    try:
        return kind(**given)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
