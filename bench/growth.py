"""Nanoseconds of a select by the number of resources, beside the bare loop: `python -m bench.growth [--rounds 20]`.

K = 8, 16 .. 4096, d = 8, 256 slots each, so that nothing waits. Writes the plot to bench/growth.svg, or to --svg F.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.bare import Bare
from bench.ratio import interleaved, median_pass, select_ns
from bench.subject import Subject
from tailwise.adapters.cli.canvas import Canvas, drawing, policy_colours

__all__ = ["Point", "measure", "plot"]

SIZES = tuple(2**i for i in range(3, 13))
#: Of each resource: to learn takes a time that grows with their number, and what was learned costs a select nothing.
N_RESULTS = 3
SVG = Path(__file__).with_name("growth.svg")


@dataclass(frozen=True, slots=True)
class Point:
    """Of one K: nanoseconds a call, medians over rounds, and the median of the rounds' own ratios."""

    k: int
    bare: float
    tailwise: float
    ratio: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path, default=SVG)
    asked = parser.parse_args()
    console = Console(width=110)
    points = [measure(k, asked.rounds, console) for k in SIZES]
    console.print(table(points))
    asked.svg.write_text(plot(points))
    if asked.json is not None:
        asked.json.write_text(json.dumps([asdict(point) for point in points], indent=1) + "\n")


def measure(k: int, rounds: int, console: Console) -> Point:
    subject = Subject(k, n_results=N_RESULTS)
    bare = Bare(subject)
    runs = {
        "bare": lambda: median_pass(bare.pass_ns),
        "tailwise": lambda: median_pass(lambda: select_ns(subject.select)),
    }
    times: Mapping[str, Sequence[float]] = interleaved(runs, rounds, f"K = {k}", console)
    ratio = float(np.median(np.array(times["tailwise"]) / np.array(times["bare"])))
    return Point(k, float(np.median(times["bare"])), float(np.median(times["tailwise"])), ratio)


def table(points: Sequence[Point]) -> Table:
    out = Table(title="ns per decision, median of rounds; d = 8", title_justify="left")
    for column in ("K", "bare C", "tailwise", "tailwise / bare C", "tailwise, ns a resource"):
        out.add_column(column, justify="right")
    for p in points:
        out.add_row(
            str(p.k), f"{p.bare:,.0f}", f"{p.tailwise:,.0f}", f"{p.ratio:.2f}", f"{p.tailwise / p.k:.2f}"
        )
    return out


def plot(points: Sequence[Point]) -> str:
    """Both scales logarithmic: what is in proportion to K is a line that rises by one for one."""
    with drawing("growth"):
        canvas = Canvas(1, 3.2)
        (axis,) = canvas.panels
        k = [p.k for p in points]
        colours = policy_colours(["tailwise", "bare C loop"])
        for label, values in (
            ("tailwise", [p.tailwise for p in points]),
            ("bare C loop", [p.bare for p in points]),
        ):
            width = 2.2 if label == "tailwise" else 1.3
            axis.plot(k, values, marker=".", label=label, color=colours[label], linewidth=width)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xticks(k, labels=[str(n) for n in k])
        axis.set_yticks([100, 200, 500, 1000, 2000, 5000, 10_000, 20_000])
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("")
        axis.set(xlabel="resources", ylabel="nanoseconds a decision")
        canvas.legend_above(axis)
        return canvas.svg(
            "Nanoseconds of one decision against the number of resources, tailwise and a bare C loop"
        )


if __name__ == "__main__":
    main()
