"""A table on the terminal: by rich where it is installed, else as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["markdown", "show"]


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The first column reads from the left, all others are numbers."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        print(f"{title}\n\n{markdown(columns, rows)}", flush=True)
        return
    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=max(110, Console().width)).print(table)


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
