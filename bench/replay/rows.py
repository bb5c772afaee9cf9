"""Rows of a recorded file, checked while they are read: one line says what is wrong, with file, row and reason."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tailwise.adapters.cli.arrivals import seconds_of
from tailwise.errors import TailwiseError

__all__ = ["Rows", "TraceError", "opened"]

Floats = NDArray[np.float64]


class TraceError(TailwiseError, ValueError):
    """A recorded file cannot be used. row: as an editor counts lines (a header is row 1); None = the whole file."""

    def __init__(self, path: Path, row: int | None, reason: str) -> None:
        super().__init__(path, row, reason)
        self.path, self.row, self.reason = path, row, reason

    def __str__(self) -> str:
        where = "" if self.row is None else f", row {self.row}"
        return f"trace {self.path}{where}: {self.reason}"


@contextmanager
def opened(path: Path) -> Iterator[None]:
    """What opening and decoding a file raises, as a TraceError."""
    try:
        yield
    except OSError as error:
        raise TraceError(path, None, error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise TraceError(path, None, "not UTF-8 text") from None


@dataclass(frozen=True, slots=True)
class Rows:
    """A CSV file as text. cells: n rows as wide as the header; at: (n,) the row of the file that each one is."""

    path: Path
    header: tuple[str, ...]
    cells: list[list[str]]
    at: list[int]

    @classmethod
    def read(cls, path: Path, columns: Sequence[str]) -> Rows:
        """A file with a header that has all these columns, and at least one row. Raises TraceError."""
        cells, at = [], []
        with opened(path), path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            try:
                header = tuple(next(reader, ()))
                for row in reader:
                    if row:  # a blank line is none
                        cells.append(row)
                        at.append(reader.line_num)
            except csv.Error as error:
                raise TraceError(path, reader.line_num, f"not CSV: {error}") from None
        if not header:
            raise TraceError(path, None, "empty")
        missing = [name for name in columns if name not in header]
        if missing:
            raise TraceError(path, 1, f"no column {', '.join(missing)}; there are {', '.join(header)}")
        if not cells:
            raise TraceError(path, None, "no rows below the header")
        for row, number in zip(cells, at, strict=True):
            if len(row) != len(header):
                raise TraceError(path, number, f"{len(row)} fields where the header has {len(header)}")
        return cls(path, header, cells, at)

    def __len__(self) -> int:
        return len(self.cells)

    def keep(self, chosen: Sequence[int]) -> Rows:
        """Some of the rows, in this order."""
        return Rows(self.path, self.header, [self.cells[k] for k in chosen], [self.at[k] for k in chosen])

    def texts(self, name: str) -> list[str]:
        """(n,) one column, none of it blank."""
        column = self.header.index(name)
        texts = [row[column].strip() for row in self.cells]
        for k, text in enumerate(texts):
            if not text:
                raise self.error(k, f"{name} is missing")
        return texts

    def numbers(self, name: str, *, above: float = -math.inf, blank: float | None = None) -> Floats:
        """(n,) one column of finite numbers >= 0 and > `above`. blank: what an empty cell means; None = an error."""
        column = self.header.index(name)
        values = np.empty(len(self.cells))
        for k, row in enumerate(self.cells):
            text = row[column].strip()
            if not text and blank is not None:
                values[k] = blank
                continue
            values[k] = value = self._number(k, name, text)
            if value < 0.0:
                raise self.error(k, f"{name} {text} is negative")
            if value <= above:
                raise self.error(k, f"{name} {text} is not above {above:g}")
        return values

    def times(self, name: str, unit_s: float | None, *, equal: bool = False) -> Floats:
        """(n,) seconds from the first of a column of sorted times >= 0 in `unit_s` (None: ISO date and time).

        equal: may one time stand in several rows?
        """
        times = np.empty(len(self.cells))
        for k, text in enumerate(self.texts(name)):
            if unit_s is None:
                try:
                    times[k] = seconds_of(text, None)
                except ValueError:
                    raise self.error(k, f"{name} {text!r} is not a date and time") from None
            else:
                times[k] = self._number(k, name, text) * unit_s
                if times[k] < 0.0:
                    raise self.error(k, f"{name} {text} is negative")
        return self.sorted(name, times - times[0], equal=equal)

    def sorted(self, name: str, times: Floats, *, equal: bool = False) -> Floats:
        """The same times, if no row is earlier than the row before (equal: nor at the same time)."""
        steps = np.diff(times)
        wrong = steps < 0.0 if equal else steps <= 0.0
        if wrong.any():
            k = int(np.argmax(wrong)) + 1
            how = "not sorted: earlier than" if steps[k - 1] < 0.0 else "a duplicate: the same time as"
            raise self.error(k, f"{name} is {how} row {self.at[k - 1]}")
        return times

    def error(self, k: int, reason: str) -> TraceError:
        """An error of the k-th of these rows."""
        return TraceError(self.path, self.at[k], reason)

    def _number(self, k: int, name: str, text: str) -> float:
        if not text:
            raise self.error(k, f"{name} is missing")
        try:
            value = float(text)
        except ValueError:
            raise self.error(k, f"{name} {text!r} is not a number") from None
        if not math.isfinite(value):
            raise self.error(k, f"{name} {text} is not finite")
        return value
