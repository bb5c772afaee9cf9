"""Profiles measured elsewhere, as priors: in code, or from a table."""

from __future__ import annotations

import csv
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from tailwise.errors import ConfigError
from tailwise.validate import as_number, hold_number, is_positive, require, require_name

__all__ = ["Profile", "load_profiles"]

_NUMBERS = ("mean_s", "spread", "weight")
_SLOPE = "slope."


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile measured elsewhere, as prior for one (resource, model).

    mean_s: expected service seconds at the features' typical values, > 0. spread: standard deviation of
    ln(seconds), > 0. weight: how many observations it counts as, > 0: from 8 on,
    results included, standard classes refuse by it. slopes: by feature, finite: by how much
    ln(seconds) grows with the encoded feature (1 = in proportion, 0 = not at all); features that are not named start
    from what the model does elsewhere.
    """

    resource: str
    model: str
    mean_s: float
    spread: float = 0.3
    weight: float = 8.0
    slopes: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        me = f"Profile ({self.resource!r}, {self.model!r})"
        require_name(me, self.resource, "resource")
        require_name(me, self.model, "model")
        for name in _NUMBERS:
            hold_number(self, me, name, is_positive, "a finite number > 0")
        expected = "a mapping of features to numbers"
        require(isinstance(self.slopes, Mapping), me, "slopes", self.slopes, expected)
        slopes = {name: as_number(slope) for name, slope in self.slopes.items()}
        for name, slope in slopes.items():
            require(math.isfinite(slope), me, f"slopes[{name!r}]", self.slopes[name], "a finite number")
        object.__setattr__(self, "slopes", slopes)

    @property
    def ln_median(self) -> float:
        """ln of the median seconds of a lognormal with this mean and spread."""
        return math.log(self.mean_s) - 0.5 * self.spread**2

    def require_runs(self, runs: bool) -> None:
        """Raises ConfigError unless its resource runs its model: nothing would ever go by it."""
        if not runs:
            raise ConfigError(
                f"Profile ({self.resource!r}, {self.model!r}): the resource cannot run the model; drop the profile, "
                "or declare that it can"
            )


def load_profiles(path: str | PathLike[str]) -> tuple[Profile, ...]:
    """Reads given profiles from a table.

    path: a .csv with a header of resource, model, mean_s and, where wanted, spread, weight and slope.FEATURE columns
    (an empty cell = not given); or a .toml with one [[profile]] a row and a [profile.slopes] table.
    Raises ConfigError with the file, the row and the reason; OSError when it cannot be read.
    """
    require(isinstance(path, str | PathLike), "load_profiles", "path", path, "the path of a table")
    path = Path(path)
    readers = {".csv": _csv_rows, ".toml": _toml_rows}
    if path.suffix not in readers:
        raise ConfigError(f"{path}: a .csv or .toml file is expected")
    profiles: dict[tuple[str, str], str] = {}
    found = []
    for where, row in readers[path.suffix](path):
        profile = _profile(where, row)
        key = (profile.resource, profile.model)
        if key in profiles:
            raise ConfigError(f"{where}: {key} is in {profiles[key]} already; one row each is expected")
        profiles[key] = where
        found.append(profile)
    if not found:
        raise ConfigError(f"{path}: it holds no profile")
    return tuple(found)


def _profile(where: str, row: Mapping[str, Any]) -> Profile:
    unknown = set(row) - {"resource", "model", "slopes", *_NUMBERS}
    if unknown:
        raise ConfigError(
            f"{where}: {', '.join(sorted(unknown))} is none of resource, model, mean_s, spread, weight, slopes"
        )
    missing = [name for name in ("resource", "model", "mean_s") if name not in row]
    if missing:
        raise ConfigError(f"{where}: {' and '.join(missing)} missing")
    try:
        return Profile(**row)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _toml_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: it is no TOML: {error}") from None
    rows = table.get("profile", [])
    if set(table) - {"profile"} or not (
        isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
    ):
        raise ConfigError(f"{path}: [[profile]] tables and nothing else are expected")
    for number, row in enumerate(rows, 1):
        yield f"{path}, profile {number}", row


def _csv_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with path.open(encoding="utf-8", newline="") as file:
        try:
            for cells in (reader := csv.DictReader(file)):
                where = f"{path}, line {reader.line_num}"
                if None in cells or None in cells.values():
                    raise ConfigError(
                        f"{where}: {len(reader.fieldnames or ())} cells are expected, as in the header"
                    )
                yield where, _row(where, cells)
        except (csv.Error, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: it is no CSV: {error}") from None


def _row(where: str, cells: Mapping[str, str]) -> Mapping[str, Any]:
    row: dict[str, Any] = {"slopes": {}}
    for name, cell in ((name.strip(), cell.strip()) for name, cell in cells.items()):
        slope = name.removeprefix(_SLOPE) if name.startswith(_SLOPE) else None
        if name in ("resource", "model"):
            row[name] = cell
        elif cell:
            value = _number(where, name, cell) if slope is not None or name in _NUMBERS else cell
            (row if slope is None else row["slopes"])[name if slope is None else slope] = value
    return row


def _number(where: str, name: str, cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise ConfigError(f"{where}: {name}={cell!r}, but a number is expected") from None
