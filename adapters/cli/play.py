"""`tailwise run`: a workload through tailwise and the field's policies on this machine's devices."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tailwise.errors import MissingExtra, TailwiseError

if TYPE_CHECKING:
    from rich.console import Console

    from tailwise.adapters.cli.results import RunResult

__all__ = ["run"]


def run(
    workload: Annotated[
        Path | None,
        typer.Argument(
            help="Workload file (TOML), or one of tailwise's own: vision.toml, text.toml, variants.toml; "
            "default: the embedded one.",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=1.0, help="Seconds of arrivals that each policy gets.")
    ] = 20.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of arrivals, inputs and ties.")] = 0,
    rules: Annotated[
        Literal["all", "none", "both"],
        typer.Option(
            help="The rules of tailwise's queues: all; none (expiry by the clock alone, as the other policies "
            "have it), under the name tailwise_no_rules; or both beside each other."
        ),
    ] = "all",
    trace: Annotated[
        Path | None, typer.Option(help="CSV with recorded arrival times, scaled to the calibrated rate.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write one self-contained HTML page here.")] = None,
) -> None:
    """Plays the same arrivals through tailwise, round robin, least outstanding and P2C peak-EWMA.

    Real models on real devices: each policy gets the same jobs at the same times in turn, at 80% of what the
    machine was just measured to serve. Ctrl-C ends it and prints what it has.
    """
    try:
        from rich.console import Console
        from rich.markup import escape

        from tailwise.adapters.cli.baselines import BASELINES
        from tailwise.adapters.cli.live import Display
        from tailwise.adapters.cli.players import RULES
        from tailwise.adapters.cli.run import run as run_workload
        from tailwise.adapters.cli.workload import load
    except ImportError as error:
        raise MissingExtra(
            f"`tailwise run` needs {error.name or 'torch'}: pip install 'tailwise[cli]'"
        ) from error
    # piped into a file there is no width to ask for; the tables need this much
    console = Console() if sys.stdout.isatty() else Console(width=120)
    for path in (json_file, report):
        if path is not None and not path.absolute().parent.is_dir():
            raise typer.BadParameter(f"{path}: its folder does not exist")
    if report is not None:  # what it needs is better missed before the run than after
        import tailwise.adapters.cli.report  # noqa: F401
    try:
        with Display(console) as display:
            result = run_workload(
                load(workload),
                seconds=seconds,
                seed=seed,
                trace=trace,
                display=display,
                policies=(*RULES[rules], *BASELINES),
            )
    except TailwiseError as error:
        console.print(f"[red]tailwise: {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        console.print("interrupted before the first block; nothing was measured")
        raise typer.Exit(130) from None
    _show(console, result)
    _write(console, result, json_file, report)


def _write(console: Console, result: RunResult, json_file: Path | None, report: Path | None) -> None:
    if json_file is not None:
        json_file.write_text(json.dumps(result.to_json(), indent=1) + "\n", encoding="utf-8")
        console.print(f"figures: {json_file}", soft_wrap=True)
    if report is not None:
        from tailwise.adapters.cli.report import write_report

        write_report(result, report)
        console.print(f"page: {report}", soft_wrap=True)


def _show(console: Console, result: RunResult) -> None:
    if result.interrupted:
        console.print(f"interrupted: {len(result.blocks)} blocks were measured")
    if result.blocks:
        from tailwise.adapters.cli.live import class_table, headline_table, variant_table

        console.print(class_table(result))
        if (chosen := variant_table(result)) is not None:
            console.print(chosen)
        console.print(headline_table(result))
