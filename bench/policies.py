"""Several seeds of a run, one table: `python -m bench.policies [WORKLOAD] [--seeds 5] [--seconds 20] [--rules both]`.

A benchmark and never a test: it measures this machine. Differences are paired by round (same arrivals, rotated
order, load measured again before each round); the error is over all rounds of all seeds.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

from tailwise.adapters.cli.baselines import BASELINES
from tailwise.adapters.cli.live import Display
from tailwise.adapters.cli.players import OURS, RULES
from tailwise.adapters.cli.results import PolicyFigures, RunResult, figures
from tailwise.adapters.cli.run import run
from tailwise.adapters.cli.workload import load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", nargs="?", type=Path, help="workload file, default the embedded one")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0, help="of arrivals, per policy and seed")
    parser.add_argument("--rules", choices=RULES, default="all", help="as in tailwise run")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    console = Console()
    results: list[RunResult] = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        with Display(console) as display:
            result = run(
                load(arguments.workload),
                seconds=arguments.seconds,
                seed=seed,
                trace=None,
                display=display,
                policies=(*RULES[arguments.rules], *BASELINES),
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
    """A Markdown table: goodput and attainment per class, the most urgent one's p99, and how far tailwise is ahead in
    goodput and in that class, paired by round."""
    qos = results[0].qos
    urgent = min(qos, key=lambda q: q.priority).name
    names = [q.name for q in qos]
    header = ["policy", "weighted goodput", "tailwise ahead by", *(f"{n} on time" for n in names)]
    header += [f"{urgent} ahead by", f"{urgent} p99, ms"]
    lines = [f"{title}:", _row(header), "|" + "---|" * len(header)]
    for policy in results[0].policies:
        blocks = [block for result in results for block in result.of(policy)]
        f = figures(blocks, qos)
        cells = [policy, f"{f.weighted_goodput:.3f}", _ahead(results, policy, _goodput)]
        cells += [f"{1 - f.classes[name].missed:.3f}" for name in names]
        cells += [
            _ahead(results, policy, partial(_on_time, name=urgent)),
            f"{1e3 * f.classes[urgent].p99_s:.1f}",
        ]
        lines.append(_row(cells))
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _goodput(f: PolicyFigures) -> float:
    return f.weighted_goodput


def _on_time(f: PolicyFigures, name: str) -> float:
    return 1.0 - f.classes[name].missed


def _ahead(results: list[RunResult], policy: str, of: Callable[[PolicyFigures], float]) -> str:
    if policy == OURS or OURS not in results[0].policies:
        return ""
    differences = [
        of(figures([ours], result.qos)) - of(figures([theirs], result.qos))
        for result in results
        for ours, theirs in zip(result.of(OURS), result.of(policy), strict=True)
    ]
    n = int(np.isfinite(differences).sum())  # a round may have no job of a class
    error = np.nanstd(differences, ddof=1) / math.sqrt(n) if n > 1 else math.nan
    return f"{np.nanmean(differences):+.3f} ± {error:.3f} ({n} rounds)"


if __name__ == "__main__":
    main()
