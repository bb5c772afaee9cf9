"""The tables of one scenario in a terminal: a policy a row, then the same by class."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from bench.replay.columns import AHEAD, CLASS, columns_of, deadline_text
from bench.replay.summary import OURS, Summary

__all__ = ["tables"]


def tables(summary: Summary) -> Iterator[Table | Text]:
    """One of the whole run, one a class, each after its title; the best policy first."""
    columns, best = columns_of(summary), summary.ranked()
    ahead = OURS in best and len(best) > 1
    yield Text(f"{summary.id}: {summary.title}; {summary.seeds_text}", style="bold")
    whole = Table()
    whole.add_column("policy", no_wrap=True)
    for column in columns:
        whole.add_column(column.heading, justify="right")
    if ahead:
        whole.add_column(AHEAD.heading, justify="right")
    for policy in best:
        cells = [column.text(summary.figure(policy, column.name)) for column in columns]
        if ahead:
            cells.append("" if policy == OURS else AHEAD.text(summary.ahead(policy)))
        whole.add_row(policy, *cells, style=_style(policy))
    yield whole
    for qos in summary.classes:
        yield Text(deadline_text(summary, qos), style="italic")
        yield _class_table(summary, qos, best)


def _class_table(summary: Summary, qos: str, policies: tuple[str, ...]) -> Table:
    shown = [column for column in CLASS if summary.class_has(qos, column.name)]
    table = Table()
    table.add_column("policy", no_wrap=True)
    for column in shown:
        table.add_column(column.heading, justify="right")
    for policy in policies:
        cells = [column.text(summary.class_figure(policy, qos, column.name)) for column in shown]
        table.add_row(policy, *cells, style=_style(policy))
    return table


def _style(policy: str) -> str:
    return "bold" if policy == OURS else ""
