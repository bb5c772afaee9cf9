"""Real jobs with and without dynamic batching, on the same arrivals: `python -m bench.joining`.

One worker, three classes. Capacity is measured first, with 256 jobs in flight; then Poisson arrivals at a share of
what can be served one by one (--of joined: joined; --rate: so many a second) are played through both in turns. A job
counts from when it was due; the last column counts from when it was submitted, which the submitting thread does late
where it is the one that is too slow. --switch-ms: how long a thread may keep Python from others that want it
(`sys.setswitchinterval`; Python's own: 5); of several values each is played.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

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
    """Of one executor over all its blocks. p50_s, p99_s: of the interactive jobs that were completed; own_p99_s: from
    their submission."""

    name: str
    capacity_per_s: float
    offered_per_s: float
    goodput_per_s: float
    attainment: dict[str, float]
    p50_s: float
    p99_s: float
    own_p99_s: float
    n_joined: float


class End(NamedTuple):
    """Of one job. late_s: its submission, from when it was due; took_s: from then on, inf = it did not complete."""

    qos: str
    late_s: float
    took_s: float
    n_joined: int


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


def play(ex: Executor, model: str, tape: Sequence[tuple[float, str, Request]]) -> list[End]:
    """Of each arrival."""
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
        took_s = record.completion_s if record.end == "completed" else float("inf")
        ends.append(End(qos, record.arrival_s - began_s - at_s, took_s, record.n_joined))
    return ends


def figures(name: str, capacity_per_s: float, seconds: float, ends: Sequence[End]) -> Figures:
    on_time = {q: [e.late_s + e.took_s <= CLASSES[q][0] for e in ends if e.qos == q] for q in CLASSES}
    completed = [e for e in ends if e.took_s < float("inf")]
    urgent = [e for e in completed if e.qos == "interactive"] or [End("interactive", 0.0, float("nan"), 0)]
    from_due = [e.late_s + e.took_s for e in urgent]
    return Figures(
        name=name,
        capacity_per_s=capacity_per_s,
        offered_per_s=len(ends) / seconds,
        goodput_per_s=sum(map(sum, on_time.values())) / seconds,
        attainment={q: float(np.mean(hits)) for q, hits in on_time.items()},
        p50_s=float(np.quantile(from_due, 0.5)),
        p99_s=float(np.quantile(from_due, 0.99)),
        own_p99_s=float(np.quantile([e.took_s for e in urgent], 0.99)),
        n_joined=float(np.mean([e.n_joined for e in completed])) if completed else 0.0,
    )


def measure(
    model: str,
    worker: str,
    max_items: int,
    hold_s: float,
    load: float,
    of: str,
    rate_per_s: float | None,
    switches_s: Sequence[float],
    rounds: int,
    block_s: float,
    seed: int,
) -> list[Figures]:
    """Without batching, then with it, each by `switches_s`."""
    MODELS[model]()  # trained here, once, not in the workers
    source = SOURCES[model]()
    rng = np.random.default_rng(seed)
    requests = [source.draw(rng) for _ in range(512)]
    torch.set_num_threads(1)
    with executor(model, None, 0.0, worker) as alone, executor(model, max_items, hold_s, worker) as joining:
        both = {"one by one": alone, f"joined, up to {max_items} items": joining}
        most = {name: capacity(ex, model, requests, 2.0) for name, ex in both.items()}
        if rate_per_s is None:
            rate_per_s = load * list(most.values())[of == "joined"]
        ways = [(name, switch_s) for name in both for switch_s in switches_s]
        ends: dict[tuple[str, float], list[End]] = {way: [] for way in ways}
        for round_ in range(rounds):
            tape = arrivals(rng, rate_per_s, block_s, requests)
            for way in ways[:: 1 if round_ % 2 else -1]:
                sys.setswitchinterval(way[1])
                ends[way] += play(both[way[0]], model, tape)
    return [
        figures(f"{name}, {1e3 * switch_s:g} ms", most[name], rounds * block_s, ends[name, switch_s])
        for name, switch_s in ways
    ]


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
        "own p99 ms",
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
            f"{1e3 * row.own_p99_s:.1f}",
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
    parser.add_argument("--rate", type=float, help="jobs a second, whatever the capacity")
    parser.add_argument("--switch-ms", type=float, nargs="+", default=[1e3 * sys.getswitchinterval()])
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
        given.rate,
        [1e-3 * switch_ms for switch_ms in given.switch_ms],
        given.rounds,
        given.block_s,
        given.seed,
    )
    if given.json:
        plain: list[dict[str, Any]] = [asdict(row) for row in rows]
        print(json.dumps(plain))
    else:
        Console(width=170).print(table(rows))


if __name__ == "__main__":
    main()
