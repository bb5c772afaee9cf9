"""One interleaved run of all implementations: `python -m bench.ratio [--rounds 30] [--json F]`.

One signal with and without columns (one given with the call, or all stored), two signals, pairs of select and
complete, and a histogram of single calls.

Rounds rotate their order, since the speed of a shared machine drifts: the ratio to the bare loop within the round is
what counts, not the nanoseconds. In a round all do the same number of passes over the same requests and show their
median pass, so that none has warmer caches and a pass that was preempted is no measure.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

import tailwise as tw
from bench.arrays import Decide, numba_decide, numpy_decide
from bench.bare import Bare
from bench.single import single_calls
from bench.streams import BareStreams, Streams
from bench.subject import N_REQUESTS, Subject
from bench.turns import in_turns

SIZES = (8, 64, 256)
N_PASSES = 15
#: NumPy takes fifty times as long: fewer calls a pass are enough.
N_SLOW = 10
N_SINGLE = 20_000
PREEMPTED = 10.0  #: times the median pass

T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    console = Console(width=110)
    rows = []
    for columns in (False, True):
        for k in SIZES:
            subject = Subject(k, columns)
            disagreements = check(subject)
            rows.append(measure(subject, arguments.rounds, console) | {"disagreements": disagreements})
    stored = [measure_columns(k, arguments.rounds, console) for k in SIZES]
    two = measure_streams(Streams(64), arguments.rounds, console)
    per_s = pairs_per_s(Subject(8), arguments.rounds, console)
    single = [single_calls(Subject(k), N_SINGLE) for k in (8, 64)]
    console.print(table(rows))
    for row in stored:
        console.print(
            "K = {k}: plain {plain:.0f}, 4 stored columns and a mask {stored:.0f} ns, ratio {stored ratio:.2f}; "
            "3 stored, 1 given and a mask {given:.0f} ns, ratio {given ratio:.2f}".format(**row)
        )
    console.print(
        "two signals, ttft_s and tpot_s bounded, one column given with the call, K = 64, d = 6: bare C {bare C:.0f}, "
        "tailwise {tailwise:.0f} ns, ratio {ratio:.2f}; chooses otherwise {disagreements}".format(**two)
    )
    console.print(f"select and complete at K = 8, one process: {per_s:,.0f} pairs/s")
    for calls in single:
        console.print(f"\n{calls}")
    if arguments.json is not None:
        found = {"rows": rows, "stored": stored, "streams": two, "pairs_per_s": per_s}
        found["single"] = [s.as_dict() for s in single]
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


def check(subject: Subject) -> dict[str, int]:
    """On how many requests an implementation chooses otherwise than tailwise, ties (2e-4) aside."""
    others = {"bare C": Bare(subject).decide, "NumPy": numpy_decide(subject), "numba": numba_decide(subject)}
    wrong = dict.fromkeys(others, 0)
    for u, x in zip(subject.requests, subject.tuples, strict=True):
        ranked = {c.resource.name: c for c in subject.route.peek(x, subject.Z, mask=subject.mask)}
        best = min(c.rank_s for c in ranked.values())
        for name, decide in others.items():
            lane, p = decide(u)
            candidate = ranked.get(f"r{lane}")
            agrees = candidate is not None and candidate.rank_s <= best * (1 + 2e-4)
            wrong[name] += not (agrees and candidate is not None and abs(candidate.p_raw - p) < 1e-4)
    return wrong


def measure(subject: Subject, rounds: int, console: Console) -> dict[str, object]:
    """Nanoseconds per call of each implementation, medians over rounds, and the paired ratio to the bare loop."""
    bare, by_numpy, by_numba = Bare(subject), numpy_decide(subject), numba_decide(subject)
    rows = list(subject.requests)
    runs: dict[str, Callable[[], float]] = {
        "bare C": lambda: median_pass(bare.pass_ns),
        "tailwise": lambda: median_pass(lambda: select_ns(subject.select)),
        "array": lambda: median_pass(lambda: select_ns(lambda: subject.select(rows))),
        "many": lambda: median_pass(lambda: select_ns(subject.select_many)),
        "numba": lambda: median_pass(lambda: decide_ns(by_numba, subject.requests)),
        "NumPy": lambda: median_pass(lambda: decide_ns(by_numpy, subject.requests[:N_SLOW])),
        "complete": lambda: complete_ns(subject),
    }
    title = f"K = {subject.n_resources}{', columns' if subject.columns else ''}"
    times = interleaved(runs, rounds, title, console)
    medians = {name: float(np.median(values)) for name, values in times.items()}
    ratio = float(np.median(np.array(times["tailwise"]) / np.array(times["bare C"])))
    return {"k": subject.n_resources, "columns": subject.columns, "ratio": ratio, **medians}


def measure_columns(k: int, rounds: int, console: Console) -> dict[str, float]:
    """Nanoseconds per select with columns that are stored or given, and the paired ratio to the plain one."""
    subjects = {"plain": Subject(k), "stored": Subject(k, True, given=False), "given": Subject(k, True)}
    runs = {name: lambda s=s: median_pass(lambda: select_ns(s.select)) for name, s in subjects.items()}
    times = {
        name: np.array(ns) for name, ns in interleaved(runs, rounds, f"K = {k}, columns", console).items()
    }
    ratios = {f"{name} ratio": float(np.median(ns / times["plain"])) for name, ns in times.items()}
    return {"k": k, **{name: float(np.median(ns)) for name, ns in times.items()}, **ratios}


def measure_streams(subject: Streams, rounds: int, console: Console) -> dict[str, float]:
    """As measure, of tailwise and the bare loop with two signals."""
    bare = BareStreams(subject)
    runs = {
        "bare C": lambda: median_pass(bare.pass_ns),
        "tailwise": lambda: median_pass(lambda: select_ns(subject.select)),
    }
    times = interleaved(runs, rounds, f"K = {subject.n_resources}, two signals", console)
    medians = {name: float(np.median(values)) for name, values in times.items()}
    ratio = float(np.median(np.array(times["tailwise"]) / np.array(times["bare C"])))
    return {"ratio": ratio, "disagreements": subject.disagreements(bare), **medians}


def pairs_per_s(subject: Subject, rounds: int, console: Console) -> float:
    """Decisions and lessons a second, one after the other, of the median round."""
    runs = {"pairs": lambda: pair_ns(subject)}
    return 1e9 / float(np.median(interleaved(runs, rounds, "pairs", console)["pairs"]))


def interleaved(
    runs: Mapping[str, Callable[[], T]], rounds: int, title: str, console: Console
) -> dict[str, list[T]]:
    """See `in_turns`; with a bar that says how far it is."""
    return in_turns(runs, track(range(rounds), description=title, console=console, transient=True))


def median_pass(pass_ns: Callable[[], float]) -> float:
    return float(np.median([pass_ns() for _ in range(N_PASSES)]))


def select_ns(select: Callable[[], list[tw.Ticket]]) -> float:
    begin_ns = time.perf_counter_ns()
    tickets = select()
    elapsed_ns = time.perf_counter_ns() - begin_ns
    for ticket in tickets:
        ticket.cancel()
    return elapsed_ns / len(tickets)


def complete_ns(subject: Subject) -> float:
    """The mean over passes, since a pass may hold all or none of the rebuilds that a completion is to pay for."""
    passes = np.empty(N_PASSES)
    for i in range(N_PASSES):
        tickets = subject.select()
        seconds = subject.seconds_of(tickets)
        begin_ns = time.perf_counter_ns()
        for ticket, service_s in zip(tickets, seconds, strict=True):
            ticket.complete(service_s)
        passes[i] = (time.perf_counter_ns() - begin_ns) / N_REQUESTS
    return undisturbed(passes)


def pair_ns(subject: Subject) -> float:
    """As complete_ns. Each ends as the same request's was forecast before the passes."""
    select = subject.route.select
    tickets = subject.select()
    forecast = subject.seconds_of(tickets)
    for ticket in tickets:
        ticket.cancel()
    passes = np.empty(N_PASSES)
    for i in range(N_PASSES):
        begin_ns = time.perf_counter_ns()
        for x, service_s in zip(subject.tuples, forecast, strict=True):
            select(x).complete(service_s)
        passes[i] = (time.perf_counter_ns() - begin_ns) / N_REQUESTS
    return undisturbed(passes)


def undisturbed(passes: NDArray[np.float64]) -> float:
    """The mean of those that were not preempted: 4 ms would make a mean of 500 ns 3 us."""
    return float(np.mean(passes[passes < PREEMPTED * np.median(passes)]))


def decide_ns(decide: Decide, requests: NDArray[np.float64]) -> float:
    begin_ns = time.perf_counter_ns()
    for u in requests:
        decide(u)
    return (time.perf_counter_ns() - begin_ns) / len(requests)


def table(rows: list[dict[str, object]]) -> Table:
    out = Table(title="ns per decision, median of rounds; d = 8", title_justify="left")
    names = ("bare C", "tailwise", "array", "many", "numba", "NumPy", "complete")
    for column in ("K", "columns + mask", *names, "tailwise / bare C", "chooses otherwise"):
        out.add_column(column, justify="right")
    for row in rows:
        out.add_row(
            str(row["k"]),
            "yes" if row["columns"] else "",
            *(f"{row[name]:.0f}" for name in names),
            f"{row['ratio']:.2f}",
            " ".join(str(n) for n in row["disagreements"].values()),  # type: ignore[attr-defined]
        )
    return out


if __name__ == "__main__":
    main()
