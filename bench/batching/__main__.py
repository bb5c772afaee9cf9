"""Continuous batching: `python -m bench.batching [SCENARIO...] [--seeds 5] [--json F]`, on seeds from 101.

Shares of the offered jobs that kept TTFT <= 0.4 s and TPOT <= 30 ms, with the standard error over seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.batching.outcome import Figures
from bench.batching.players import PLAYERS
from bench.batching.scenarios import REPORTED_SEEDS, SCENARIOS, BatchingScenario

Results = dict[str, list[Figures]]  # by player, one of each seed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(arguments)
    unknown = [id for id in asked.scenarios if id not in SCENARIOS]
    if unknown or not 1 <= asked.seeds <= len(REPORTED_SEEDS):
        wrong = f"scenario {unknown[0]!r}" if unknown else f"--seeds {asked.seeds}"
        print(f"{wrong}: one of {', '.join(SCENARIOS)}; 1 to {len(REPORTED_SEEDS)} seeds", file=sys.stderr)
        return 2
    console = Console() if sys.stdout.isatty() else Console(width=150)
    report = {}
    for id in asked.scenarios or SCENARIOS:
        results = play_all(SCENARIOS[id], REPORTED_SEEDS[: asked.seeds], console)
        report[id] = {name: [f.to_json() for f in figures] for name, figures in results.items()}
        console.print(table(id, results))
    if asked.json is not None:
        asked.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


def play_all(scenario: BatchingScenario, seeds: Sequence[int], console: Console) -> Results:
    """Every player on the same traffic of each seed."""
    results: Results = {player.name: [] for player in PLAYERS}
    for seed in track(seeds, scenario.id, console=console, transient=True):
        traffic = scenario.draw(seed)
        for player in PLAYERS:
            results[player.name].append(player.play(traffic, seed).figures(traffic))
    return results


def table(title: str, results: Results) -> Table:
    columns = {
        "both kept": lambda f: f.both,
        "TTFT kept": lambda f: f.ttft_kept,
        "TPOT kept": lambda f: f.tpot_kept,
        "refused": lambda f: f.rejected,
        "cached": lambda f: f.hit,
        "claimed - kept": lambda f: f.claimed - f.kept,
        "first 20 s": lambda f: f.early,
    }
    times = {
        "TTFT p50/p99 ms": lambda f: (f.ttft_p50_s, f.ttft_p99_s),
        "TPOT p50/p99 ms": lambda f: (f.tpot_p50_s, f.tpot_p99_s),
    }
    out = Table("policy", *columns, *times, title=title)
    for name, figures in results.items():
        shares = [_share([read(f) for f in figures]) for read in columns.values()]
        both = [np.mean([read(f) for f in figures], axis=0) * 1e3 for read in times.values()]
        out.add_row(name, *shares, *(f"{p50:.0f}/{p99:.0f}" for p50, p99 in both))
    return out


def _share(values: Sequence[float]) -> str:
    if math.isnan(values[0]):
        return ""
    error = f" ±{np.std(values, ddof=1) / math.sqrt(len(values)):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{error}"


if __name__ == "__main__":
    sys.exit(main())
