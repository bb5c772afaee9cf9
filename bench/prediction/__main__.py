"""One-step-ahead prediction of recorded requests: `python -m bench.prediction LOG... [--json F]`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bench.calibration.foresee import Log, foresee
from bench.prediction.foretold import Figures, by_tailwise, judge, knew_something, late
from bench.prediction.held import held
from bench.prediction.logs import read
from bench.prediction.retrained import EVERY, Predictor, Ridge, Trees, foretell
from bench.prediction.speed import Cost, cost_of, cost_of_tailwise
from bench.replay.rows import TraceError

LATE_ROWS = 200
RIVALS: dict[str, Callable[[], Predictor]] = {"trees": Trees, "small trees": Trees.small, "ridge": Ridge}

LAST = [*RIVALS][-1]
HEADINGS = (
    "rows",
    "p90 pinball x 100",
    "within p90",
    "in 90% interval",
    "rms error",
    "MAPE %",
    "ns / prediction",
    "ns / update",
)
PLAIN_WIDTH = 130  # of the tables where they go to a file

Result = tuple[str, str, str, Figures, Cost]  # log, feedback, predictor


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.prediction", description=__doc__)
    parser.add_argument(
        "logs", nargs="+", type=Path, metavar="LOG", help="vLLM requests (.jsonl) or load test (.csv)"
    )
    parser.add_argument("--json", type=Path, metavar="F", help="write the figures there, too")
    arguments = parser.parse_args()
    try:
        logs = [log for path in arguments.logs for log in read(path)]
    except TraceError as error:
        print(error, file=sys.stderr)
        return 2
    results = list(measure(logs, Console(stderr=True)))
    show(results, Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH))
    if arguments.json:
        arguments.json.write_text(json.dumps([_as_json(*result) for result in results], indent=1) + "\n")
    return 0


def measure(logs: Sequence[Log], console: Console) -> Iterator[Result]:
    plays = [(log, [*feedbacks(log)]) for log in logs]
    n_steps = sum(len(ways) * (1 + len(RIVALS)) * (len(log.rows) // EVERY) for log, ways in plays)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console
    ) as bar:
        task = bar.add_task("", total=n_steps)
        for log, ways in plays:
            raw = np.array([(*row.x, *row.reported.values()) for row in log.rows])
            costs: dict[str, Cost] = {}
            for feedback, played in ways:
                bar.update(task, description=f"{log.name}, {feedback}")
                f = foresee(played)
                judged = knew_something(f.steps)
                costs.setdefault("tailwise", cost_of_tailwise(log))
                for name, all_said in (("tailwise", by_tailwise(f)), ("p90 held", held(f))):
                    yield log.name, feedback, name, judge(f.y[judged], all_said[judged]), costs["tailwise"]
                bar.advance(task, len(log.rows) // EVERY)
                for name, make in RIVALS.items():
                    X = np.array(f.x) if make is Ridge else raw
                    said = foretell(make(), X, f.y, f.steps, lambda: bar.advance(task))[judged]
                    if name not in costs:
                        costs[name] = cost_of(make(), X, f.y)
                    yield log.name, feedback, name, judge(f.y[judged], said), costs[name]


def feedbacks(log: Log) -> Iterator[tuple[str, Log]]:
    """When results are heard of: at once, late by rows, and where the log has times, when they were there."""
    yield "at once", late(log, 0)
    yield f"{LATE_ROWS} rows late", late(log, LATE_ROWS)
    if any(row.told_s > row.at_s for row in log.rows):
        yield "as it was", log


def show(results: Sequence[Result], console: Console) -> None:
    """A table a log, one row a feedback and predictor."""
    for log, rows in groupby(results, key=lambda result: result[0]):
        table = Table(title=f"{log}: one step ahead, of ln(seconds)")
        for heading in ("feedback", "predictor"):
            table.add_column(heading, no_wrap=True)
        for heading in HEADINGS:
            table.add_column(heading, justify="right")
        for _, feedback, name, f, cost in rows:
            cells = (
                str(f.n),
                f"{f.pinball:.2f}",
                f"{f.within_p90:.3f}",
                f"{f.within_interval:.3f}",
                f"{f.error:.3f}",
                f"{f.mape:.1f}",
                *(f"{ns:,.0f}" for ns in cost),
            )
            table.add_row(feedback, name, *cells, end_section=name == LAST)
        console.print(table)


def _as_json(log: str, feedback: str, name: str, figures: Figures, cost: Cost) -> dict[str, object]:
    predict_ns, update_ns = cost
    return {
        "log": log,
        "feedback": feedback,
        "predictor": name,
        **asdict(figures),
        "predict_ns": predict_ns,
        "update_ns": update_ns,
    }


if __name__ == "__main__":
    sys.exit(main())
