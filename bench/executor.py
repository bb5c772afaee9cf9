"""What the executor costs over calling the module directly: `python -m bench.executor [--rounds 30] [--json F]`.

One at a time: a job is submitted when the result of the one before is there, and the median call of a round counts.
In flight (the last three columns): all jobs of a round are submitted at once, and the mean counts, submitting
included; the worker alone gets each job by the callback of the one before. Each round does the same calls directly,
through the worker alone and through the executor; overheads are differences within the round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import wait
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

import tailwise as tw
from bench.table import show
from bench.turns import in_turns
from tailwise.adapters.torch import Executor, ModelSource, Outcome, Process, Thread, Worker

__all__ = ["CASES", "Case", "Figures", "First", "linear", "measure"]

#: Jobs of a round; of large inputs fewer, so that a round takes no longer.
N_JOBS = 200
COLUMNS = (
    "worker, input", "direct", "worker", "executor", "over direct", "goal", "memcpy",
    "worker", "executor", "over worker",
)  # fmt: skip


class First(torch.nn.Module):
    """Its first numbers: what a large input costs is its way to the model."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:64].clone()


def linear() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Linear(64, 64)


@dataclass(frozen=True, slots=True)
class Case:
    """model: by name, of one worker. goal_us: of overhead, one at a time, beside which a process may take 1.5 times a
    memcpy of the input."""

    name: str
    model: str
    module: Callable[[], torch.nn.Module]
    shape: tuple[int, ...]
    goal_us: float
    n_jobs: int = N_JOBS


CASES = (
    Case("thread, 1x64", "thread linear", linear, (1, 64), 60.0),
    Case("process, 1x64", "process linear", linear, (1, 64), 150.0),
    Case("process, 1 MB", "process first", First, (1 << 18,), 150.0, 50),
    Case("process, 16 MB", "process first", First, (1 << 22,), 150.0, 10),
)
SOURCES: Mapping[str, Mapping[str, ModelSource]] = {
    "thread": {"thread linear": "bench.executor:linear"},
    "process": {"process linear": "bench.executor:linear", "process first": "bench.executor:First"},
}


@dataclass(frozen=True, slots=True)
class Figures:
    """Microseconds, medians over rounds; over*: the median of the rounds' own differences, to the direct call, in
    flight to the worker alone."""

    name: str
    direct_us: float
    worker_us: float
    executor_us: float
    over_us: float
    goal_us: float
    memcpy_us: float
    flight_worker_us: float
    flight_executor_us: float
    flight_over_us: float

    def cells(self) -> list[str]:
        return [self.name, *(f"{value:.1f}" for name, value in asdict(self).items() if name != "name")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--only", choices=[case.name for case in CASES])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cases = [case for case in CASES if arguments.only in (None, case.name)]
    found = measure(cases, arguments.rounds)
    show("microseconds a job", COLUMNS, [figures.cells() for figures in found])
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([asdict(figures) for figures in found], indent=1) + "\n")


def measure(cases: list[Case], rounds: int) -> list[Figures]:
    """Of each case. The workers are started once and serve both alone and under the executor."""
    torch.set_num_threads(1)
    workers: dict[str, Worker] = {"thread": Thread().build("thread"), "process": Process().build("process")}
    engine = tw.Engine(
        [tw.Resource(name) for name in workers],
        [tw.Model(model, resources=(worker,)) for worker, models in SOURCES.items() for model in models],
        [tw.QoS("standard", deadline_s=60.0)],
    )
    try:
        for name, worker in workers.items():
            worker.start(SOURCES[name])
        sources = {model: source for models in SOURCES.values() for model, source in models.items()}
        with Executor(engine, sources, workers) as executor:
            return [_measured(case, executor, workers[case.model.split()[0]], rounds) for case in cases]
    finally:
        for worker in workers.values():
            worker.close()


def _measured(case: Case, executor: Executor, worker: Worker, rounds: int) -> Figures:
    x, module, n = torch.rand(case.shape), case.module().eval(), case.n_jobs

    def direct() -> None:
        with torch.inference_mode():
            module(x)

    def through() -> None:
        executor.submit(case.model, "standard", x).result()

    def in_flight() -> None:
        wait([executor.submit(case.model, "standard", x) for _ in range(case.n_jobs)])

    times = in_turns(
        {
            "direct": lambda: _median_us(direct, n),
            "worker": lambda: _median_us(_alone(worker, case.model, x), n),
            "executor": lambda: _median_us(through, n),
            "memcpy": lambda: _median_us(x.clone, n),
            "flight worker": lambda: _mean_us(_chain(worker, case.model, x, n), n),
            "flight executor": lambda: _mean_us(in_flight, n),
        },
        range(rounds),
    )
    middle = {key: statistics.median(values) for key, values in times.items()}
    memcpy_us = middle["memcpy"] if worker.name == "process" else 0.0
    return Figures(
        case.name,
        middle["direct"],
        middle["worker"],
        middle["executor"],
        _over(times["executor"], times["direct"]),
        case.goal_us + 1.5 * memcpy_us,
        middle["memcpy"],
        middle["flight worker"],
        middle["flight executor"],
        _over(times["flight executor"], times["flight worker"]),
    )


def _alone(worker: Worker, model: str, x: torch.Tensor) -> Callable[[], None]:
    """One job of a worker, waited for."""
    over, batch = threading.Semaphore(0), [(x,)]

    def done(outcome: Outcome) -> None:
        over.release()

    def call() -> None:
        worker.submit(model, batch, done)
        over.acquire()

    return call


def _chain(worker: Worker, model: str, x: torch.Tensor, n: int) -> Callable[[], None]:
    """n jobs of a worker, each begun by the end of the one before."""
    over, batch, left = threading.Semaphore(0), [(x,)], n

    def done(outcome: Outcome) -> None:
        nonlocal left
        left -= 1
        if left:
            worker.submit(model, batch, done)
        else:
            over.release()

    def call() -> None:
        worker.submit(model, batch, done)
        over.acquire()

    return call


def _median_us(call: Callable[[], object], n: int) -> float:
    times = []
    for _ in range(n):
        begin_ns = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - begin_ns)
    return statistics.median(times) / 1e3


def _mean_us(calls: Callable[[], object], n: int) -> float:
    begin_ns = time.perf_counter_ns()
    calls()
    return (time.perf_counter_ns() - begin_ns) / n / 1e3


def _over(times: list[float], bare: list[float]) -> float:
    return statistics.median(t - b for t, b in zip(times, bare, strict=True))


if __name__ == "__main__":
    main()
