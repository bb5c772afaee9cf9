"""Real jobs with and without dynamic batching, on the same arrivals: `python -m bench.joining`.

One worker, three classes. Capacity is measured first, with 256 jobs in flight; then Poisson arrivals at a share of
what can be served one by one (--of joined: joined) are played through both in turns. A job counts from when it was
due.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import tailwise as tw
from tailwise.adapters.cli.workloads import digits
from tailwise.adapters.cli.workloads.request import Request
from tailwise.adapters.torch import Executor, JobFuture, Process, Thread

#: name: deadline in seconds, required probability, share of the arrivals.
CLASSES = {"interactive": (0.03, 0.95, 0.3), "standard": (0.1, 0.9, 0.5), "batch": (1.0, 0.5, 0.2)}
MODELS = {"digits-fast": digits.fast, "digits-accurate": digits.accurate}
SOURCES = {"digits-fast": digits.fast_source, "digits-accurate": digits.accurate_source}
IN_FLIGHT = 256


@dataclass(frozen=True)
class Figures:
    """Of one executor over all its blocks. p50_s, p99_s: of the interactive jobs that were completed."""

    name: str
    capacity_per_s: float
    offered_per_s: float
    goodput_per_s: float
    attainment: dict[str, float]
    p50_s: float
    p99_s: float
    n_joined: float


def executor(model: str, max_items: int | None, hold_s: float, worker: str) -> Executor:
    engine = tw.Engine(
        [tw.Resource("cpu")],
        [tw.Model(model, features=(tw.Feature("batch", typical=4.0, knee=True),), items="batch")],
        [
            tw.QoS(name, deadline_s, on_time, priority=i)
            for i, (name, (deadline_s, on_time, _)) in enumerate(CLASSES.items())
        ],
        seed=1,
        max_tickets=1 << 16,
    )
    source = f"tailwise.adapters.cli.workloads.digits:{model.removeprefix('digits-')}"
    return Executor(
        engine,
        {model: source},
        {"cpu": Process() if worker == "process" else Thread()},
        batching=None if max_items is None else {model: tw.Batching(max_items, hold_s)},
    )


def capacity(ex: Executor, model: str, requests: Sequence[Request], seconds: float) -> float:
    """Jobs a second with IN_FLIGHT of them in flight."""
    futures: set[JobFuture] = set()
    n, i = 0, 0
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        while len(futures) < IN_FLIGHT:
            request = requests[i % len(requests)]
            futures.add(ex.submit(model, "batch", request.inputs, features=request.features, deadline_s=60.0))
            i += 1
        done, futures = wait(futures, return_when=FIRST_COMPLETED)  # type: ignore[assignment]
        n += len(done)
    wait(futures)
    return n / seconds


def play(
    ex: Executor, model: str, tape: Sequence[tuple[float, str, Request]]
) -> list[tuple[str, float, int]]:
    """(class, completion from when it was due or inf, jobs joined) of each arrival."""
    futures = []
    began_s = time.monotonic()
    for at_s, qos, request in tape:
        pause_s = began_s + at_s - time.monotonic()
        if pause_s > 0:
            time.sleep(pause_s)
        futures.append(ex.submit(model, qos, request.inputs, features=request.features))
    wait(futures)
    ends = []
    for (at_s, qos, _), future in zip(tape, futures, strict=True):
        record = future.record
        assert record is not None
        late_s = record.arrival_s - began_s - at_s
        completed = record.end == "completed"
        ends.append((qos, record.completion_s + late_s if completed else float("inf"), record.n_joined))
    return ends


def figures(
    name: str, capacity_per_s: float, seconds: float, ends: Sequence[tuple[str, float, int]]
) -> Figures:
    on_time = {q: [s <= CLASSES[q][0] for qos, s, _ in ends if qos == q] for q in CLASSES}
    urgent = [s for qos, s, _ in ends if qos == "interactive" and s < float("inf")] or [float("nan")]
    joined = [n for _, s, n in ends if s < float("inf")]
    return Figures(
        name=name,
        capacity_per_s=capacity_per_s,
        offered_per_s=len(ends) / seconds,
        goodput_per_s=sum(map(sum, on_time.values())) / seconds,
        attainment={q: float(np.mean(hits)) for q, hits in on_time.items()},
        p50_s=float(np.quantile(urgent, 0.5)),
        p99_s=float(np.quantile(urgent, 0.99)),
        n_joined=float(np.mean(joined)) if joined else 0.0,
    )


def measure(
    model: str,
    worker: str,
    max_items: int,
    hold_s: float,
    load: float,
    of: str,
    rounds: int,
    block_s: float,
    seed: int,
) -> list[Figures]:
    """Without batching, then with it."""
    MODELS[model]()  # trained here, once, not in the workers
    source = SOURCES[model]()
    rng = np.random.default_rng(seed)
    requests = [source.draw(rng) for _ in range(512)]
    torch.set_num_threads(1)
    with executor(model, None, 0.0, worker) as alone, executor(model, max_items, hold_s, worker) as joining:
        both = {"one by one": alone, f"joined, up to {max_items} items": joining}
        most = {name: capacity(ex, model, requests, 2.0) for name, ex in both.items()}
        ends: dict[str, list[tuple[str, float, int]]] = {name: [] for name in both}
        for round_ in range(rounds):
            tape = arrivals(rng, load * list(most.values())[of == "joined"], block_s, requests)
            for name in list(both)[:: 1 if round_ % 2 else -1]:
                ends[name] += play(both[name], model, tape)
    return [figures(name, most[name], rounds * block_s, ends[name]) for name in both]


def arrivals(
    rng: np.random.Generator, rate_per_s: float, seconds: float, requests: Sequence[Request]
) -> list[tuple[float, str, Request]]:
    n = rng.poisson(rate_per_s * seconds)
    shares = [share for _, _, share in CLASSES.values()]
    classes = rng.choice(list(CLASSES), size=n, p=shares)
    picks = rng.integers(len(requests), size=n)
    times_s = np.sort(rng.uniform(0.0, seconds, size=n))
    return [(float(t), str(q), requests[k]) for t, q, k in zip(times_s, classes, picks, strict=True)]


def table(rows: Sequence[Figures]) -> Table:
    head = (
        "",
        "capacity/s",
        "offered/s",
        "goodput/s",
        *CLASSES,
        "interactive p50 ms",
        "p99 ms",
        "jobs a run",
    )
    out = Table(*head, box=None)
    for row in rows:
        shares = [f"{row.attainment[q]:.3f}" for q in CLASSES]
        cells = [f"{x:.0f}" for x in (row.capacity_per_s, row.offered_per_s, row.goodput_per_s)]
        out.add_row(
            row.name,
            *cells,
            *shares,
            f"{1e3 * row.p50_s:.1f}",
            f"{1e3 * row.p99_s:.1f}",
            f"{row.n_joined:.1f}",
        )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.joining", description=__doc__)
    parser.add_argument("--model", choices=MODELS, default="digits-fast")
    parser.add_argument("--worker", choices=("process", "thread"), default="process")
    parser.add_argument("--max-items", type=int, default=64)
    parser.add_argument("--hold-ms", type=float, default=0.0)
    parser.add_argument("--load", type=float, default=1.2, help="share of the capacity")
    parser.add_argument("--of", choices=("single", "joined"), default="single", help="whose capacity")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--block-s", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = measure(
        given.model,
        given.worker,
        given.max_items,
        1e-3 * given.hold_ms,
        given.load,
        given.of,
        given.rounds,
        given.block_s,
        given.seed,
    )
    if given.json:
        plain: list[dict[str, Any]] = [asdict(row) for row in rows]
        print(json.dumps(plain))
    else:
        Console(width=140).print(table(rows))


if __name__ == "__main__":
    main()
