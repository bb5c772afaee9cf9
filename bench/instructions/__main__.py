"""Instructions per select and complete: `python -m bench.instructions [--jobs 2000] [--only k8,k64] [--json F]`.

Counted by valgrind's callgrind, so a noisy machine changes nothing: the same build gives the same counts, and
bench.compare holds two of these files to 3%. They are of this compiler, Python and libm, and of the instruction sets
that valgrind knows (AVX2, no AVX-512). Reading the clock is not in them: the engine's is set by hand. Exit code: 0, 2
without valgrind or for a wrong argument.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.instructions import FORMAT, VERSION
from bench.instructions.counted import BARE, COMPLETE, NOTHING, SELECT
from bench.replay.record import machine

__all__ = ["Case", "Counts", "count", "main", "record"]


@dataclass(frozen=True, slots=True)
class Case:
    id: str
    k: int
    kind: str = "plain"  #: plain, columns (with a mask, too) or streams (two signals)


CASES = (
    Case("k8", 8),
    Case("k64", 64),
    Case("k256", 256),
    Case("k8.columns", 8, "columns"),
    Case("k64.columns", 64, "columns"),
    Case("k64.streams", 64, "streams"),
)


@dataclass(frozen=True, slots=True)
class Counts:
    """Instructions a call, starting and stopping the count taken off."""

    select: float
    complete: float
    bare: float


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.instructions", description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--only", help="ids, comma between")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(argv)
    ids = [case.id for case in CASES]
    only = ids if asked.only is None else asked.only.split(",")
    unknown = [id for id in only if id not in ids]
    wrong = ""
    if unknown:
        wrong = f"--only {unknown[0]!r}: one of {', '.join(ids)}"
    elif asked.jobs < 1:
        wrong = "--jobs: 1 or more"
    elif shutil.which("valgrind") is None:
        wrong = "needs valgrind (Debian's package valgrind, with its headers)"
    if wrong:
        print(f"bench.instructions: {wrong}", file=sys.stderr)
        return 2
    console = Console() if sys.stdout.isatty() else Console(width=110)
    counts = {
        case: count(case, asked.jobs)
        for case in track(
            [case for case in CASES if case.id in only], "callgrind", console=console, transient=True
        )
    }
    console.print(table(counts))
    if asked.json is not None:
        asked.json.write_text(json.dumps(record(counts, asked.jobs), indent=1) + "\n")
    return 0


def count(case: Case, n_jobs: int) -> Counts:
    """About ten seconds at K = 8. Raises CalledProcessError where valgrind or what it runs fails."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "valgrind", "--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no",
            f"--callgrind-out-file={folder}/out",
            sys.executable, "-m", "bench.instructions.counted",
            str(case.k), case.kind, str(n_jobs),
        ]  # fmt: skip
        environment = os.environ | {"PYTHONHASHSEED": "0"}
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        except subprocess.CalledProcessError as error:
            print(error.stderr, file=sys.stderr)
            raise
        n_calls = json.loads(done.stdout)
        total = dict(_read(path) for path in Path(folder).glob("out.*"))
    each = {phase: total[phase] / n for phase, n in n_calls.items()}
    mark = each[NOTHING]
    return Counts(each[SELECT] - mark, each[COMPLETE] - mark, each[BARE] - mark / n_calls[BARE])


def _read(path: Path) -> tuple[str, int]:
    """Of one dump: the phase it is named for, and all instructions in it."""
    text = path.read_text()
    name = re.search(r"^desc: Trigger: Client Request: (\w+)$", text, re.MULTILINE)
    total = re.search(r"^totals: (\d+)$", text, re.MULTILINE)
    if name is None or total is None:
        raise ValueError(f"{path.name}: not a dump of callgrind that was asked for")
    return name[1], int(total[1])


def record(counts: Mapping[Case, Counts], n_jobs: int) -> dict[str, Any]:
    """What bench.compare reads. world: what has to be the same for counts to be comparable."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    python = 100 * sys.version_info.major + sys.version_info.minor
    world = {"jobs": n_jobs, "python": python, "avx2": int(" avx2 " in flags)}
    return {
        "format": FORMAT,
        "version": VERSION,
        "machine": machine(),
        "scenarios": [
            {
                "id": f"instructions.{case.id}",
                "trials": [
                    {
                        "policy": "tailwise",
                        "seed": case.k,
                        "world": world,
                        "figures": {
                            "select_instructions": counted.select,
                            "complete_instructions": counted.complete,
                            "bare_instructions": counted.bare,
                        },
                        "classes": {},
                    }
                ],
            }
            for case, counted in counts.items()
        ],
    }


def table(counts: Mapping[Case, Counts]) -> Table:
    out = Table(title="instructions a call; d = 8, of streams 6", title_justify="left")
    for column in ("K", "kind", "bare C", "select", "complete", "select / bare C"):
        out.add_column(column, justify="right")
    for case, counted in counts.items():
        out.add_row(
            str(case.k),
            case.kind,
            f"{counted.bare:,.0f}",
            f"{counted.select:,.0f}",
            f"{counted.complete:,.0f}",
            f"{counted.select / counted.bare:.2f}",
        )
    return out


if __name__ == "__main__":
    sys.exit(main())
