"""What a run shows while it runs, and the table at its end."""

from __future__ import annotations

import math
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tailwise.adapters.cli.results import RunResult, accuracy_words

__all__ = ["Display", "class_table", "headline_table", "machine_table", "variant_table"]


class Display:
    """A progress bar and a live table; on a console that is no terminal, a line per step instead."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._task = self._progress.add_task("starting", total=None)
        # two frames a second: drawing takes processor time from what is measured
        self._live = Live(self._progress, console=console, refresh_per_second=2, transient=True)

    def __enter__(self) -> Display:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def status(self, message: str) -> None:
        """What is being done now."""
        self._progress.update(self._task, description=message)
        if not self._console.is_terminal:
            self._console.print(message)

    def begin(self, result: RunResult, n_blocks: int) -> None:
        """Preparation is over; `n_blocks` blocks follow."""
        self._console.print(machine_table(result))
        self._progress.reset(self._task, total=n_blocks)

    def advance(self, result: RunResult) -> None:
        """One more block is in `result`."""
        self._progress.advance(self._task)
        self._live.update(Group(headline_table(result), self._progress))


def machine_table(result: RunResult) -> Table:
    """Calibrated service times, and what is known of the answers."""
    table = Table(title="Measured service time, ms", title_justify="left")
    table.add_column("model")
    for resource in result.resources:
        table.add_column(resource["name"], justify="right")
    table.add_column("accuracy", justify="right")
    for model in result.models:
        services = [f"{1e3 * model['services_s'][r['name']]:.1f}" for r in result.resources]
        table.add_row(model["name"], *services, accuracy_words(model))
    return table


def headline_table(result: RunResult) -> Table:
    """One line a policy: weighted goodput, tailwise's paired difference, what each class missed, p99 of the most
    urgent one."""
    differences = result.differences()
    urgent = min(result.qos, key=lambda q: q.priority).name
    table = Table(title="Weighted goodput: on-time / offered jobs, by weight", title_justify="left")
    table.add_column("policy", no_wrap=True)
    table.add_column("weighted goodput", justify="right")
    table.add_column("tailwise is ahead by", justify="right")
    for q in result.qos:
        table.add_column(f"{q.name} missed, %", justify="right")
    table.add_column(f"{urgent} p99, ms", justify="right")
    for name, f in result.figures().items():
        ahead = ""
        if name in differences:
            d = differences[name]
            error = "" if math.isnan(d.standard_error) else f" ± {d.standard_error:.3f}"
            ahead = f"{d.mean:+.3f}{error}"
        missed = ["" if math.isnan(c.missed) else f"{100 * c.missed:.1f}" for c in f.classes.values()]
        p99_s = f.classes[urgent].p99_s
        p99 = "" if math.isnan(p99_s) else f"{1e3 * p99_s:.1f}"
        table.add_row(name, f"{f.weighted_goodput:.3f}", ahead, *missed, p99)
    return table


def class_table(result: RunResult) -> Table:
    """One line a policy and class."""
    table = Table(title="By policy and class", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("policy", no_wrap=True)
    table.add_column("class", no_wrap=True)
    for column in ("due ms", "jobs", "on time", "%", "late", "expired", "rejected", "failed"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("p50 ms", "p99 ms"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, f in result.figures().items():
        for i, q in enumerate(result.qos):
            c = f.classes[q.name]
            share = "" if not c.offered else f"{100 * c.on_time / c.offered:.1f}"
            table.add_row(
                name if i == 0 else "",
                q.name,
                f"{1e3 * q.deadline_s:.0f}",
                *(str(v) for v in (c.offered, c.on_time)),
                share,
                *(str(v) for v in (c.late, c.expired, c.rejected, c.failed)),
                *("" if math.isnan(v) else f"{1e3 * v:.1f}" for v in (c.p50_s, c.p99_s)),
                end_section=i == len(result.qos) - 1,
            )
    return table


def variant_table(result: RunResult) -> Table | None:
    """Which variant was chosen how often, one line a policy and class; None where no model has variants."""
    chosen = result.variants()
    if not chosen:
        return None
    table = Table(title="Variants chosen, %", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("policy", "family", "class"):
        table.add_column(column, no_wrap=True)
    models = [model["name"] for model in result.models if model["variant_of"] is not None]
    for column in (*models, "accuracy"):
        table.add_column(column, justify="right")
    for policy, families in chosen.items():
        for family, classes in families.items():
            for qos, found in classes.items():
                shares = [
                    f"{100 * found.chosen[m] / found.offered:.0f}" if m in found.chosen else ""
                    for m in models
                ]
                accuracy = "" if math.isnan(found.accuracy) else f"{found.accuracy:.3f}"
                table.add_row(policy, family, qos, *shares, accuracy)
    return table
