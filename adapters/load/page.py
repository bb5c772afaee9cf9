"""A page of metrics as Prometheus reads it, and what it says of a server's load."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Any

from tailwise.adapters.load.formats import FORMATS, Format
from tailwise.adapters.load.report import Report, Series
from tailwise.errors import InputError, MissingExtra, UnknownName

__all__ = ["format_of", "parser", "read_metrics"]

#: More series of one metric are not a server's own page (or an attack): some 15 us each to read.
MOST_SERIES = 256


def parser() -> Callable[[str], Iterable[Any]]:
    """Of a page's text. Raises MissingExtra: only pages need it, headers do without."""
    try:
        from prometheus_client.parser import text_string_to_metric_families
    except ImportError as error:
        raise MissingExtra(
            "tailwise.adapters.load needs prometheus-client to read a page: pip install 'tailwise[prometheus]'"
        ) from error
    return text_string_to_metric_families


def format_of(form: str | Format, formats: Mapping[str, Format] = FORMATS) -> Format:
    """Raises UnknownName."""
    if isinstance(form, Format):
        return form
    if form not in formats:
        raise UnknownName(f"no load format {form!r}; there are {', '.join(sorted(formats))}")
    return formats[form]


def read_metrics(page: str | bytes, form: str | Format, fields: Container[str] | None = None) -> Report:
    """What a page in Prometheus' text format says of the load.

    fields: those to look for; None = all of the format. Only samples that tell them are parsed: the rest of the page
    may say what it likes. Raises InputError: it is no such page, was cut off, or tells none of them. UnknownName (no
    such format). Cost: a search for each name and some 15 us a sample, a hundredth of the whole page's; measured by
    `python -m bench.load`.
    """
    form = format_of(form)
    raw = page.encode("utf-8", "replace") if isinstance(page, str) else page
    me = f"page of metrics for {form.name!r}"
    if not raw.endswith(b"\n"):
        raise InputError(f"{me}: it ends with {raw[-20:]!r}, but a line feed is expected: it was cut off")
    read: dict[str, list[Series]] = {}

    def series(name: str) -> list[Series]:
        if name not in read:
            read[name] = _series(me, raw, name)
        return read[name]

    report = Report.of(form, series, fields)
    if not report.values:
        seen, names = f"{len(raw)} bytes beginning with {raw[:20]!r}", ", ".join(report.missing.values())
        raise InputError(f"{me}: {seen} have none of its metrics; one of {names} is expected")
    return report


def _series(me: str, raw: bytes, name: str) -> list[Series]:
    lines = []
    for line in _lines(raw, name.encode()):
        lines.append(line)
        if len(lines) > MOST_SERIES:
            raise InputError(f"{me}: more than {MOST_SERIES} series of {name}")
    if not lines:
        return []
    parse = parser()
    try:
        families = list(parse(b"\n".join(lines).decode() + "\n"))
    except Exception as error:  # the parser meets garbage with whatever it stumbles over
        raise InputError(f"{me}: {name} is unreadable: {error!r}") from error
    return [(s.labels, s.value) for family in families for s in family.samples if s.name == name]


def _lines(raw: bytes, name: bytes) -> Iterator[bytes]:
    """The lines of samples of one metric; raw ends with a line feed."""
    start = raw.find(name)
    while start >= 0:
        end = raw.index(b"\n", start)
        if (start == 0 or raw[start - 1] == 0x0A) and raw[start + len(name)] in b"{ \t":
            yield raw[start:end]
        start = raw.find(name, end)
