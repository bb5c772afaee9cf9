"""The gateway beside nginx and a bare proxy: `python -m bench.gateway`.

First what a bare starlette + httpx2 proxy carries here in front of a backend that answers at once, and what the
gateway carries (wrk, in turns). Then Poisson arrivals at a share of that through each proxy, on fleets of four
backends of three speeds, one of which turns ten times slower and one of which is killed.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.gateway.client import Answer
from bench.gateway.contest import CLASSES, CONTESTANTS, PATH, Figures, arrivals, play, scale, slots_for
from bench.gateway.fleet import backend, started

BARE, OURS = "bare starlette, round robin", "tailwise"


def carried_per_s(url: str, seconds: int) -> float:
    """Requests a second with 32 connections that always have one under way."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise SystemExit("wrk is not installed: apt-get install wrk")
    script = 'wrk.method = "POST"\nwrk.body = "{}"\nwrk.headers["x-tailwise-class"] = "batch"\n'
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        command = [wrk, "-t1", "-c32", f"-d{seconds}s", "-s", file.name, url]
        said = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=seconds + 30
        ).stdout
    if "Non-2xx" in said:
        raise RuntimeError(f"not all were answered:\n{said}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert found is not None
    return float(found[1])


def throughput(rounds: int, seconds: int, folder: Path) -> dict[str, list[float]]:
    """Requests a second by proxy and round, in turns."""
    carried: dict[str, list[float]] = {BARE: [], OURS: []}
    with started(backend("at-once", 64, 0.0)) as (fast,):
        for round_number in range(rounds):
            for i, name in enumerate((BARE, OURS)):
                proxy = CONTESTANTS[name]({"at-once": fast.url}, 64, folder / f"{round_number}-{i}")
                with started(proxy):
                    carried_per_s(f"{proxy.url}{PATH}", 1)  # connections, first results
                    carried[name].append(carried_per_s(f"{proxy.url}{PATH}", seconds))
    return carried


def throughput_table(carried: dict[str, list[float]]) -> Table:
    ratios = np.array(carried[OURS]) / np.array(carried[BARE])
    table = Table(
        title=f"requests a second, backend that answers at once; tailwise / bare {np.median(ratios):.2f}"
    )
    table.add_column("proxy")
    for i in range(len(ratios)):
        table.add_column(f"round {i + 1}", justify="right")
    for name, rates in carried.items():
        table.add_row(name, *(f"{rate:.0f}" for rate in rates))
    return table


def contest_table(figures: Sequence[Figures], title: str) -> Table:
    table = Table(title=title)
    heading = [f"{qos} {what}" for qos in CLASSES for what in ("on time", "p50 / p99 ms")]
    for column in ("proxy", *heading, "lost", "errors", "served by"):
        table.add_column(column)
    for f in figures:
        cells = []
        for qos in CLASSES:
            cells += [f"{f.attainment[qos]:.4f}", f"{1e3 * f.p50_s[qos]:.0f} / {1e3 * f.p99_s[qos]:.0f}"]
        errors = ", ".join(f"{n} x {status}" for status, n in sorted(f.errors.items())) or "0"
        shares = " ".join(f"{name} {share:.2f}" for name, share in f.shares.items())
        table.add_row(f.name, *cells, str(f.lost), errors, shares)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="Of arrivals, per proxy and seed.")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="Of the throughput.")
    parser.add_argument("--load", type=float, default=0.7, help="Share of what the bare proxy carries.")
    parser.add_argument("--rate", type=float, help="Requests a second instead, without measuring throughput.")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="Services and deadlines so many times as long."
    )
    parser.add_argument(
        "--slots", type=int, help="Of each backend; as many as three quarters load need by default."
    )
    parser.add_argument("--only", nargs="*", default=list(CONTESTANTS), help="Which proxies.")
    parser.add_argument("--json", type=Path, help="Write the figures here.")
    args = parser.parse_args()
    console = Console(width=160)
    scale(args.scale)
    told: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="tailwise-gateway-") as name:
        folder = Path(name)
        rate_per_s = args.rate
        if rate_per_s is None:
            carried = throughput(args.rounds, 4, folder / "throughput")
            console.print(throughput_table(carried))
            told["carried_per_s"] = carried
            rate_per_s = args.load * float(np.median(carried[BARE]))
        slots = slots_for(rate_per_s) if args.slots is None else args.slots
        answers: dict[str, list[Answer]] = {contestant: [] for contestant in args.only}
        for seed in range(args.seeds):
            dues = arrivals(rate_per_s, args.seconds, seed)
            for i, (contestant, all_of_them) in enumerate(answers.items()):
                where = folder / f"contest-{seed}-{i}"
                all_of_them += play(contestant, dues, slots, args.seconds, where, seed)
    figures = [Figures.of(contestant, some) for contestant, some in answers.items()]
    console.print(
        contest_table(
            figures, f"{rate_per_s:.0f} requests a second, 4 backends of {slots} slots, {args.seeds} seeds"
        )
    )
    told["contest"] = [asdict(f) for f in figures]
    if args.json is not None:
        args.json.write_text(json.dumps({"rate_per_s": rate_per_s, "slots": slots, **told}, indent=1) + "\n")


if __name__ == "__main__":
    main()
