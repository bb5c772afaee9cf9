"""What the pages of a run and of a replay are made of: one self-contained HTML document, tables and figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["document", "figure", "heading", "number", "row", "table", "table_body"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59626c; --line: #d8dde2; --page: #ffffff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --soft: #a3adb7; --line: #343b43; --page: #14181c; }
}
body { margin: 2.5rem auto; max-width: 62rem; padding: 0 1.25rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.1rem; margin: 2.6rem 0 .5rem; break-after: avoid; }
p, figcaption { color: var(--soft); margin: .5rem 0; max-width: 46rem; font-size: .92rem; }
.scroll { overflow-x: auto; }
.scroll + .scroll { margin-top: 1.4rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; font-size: .88rem; }
thead { border-bottom: 1px solid var(--soft); }
tbody { border-bottom: 1px solid var(--line); break-inside: avoid; }
th { font-weight: 400; }
thead th { color: var(--soft); vertical-align: bottom; }
th, td { padding: .25rem .45rem; text-align: right; white-space: nowrap; }
.text, tbody th { text-align: left; }
tbody th { vertical-align: top; }
thead th:first-child, tbody th[rowspan], .flush th { padding-left: 0; }
.ours, .ours th { font-weight: 600; }
.key { display: inline-block; width: .7em; height: .7em; margin-right: .55em; border-radius: 2px; }
figure { margin: .3rem 0 0; break-inside: avoid; }
svg { display: block; width: 100%; min-width: 38rem; height: auto; color: var(--soft); }
svg text { font-family: system-ui, sans-serif !important; }
@media print {
  :root { color-scheme: light; --ink: #000000; --soft: #444444; --line: #cccccc; --page: #ffffff; }
  body { margin: 0; max-width: none; font-size: 12px; }
  svg { min-width: 0; }
  .scroll { overflow: visible; }
  .key, svg { print-color-adjust: exact; }
}
"""


def document(title: str, body: Iterable[str]) -> str:
    """The page as text, without a script or a reference to anything outside. title: text; body: HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>'
        f'{escape(title)}</title><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def figure(svg: str, caption: str) -> str:
    return f'<figure><div class="scroll">{svg}</div><figcaption>{escape(caption)}</figcaption></figure>'


def table(header: list[str], bodies: list[str], *, n_text: int = 1) -> str:
    """n_text: how many columns are words, and set to the left."""
    kinds = [' class="text"' if i < n_text else "" for i in range(len(header))]
    head = "".join(
        f'<th scope="col"{kind}>{escape(cell)}</th>' for kind, cell in zip(kinds, header, strict=True)
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead>{"".join(bodies)}</table></div>'


def table_body(
    name: str, colour: str | None, rows: Sequence[tuple[list[str], list[str]]], *, ours: bool = False
) -> str:
    """One policy's rows, each (words, figures), beside its name and the colour that it has in the plots."""
    key = "" if colour is None else f'<span class="key" style="background:{colour}"></span>'
    first = f'<th scope="rowgroup" rowspan="{len(rows)}">{key}{escape(name)}</th>'
    lines = [row(cells, "" if i else first, *map(heading, words)) for i, (words, cells) in enumerate(rows)]
    kind = ' class="ours"' if ours else ""
    return f"<tbody{kind}>{''.join(lines)}</tbody>"


def row(cells: list[str], *headings: str) -> str:
    """headings: <th> elements of the row, as HTML."""
    return "<tr>" + "".join(headings) + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def heading(text: str) -> str:
    return f'<th scope="row">{escape(text)}</th>'


def number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)
