"""One decision by this library and by others: `python -m bench.peers [--rounds 30] [--only a,b] [--json F]`.

K = 8 and 64 lanes, d = 8, the same requests and outcomes for everybody; rounds are interleaved, and the ratio to the
bare C loop is the median of the rounds' own ratios. The libraries do different things: each row says what. What is
not installed is a row that says how to get it. Exit code: 0, 1 where an installed library did not run, 2 for a wrong
argument.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.peers import bayesian_ridge, litellm, mabwiser, ray_serve, river, vowpal
from bench.peers.peer import Entry
from bench.peers.rounds import OWN, Own, Times, Turn, turn_of
from bench.peers.scene import Scene
from bench.ratio import interleaved

SIZES = (8, 64)
PEERS = tuple(m.ENTRY for m in (mabwiser, vowpal, river, bayesian_ridge, litellm, ray_serve))
BASE = OWN[0]


@dataclass(frozen=True, slots=True)
class Row:
    """choose_ns: p50; learn_ns: mean of a call; ratio: of choose_ns to the bare C loop. By K, empty where it did not
    run: missing says why."""

    name: str
    title: str
    version: str
    differs: str
    missing: str
    choose_ns: dict[int, float]
    learn_ns: dict[int, float]
    ratio: dict[int, float]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--only", help="names, comma between; bare is always run")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(argv)
    names = [entry.name for entry in (*OWN, *PEERS)]
    only = names if asked.only is None else asked.only.split(",")
    unknown = [name for name in only if name not in names]
    if unknown or asked.rounds < 1:
        wrong = f"--only {unknown[0]!r}: one of {', '.join(names)}" if unknown else "--rounds: 1 or more"
        print(f"bench.peers: {wrong}", file=sys.stderr)
        return 2
    console = Console() if sys.stdout.isatty() else Console(width=170)
    own = [entry for entry in OWN if entry is BASE or entry.name in only]
    rows = run(own, [entry for entry in PEERS if entry.name in only], asked.rounds, console)
    console.print(table(rows))
    if asked.json is not None:
        asked.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return int(any(row.missing.startswith("does not run") for row in rows))


def run(own: Sequence[Own], peers: Sequence[Entry], rounds: int, console: Console) -> list[Row]:
    """Every row over all sizes, in the order given."""
    missing = {
        entry.name: f"not installed: pip install '{entry.requirement}'"
        for entry in peers
        if not entry.installed
    }
    times: dict[int, dict[str, list[Times]]] = {}
    for k in SIZES:
        scene = Scene(k)
        turns = {entry.name: entry.turn(scene) for entry in own}
        for entry in peers:
            if entry.name not in missing:
                turn = _started(entry, scene)
                if isinstance(turn, str):
                    missing[entry.name] = turn
                else:
                    turns[entry.name] = turn
        times[k] = interleaved(turns, rounds, f"K = {k}", console)
    described = [(e.name, e.title, e.version(), e.differs) for e in own]
    described += [(e.name, e.title, "" if e.name in missing else e.version, e.differs) for e in peers]
    return [_row(*words, missing.get(words[0], ""), times) for words in described]


def _started(entry: Entry, scene: Scene) -> Turn | str:
    """What does not start is a row that says why: libraries change, and the other rows are still worth having."""
    try:
        return turn_of(entry.make(scene.k, scene.history()), scene)
    except Exception as error:
        return f"does not run: {type(error).__name__}: {error}".splitlines()[0]


def _row(
    name: str, title: str, version: str, differs: str, missing: str, times: dict[int, dict[str, list[Times]]]
) -> Row:
    row = Row(name, title, version, differs, missing, {}, {}, {})
    for k, of_k in times.items():
        if name not in of_k or missing:
            continue
        chosen = np.array([t.choose_ns for t in of_k[name]])
        row.choose_ns[k] = float(np.median(chosen))
        row.ratio[k] = float(np.median(chosen / np.array([t.choose_ns for t in of_k[BASE.name]])))
        learned = [t.learn_ns for t in of_k[name] if t.learn_ns is not None]
        if learned:
            row.learn_ns[k] = float(np.median(learned))
    return row


def table(rows: Sequence[Row]) -> Table:
    out = Table(title="ns per call, median of rounds; d = 8", title_justify="left")
    out.add_column("")
    for k in SIZES:
        for column in (f"choose, K = {k}", "learn", "/ bare C"):
            out.add_column(column, justify="right")
    out.add_column("version")
    out.add_column("what it does differently")
    for row in rows:
        cells = []
        for k in SIZES:
            cells += [
                _number(row.choose_ns.get(k)),
                _number(row.learn_ns.get(k)),
                _number(row.ratio.get(k), 10.0),
            ]
        out.add_row(row.title, *cells, row.version, escape(row.missing or row.differs))
    return out


def _number(value: float | None, precise_below: float = 0.0) -> str:
    if value is None:
        return ""
    return f"{value:,.2f}" if value < precise_below else f"{value:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
