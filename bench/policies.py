"""Several seeds of the embedded run, one table: `python -m bench.policies [--seeds 5] [--seconds 20] [--json F]`.

A benchmark and never a test: it measures this machine. Differences are paired by round (same arrivals, rotated
order, load measured again before each round); the error is over all rounds of all seeds.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
from rich.console import Console

from tailwise.adapters.cli.live import Display
from tailwise.adapters.cli.results import RunResult, figures
from tailwise.adapters.cli.run import run
from tailwise.adapters.cli.workload import load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", nargs="?", type=Path, help="workload file, default the embedded one")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0, help="of arrivals, per policy and seed")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    console = Console()
    results: list[RunResult] = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        with Display(console) as display:
            result = run(
                load(arguments.workload), seconds=arguments.seconds, seed=seed, trace=None, display=display
            )
        if result.interrupted:
            break
        results.append(result)
        console.print(summary([result], f"seed {seed}"), highlight=False)
    if results:
        console.print(summary(results, f"all {len(results)} seeds"), highlight=False)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([r.to_json() for r in results], indent=1) + "\n")


def summary(results: list[RunResult], title: str) -> str:
    """A Markdown table: goodput and attainment per class, and how far tailwise is ahead, paired by round."""
    qos = results[0].qos
    names = [q.name for q in qos]
    lines = [
        f"{title}:",
        "| policy | weighted goodput | tailwise ahead by | "
        + " | ".join(f"{n} on time" for n in names)
        + " |",
        "|---|---|---|" + "---|" * len(names),
    ]
    for policy in results[0].policies:
        blocks = [block for result in results for block in result.of(policy)]
        f = figures(blocks, qos)
        shares = [
            f"{c.on_time / c.offered:.3f}" if c.offered else "" for c in (f.classes[name] for name in names)
        ]
        lines.append(
            f"| {policy} | {f.weighted_goodput:.3f} | {_ahead(results, policy)} | "
            + " | ".join(shares)
            + " |"
        )
    return "\n".join(lines)


def _ahead(results: list[RunResult], policy: str) -> str:
    if policy == "tailwise":
        return ""
    differences = [
        figures([ours], result.qos).weighted_goodput - figures([theirs], result.qos).weighted_goodput
        for result in results
        for ours, theirs in zip(result.of("tailwise"), result.of(policy), strict=True)
    ]
    error = np.std(differences, ddof=1) / math.sqrt(len(differences)) if len(differences) > 1 else math.nan
    return f"{np.mean(differences):+.3f} ± {error:.3f} ({len(differences)} rounds)"


if __name__ == "__main__":
    main()
