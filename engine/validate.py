"""Refusals of declarations: who, which field, its value, what was expected."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol

from tailwise.errors import ConfigError

__all__ = ["is_positive", "labels_of", "require", "require_name", "unique_names"]


def require(ok: bool, owner: str, name: str, value: object, expected: str) -> None:
    if not ok:
        raise ConfigError(f"{owner}: {name}={value!r}, but {expected} is expected")


def require_name(owner: str, name: str) -> None:
    require(isinstance(name, str) and bool(name), owner, "name", name, "a non-empty string")


def is_positive(value: float) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0


def labels_of(owner: str, name: str, labels: Iterable[str]) -> frozenset[str]:
    """A set of names, as given by any iterable of them but one string. Raises ConfigError."""
    require(not isinstance(labels, str), owner, name, labels, "a set of strings")
    checked = frozenset(labels)
    require(
        all(isinstance(label, str) and label for label in checked), owner, name, labels, "a set of strings"
    )
    return checked


class Named(Protocol):
    @property
    def name(self) -> str: ...


def unique_names(owner: str, kind: str, items: Iterable[Named]) -> dict[str, int]:
    """Index by name; raises ConfigError on a name given twice."""
    index: dict[str, int] = {}
    for i, item in enumerate(items):
        require(item.name not in index, owner, kind, item.name, "a name used once")
        index[item.name] = i
    return index
