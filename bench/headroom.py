"""How far `Headroom` is off: the load at which a class stops keeping its promise, as foretold and as played.

`python -m bench.headroom [--seeds 5] [--first-seed 101] [--jobs 2]` plays grid worlds (bench/replay, without events)
at loads around those at which their classes fail, and finds by interpolation where the on-time share falls below
on_time. At other loads it asks the headroom; told is load x (1 + headroom) over where the class fails: mean of the
seeds, least and most. Some five minutes of CPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np

import tailwise as tw
from bench.replay.drawn import CLASSES, Grid, draw_grid
from bench.replay.learned import Tailwise
from bench.replay.run import processes
from tailwise.headroom import Headroom
from tailwise.policy import Assignment, Learned

DURATION_S, WARM_S = 40.0, 10.0
PLAYED = (0.8, 0.95, 1.05, 1.15, 1.25, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 3.5)
ASKED = (0.3, 0.5, 0.65, 0.8, 0.95, 1.2)
FIRST_ASKED_S, ASKED_EVERY_S = 20.0, 6.5


class Watched(Learned):
    """tailwise with a look at its headroom now and then."""

    def __init__(self, engine: tw.Engine, told: list[dict[str, float]], every_s: float) -> None:
        super().__init__(engine)
        self.headroom = Headroom(engine)
        self.told, self.every_s, self.next_s = told, every_s, FIRST_ASKED_S

    def assign(
        self,
        model: str,
        qos: str,
        features: tuple[float, ...],
        mask: int | None,
        deadline_s: float | None = None,
    ) -> Assignment:
        self.headroom.offered(model, qos, features)
        if self.engine.clock.now_ns() * 1e-9 >= self.next_s:
            self.next_s += self.every_s
            self.told.append({q.name: _number(self.headroom(q.name)) for q in CLASSES})
        return super().assign(model, qos, features, mask, deadline_s)


def _number(share: float | None) -> float:
    return float("nan") if share is None else share


def attained(task: tuple[float, int]) -> dict[str, float]:
    """On-time share by class, at a load and a seed."""
    load, seed = task
    world = draw_grid(Grid(load, duration_s=DURATION_S), seed)
    on_time = Tailwise("tailwise", tw.Rules()).play(world, seed).on_time(world)
    warm = world.arrival_s >= WARM_S
    return {q.name: float(on_time[warm & (world.qos == c)].mean()) for c, q in enumerate(CLASSES)}


def foretold(task: tuple[float, int]) -> dict[str, float]:
    """Load at which each class fails, as seen at a load and a seed: mean of four looks."""
    load, seed = task
    told: list[dict[str, float]] = []
    player = Tailwise("watched", tw.Rules(), partial(Watched, told=told, every_s=ASKED_EVERY_S))
    player.play(draw_grid(Grid(load, duration_s=DURATION_S), seed), seed)
    return {q.name: load * (1.0 + float(np.mean([t[q.name] for t in told]))) for q in CLASSES}


def fails_at(loads: Sequence[float], shares: Sequence[float], target: float) -> float:
    """Where the share first falls below the target, between two loads on a line; NaN where it does not."""
    for (load, share), (heavier, lower) in pairwise(zip(loads, shares, strict=True)):
        if share >= target > lower:
            return load + (share - target) / (share - lower) * (heavier - load)
    return float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=101, help="1-20 are to choose on")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    with processes(arguments.jobs) as pool:
        each = map if pool is None else pool.map
        played = list(each(attained, [(load, seed) for seed in seeds for load in PLAYED]))
        told = list(each(foretold, [(load, seed) for seed in seeds for load in ASKED]))
    print("| class | fails at | " + " | ".join(f"told at {load:g}" for load in ASKED) + " |")
    print("|---" * (2 + len(ASKED)) + "|")
    for qos in CLASSES:
        by_seed = np.array([p[qos.name] for p in played]).reshape(len(seeds), len(PLAYED))
        truth = np.array([fails_at(PLAYED, shares, qos.on_time) for shares in by_seed.tolist()])
        ratio = np.array([t[qos.name] for t in told]).reshape(len(seeds), len(ASKED)) / truth[:, None]
        cells = [f"{m:.2f} ({low:.2f}-{high:.2f})" for m, low, high in zip(*_spread(ratio), strict=True)]
        print(f"| {qos.name}, {qos.on_time:g} | {truth.mean():.2f} | " + " | ".join(cells) + " |", flush=True)


def _spread(ratio: np.ndarray) -> tuple[list[float], list[float], list[float]]:
    return ratio.mean(axis=0).tolist(), ratio.min(axis=0).tolist(), ratio.max(axis=0).tolist()


if __name__ == "__main__":
    main()
