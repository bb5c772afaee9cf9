"""Refusals of what users hand in: who, which field, its value, what was expected.

A number is what Python or NumPy calls one; a bool is none, and neither is a text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Mapping
from numbers import Integral, Real
from typing import Any, Protocol, TypeVar

from tailwise.errors import ConfigError, InputError, TailwiseError

__all__ = [
    "as_items",
    "as_number",
    "as_row",
    "hold_flag",
    "hold_number",
    "hold_whole",
    "is_not_negative",
    "is_number",
    "is_one_of",
    "is_positive",
    "is_share",
    "is_whole",
    "labels_of",
    "require",
    "require_name",
    "unique_names",
]

T = TypeVar("T")


def require(
    ok: bool,
    owner: str,
    name: str,
    value: object,
    expected: str,
    error: type[TailwiseError] = ConfigError,
) -> None:
    if not ok:
        raise error(f"{owner}: {name}={value!r}, but {expected} is expected")


def is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def as_number(value: object) -> float:
    """The float that a number is, infinite where no float is as large; NaN, which lies in no range, for all else."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return -math.inf if value <= 0 else math.inf


def is_positive(number: float) -> bool:
    return 0.0 < number < math.inf


def is_not_negative(number: float) -> bool:
    return 0.0 <= number < math.inf


def is_share(number: float) -> bool:
    return 0.0 <= number <= 1.0


def is_whole(value: object, least: float, most: float = math.inf) -> bool:
    """Whether it is an integer in least..most."""
    return isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= most


def is_one_of(value: object, names: Container[str]) -> bool:
    return isinstance(value, str) and value in names


def hold_number(
    owner: object,
    me: str,
    name: str,
    within: Callable[[float], bool],
    expected: str,
    *,
    or_none: bool = False,
) -> None:
    """Makes a field of a frozen dataclass the float that it is. Raises ConfigError unless it is a number `within`."""
    value = getattr(owner, name)
    if value is None and or_none:
        return
    number = as_number(value)
    require(within(number), me, name, value, expected + " or None" * or_none)
    object.__setattr__(owner, name, number)


def hold_whole(
    owner: object, me: str, name: str, least: int, most: float = math.inf, *, or_none: bool = False
) -> None:
    """Makes a field of a frozen dataclass the int that it is. Raises ConfigError unless it is one in least..most."""
    value = getattr(owner, name)
    if value is None and or_none:
        return
    expected = f"an int in {least}..{most}" if most < math.inf else f"an int >= {least}"
    require(is_whole(value, least, most), me, name, value, expected + " or None" * or_none)
    object.__setattr__(owner, name, int(value))


def hold_flag(owner: object, me: str, *names: str) -> None:
    """Raises ConfigError unless the fields are bools."""
    for name in names:
        require(isinstance(getattr(owner, name), bool), me, name, getattr(owner, name), "True or False")


def require_name(owner: str, name: object, field: str = "name") -> None:
    require(isinstance(name, str) and bool(name), owner, field, name, "a non-empty string")


def as_items(
    owner: str,
    name: str,
    items: object,
    kind: type[T] | tuple[type[Any], ...],
    expected: str,
    error: type[TailwiseError] = ConfigError,
) -> tuple[T, ...]:
    """What users give as a sequence: neither one text, which is a sequence of its letters, nor one bare item."""
    iterable = isinstance(items, Iterable) and not isinstance(items, str | bytes | Mapping)
    # an array of no dimension has __iter__, and no items
    require(iterable and getattr(items, "ndim", 1) != 0, owner, name, items, expected, error)
    assert isinstance(items, Iterable)
    found = tuple(items)
    for i, item in enumerate(found):
        require(isinstance(item, kind), owner, f"{name}[{i}]", item, expected, error)
    return found


def as_row(owner: str, features: object, n: int) -> list[float]:
    """A request's raw features. Raises InputError unless they are n numbers; their ranges are the core's to check."""
    expected = f"{n} numbers, one a declared feature," if n else "no number, since no feature is declared,"
    row = as_items(owner, "features", features, Real, expected, InputError)
    require(len(row) == n and all(map(is_number, row)), owner, "features", features, expected, InputError)
    return [as_number(value) for value in row]


def labels_of(owner: str, name: str, labels: object) -> frozenset[str]:
    """A set of names, as given by any iterable of them but one string. Raises ConfigError."""
    checked = as_items(owner, name, labels, str, "a set of strings")
    require(all(checked), owner, name, labels, "a set of strings")
    return frozenset(checked)


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
