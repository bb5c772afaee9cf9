"""Plays scenarios and prints a table for each: `python -m bench.replay SCENARIO... [--list]`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.replay.contests import CONTESTS, Unplayable, find, find_policies, find_seeds
from bench.replay.markdown import markdown
from bench.replay.record import record
from bench.replay.run import Task, play, processes
from bench.replay.summary import Summary
from bench.replay.table import tables
from tailwise.errors import TailwiseError


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0; 2 where what was asked for cannot be played."""
    given = sys.argv[1:] if argv is None else list(argv)
    # piped into a file there is no width to ask for; the tables need this much
    console = Console() if sys.stdout.isatty() else Console(width=170)
    try:
        arguments = _parser().parse_args(given)
        if arguments.list:
            console.print(_list())
            return 0
        summaries = _play(arguments)
        if arguments.json is not None:
            text = json.dumps(record(summaries, given), indent=1, allow_nan=False)
            arguments.json.write_text(text + "\n", encoding="utf-8")
        if arguments.html is not None:
            # matplotlib takes a second to import
            from bench.replay.page import page

            arguments.html.write_text(page(summaries, given), encoding="utf-8")
        # after the files: a reader that goes away (head) must not cost them
        if arguments.markdown:
            print(markdown(summaries))
            return 0
        for summary in summaries:
            for table in tables(summary):
                console.print(table)
    except (TailwiseError, OSError) as error:
        print(f"bench.replay: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench.replay: interrupted", file=sys.stderr)
        return 130
    return 0


class _Parser(argparse.ArgumentParser):
    """One line for whatever is wrong."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise Unplayable(f"{message}; see --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m bench.replay", description=__doc__, allow_abbrev=False)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="an id, or a pattern like 'grid.*'")
    parser.add_argument("--list", action="store_true", help="list the scenarios and who plays them")
    parser.add_argument("--trace", type=Path, metavar="PATH", help="the recorded file a scenario reads")
    parser.add_argument("--seeds", type=_positive, metavar="N", help="how many; default: those reported")
    parser.add_argument(
        "--first-seed", type=_positive, metavar="N", help="default: the first reported; 1-20 are to choose on"
    )
    parser.add_argument("--policies", metavar="A,B", help="by name, split at ','; the oracle always plays")
    parser.add_argument("--jobs", type=_positive, default=1, metavar="N", help="processes, one seed each")
    parser.add_argument("--json", type=_new_file, metavar="F", help="write every figure of every seed here")
    parser.add_argument("--markdown", action="store_true", help="print one table of all scenarios instead")
    parser.add_argument("--html", type=_new_file, metavar="F", help="write one self-contained page here")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def _new_file(text: str) -> Path:
    """A file that can be written is better missed before the run than after."""
    path = Path(text)
    if not path.absolute().parent.is_dir() or path.is_dir():
        raise argparse.ArgumentTypeError(f"{path}: not a file in an existing folder")
    return path


def _play(arguments: argparse.Namespace) -> list[Summary]:
    if not arguments.scenarios:
        raise Unplayable("name a scenario, or see them with --list")
    tasks = [
        Task(contest.id, find_policies(arguments.policies, contest), seed, arguments.trace)
        for contest in find(arguments.scenarios, arguments.trace)
        for seed in find_seeds(contest, arguments.seeds, arguments.first_seed)
    ]
    # drawn on a terminal only, and gone before the tables come
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as progress:
        bar = progress.add_task("", total=sum(len(task.policies) for task in tasks))

        def played(what: str, n: int) -> None:
            progress.update(bar, description=what, advance=n)

        with processes(min(arguments.jobs, len(tasks))) as pool:
            return play(tasks, pool, played)


def _list() -> Table:
    table = Table(
        "scenario", "what it is", "size", "seeds", "--trace", title="Scenarios", title_justify="left"
    )
    for contest in CONTESTS.values():
        first, last = contest.seeds[0], contest.seeds[-1]
        table.add_row(contest.id, contest.title, contest.size, f"{first}-{last}", contest.trace or "")
    return table


if __name__ == "__main__":
    sys.exit(main())
