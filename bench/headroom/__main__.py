"""How far `Headroom` is off: the load at which a class stops keeping its promise, as foretold and as played.

`python -m bench.headroom [--seeds 5] [--first-seed 101] [--jobs 2]` plays worlds at loads around those at which their
classes fail, and finds by interpolation where the on-time share falls below on_time. At other loads it asks the
headroom; told is load x (1 + headroom) over where the class fails: mean of the seeds, least and most. Ten minutes
of CPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from bench.batching.learned import CHAT
from bench.headroom import batching, grid
from bench.headroom.crossing import fails_at, row
from bench.replay.drawn import CLASSES
from bench.replay.run import processes

T = TypeVar("T")
#: map, in this process or in several.
Each = Callable[[Callable[[tuple[float, int]], T], Sequence[tuple[float, int]]], Iterable[T]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=101, help="1-20 are to choose on")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    with processes(arguments.jobs) as pool:
        each: Each = map if pool is None else pool.map  # type: ignore[assignment]
        for line in (*_grid(each, seeds), "", *_batching(each, seeds)):
            print(line, flush=True)


def _tasks(seeds: Sequence[int], loads: Sequence[float]) -> list[tuple[float, int]]:
    return [(load, seed) for seed in seeds for load in loads]


def _heading(what: str, loads: Sequence[float]) -> list[str]:
    return [
        f"| {what} | fails at | " + " | ".join(f"told at {x:g}" for x in loads) + " |",
        "|---" * (2 + len(loads)) + "|",
    ]


def _grid(each: Each, seeds: Sequence[int]) -> Iterable[str]:
    played = list(each(grid.attained, _tasks(seeds, grid.PLAYED)))
    told = list(each(grid.foretold, _tasks(seeds, grid.ASKED)))
    yield from _heading("class", grid.ASKED)
    for qos in CLASSES:
        shares = np.array([p[qos.name] for p in played]).reshape(len(seeds), -1)
        truth = np.array([fails_at(grid.PLAYED, of_seed, qos.on_time) for of_seed in shares.tolist()])
        yield row(
            f"{qos.name}, {qos.on_time:g}",
            truth,
            np.array([t[qos.name] for t in told]).reshape(len(seeds), -1),
        )


def _batching(each: Each, seeds: Sequence[int]) -> Iterable[str]:
    shares = np.array(list(each(batching.attained, _tasks(seeds, batching.PLAYED)))).reshape(len(seeds), -1)
    told = np.array(list(each(batching.foretold, _tasks(seeds, batching.ASKED)))).reshape(len(seeds), -1)
    truth = np.array([fails_at(batching.PLAYED, of_seed, CHAT.on_time) for of_seed in shares.tolist()])
    yield from _heading("sessions/s", batching.ASKED)
    yield row(f"chat, {CHAT.on_time:g}", truth, told)


if __name__ == "__main__":
    main()
