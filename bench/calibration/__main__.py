"""Prints the tables behind bench/README.md: `python -m bench.calibration PATH`. Three minutes of CPU."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.calibration.foresee import Foreseen, foresee
from bench.calibration.logs import SHAPES, drawn, recorded
from bench.calibration.maps import DEADLINES, LEVELS, RULES, WEAKER, Rule, Said, say
from bench.calibration.totals import LOADS, WAYS, claims, figures, play

SKIP = 20  # first jobs of a log: nothing is known yet, with or without a map
WORLD_S = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "path", type=Path, help="folder of recorded logs (vllm_h200, lmbench, splitwise, timm)"
    )
    parser.add_argument("--seeds", type=int, default=10, help="of each drawn shape")
    parser.add_argument("--worlds", type=int, default=4, help="seeds of each simulated load; 0 = none")
    arguments = parser.parse_args()
    logs = [[foresee(log)] for log in recorded(arguments.path)]
    shapes = [[foresee(drawn(shape, seed)) for seed in range(arguments.seeds)] for shape in SHAPES]
    show("Recorded, told when it was", logs, RULES)
    show("Weaker maps", logs, WEAKER)
    show("Drawn", shapes, RULES)
    late = [
        [foresee(log.told_after(delay_s))]
        for log in recorded(arguments.path)
        for name, delay_s in (("lmbench", 0.0), ("vllm", 5.0))
        if log.name.startswith(name)
    ]
    show("lmbench told at once, vllm_h200 told 5 s later", late, RULES)
    if arguments.worlds:
        show_totals(arguments.worlds)


def show(title: str, logs: Sequence[Sequence[Foreseen]], rules: Sequence[Rule]) -> None:
    """One row a log: what each rule makes of it, mean over its seeds."""
    names = ["no map", *(rule.name for rule in rules)]
    print(f"\n{title}. Pinball of ln(seconds) x 100 at .5 / .9 / .99, then its change in %")
    _row("log", *names)
    table = [[_mean(log, rule) for rule in (None, *rules)] for log in logs]
    for log, (raw, *mapped) in zip(logs, table, strict=True):
        changes = [_joined(100.0 * (f[:3] / raw[:3] - 1.0), "+.1f") for f in mapped]
        _row(log[0].name, _joined(raw[:3], ".2f"), *changes)
    mean = np.mean([[f[:3] / raw[:3] for f in mapped] for raw, *mapped in table], axis=0)
    _row("mean", "", *(_joined(100.0 * (ratio - 1.0), "+.1f") for ratio in mean))
    print("\nShare within the .5 / .9 / .99 quantile")
    _row("log", *names)
    for log, row in zip(logs, table, strict=True):
        _row(log[0].name, *(_joined(f[3:6], ".3f") for f in row))
    error = np.mean([[np.abs(f[3:6] - LEVELS) for f in row] for row in table], axis=0)
    _row("mean error", *(_joined(e, ".3f") for e in error))
    print("\nP(within 1.5 / 3 x the median) - share, and Brier score x 100")
    _row("log", *names)
    for log, row in zip(logs, table, strict=True):
        _row(log[0].name, *(f"{_joined(f[6:8], '+.3f')}, {_joined(f[8:10], '.2f')}" for f in row))


def _mean(log: Sequence[Foreseen], rule: Rule | None) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.mean([judge(f, say(f, rule)) for f in log], axis=0)
    return mean


def judge(f: Foreseen, said: Said) -> NDArray[np.float64]:
    """Pinball (3), coverage (3), P - share (2), Brier (2); in the order of LEVELS and DEADLINES."""
    y, quantile, p = f.y[SKIP:, None], said.quantile[SKIP:], said.p[SKIP:]
    pinball = 100.0 * np.maximum(LEVELS * (y - quantile), (LEVELS - 1.0) * (y - quantile)).mean(0)
    within = y - f.m[SKIP:, None] <= np.log(DEADLINES)
    brier = 100.0 * ((p - within) ** 2).mean(0)
    return np.concatenate([pinball, (y <= quantile).mean(0), p.mean(0) - within.mean(0), brier])


def show_totals(n_seeds: int) -> None:
    print("\nCompletion times. Mean claim - on-time share, Brier score x 100, share within the .9 quantile")
    _row("load", "class", *WAYS)
    for events in (False, True):
        for load in LOADS:
            worlds = [play(load, events, seed, WORLD_S) for seed in range(1, n_seeds + 1)]
            said = {way: [(world, claims(world, way)) for world in worlds] for way in WAYS}
            for qos in ("interactive", "standard", "batch"):
                means = [np.mean([figures(*pair, qos) for pair in said[way]], axis=0) for way in WAYS]
                cells = [f"{error:+.3f}, {brier:.2f}, {within:.3f}" for error, brier, within in means]
                _row(f"{load}{', events' if events else ''}", qos, *cells)


def _joined(values: NDArray[np.float64], form: str) -> str:
    return " / ".join(format(float(v), form) for v in values)


def _row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
