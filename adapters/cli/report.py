"""One self-contained HTML page of a run: tables and plots, no script, no reference to anything outside."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path

from tailwise.adapters.cli import plots
from tailwise.adapters.cli.results import RunResult

__all__ = ["write_report"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5d6670; --line: #d8dde2;
  --page: #ffffff; --band: #f5f7f9; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --soft: #9aa4ae; --line: #343b43; --page: #14181c; --band: #1c2228; }
}
body { margin: 2.5rem auto; max-width: 60rem; padding: 0 1.25rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
h2 { font-size: 1.05rem; margin: 2.4rem 0 .3rem; }
p { color: var(--soft); margin: .2rem 0 .8rem; max-width: 46rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; font-size: .88rem; }
th { color: var(--soft); font-weight: 500; }
th, td { padding: .28rem .6rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child, .text { text-align: left; }
tr { border-bottom: 1px solid var(--line); }
tr.ours { background: var(--band); font-weight: 600; }
svg { width: 100%; height: auto; color: var(--soft); }
figure { margin: .3rem 0; break-inside: avoid; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 1.5rem; }
"""


def write_report(result: RunResult, path: Path) -> None:
    """Writes the page of a run that has at least one block. Raises OSError."""
    path.write_text(page(result), encoding="utf-8")


def page(result: RunResult) -> str:
    """The page as text."""
    machine = result.machine
    settings = (
        f"{machine['machine']}, {machine['cores']} cores, {machine['capability']}, torch {machine['torch']}, "
        f"Python {machine['python']}; seed {result.seed}, {result.seconds:g} s of arrivals per policy at "
        f"{result.load:.0%} of the measured capacity" + (", interrupted" if result.interrupted else "")
    )
    body = [f"<h1>tailwise run</h1><p>{escape(settings)}</p>"]
    if not result.blocks:
        body.append("<p>The run was interrupted before its first block: nothing was measured.</p>")
        return _document(body)
    body += [
        "<h2>Weighted goodput</h2>",
        "<p>On-time jobs over offered jobs, by the weight of their class. The same arrivals for every policy, in "
        "blocks of rotated order; differences are paired by round, with one standard error.</p>",
        _headline(result),
        "<h2>By policy and class</h2>",
        _classes(result),
        _section(
            "Attainment over time",
            "A good policy stays near 1 through the bursts; where all dip together the machine itself was short.",
            plots.attainment(result),
        ),
        _section(
            "Completion against the deadline",
            "Each line's height at the dashed deadline is the share on time. A line that ends below 1 lost the rest "
            "in the queue or refused it.",
            plots.completion(result),
        ),
    ]
    if any(block.policy == "tailwise" for block in result.blocks):
        body += [
            "<h2>Did it know?</h2>",
            "<p>Left: each completed job of tailwise, forecast when it arrived; on the line is right, above is later "
            "than expected. Right: what was claimed against what came true, expired jobs counted as late.</p>",
            f'<div class="pair"><figure>{plots.prediction(result)}</figure>'
            f"<figure>{plots.reliability(result)}</figure></div>",
        ]
    body.append(
        _section(
            "Who ran what",
            "Policies that do not learn divide every model alike; one that does keeps each model where it is "
            "relatively fastest.",
            plots.shares(result),
        )
    )
    if result.sightings:
        body.append(
            _section(
                "What was learned",
                "Median service at typical features with its 5 to 95% band: wide and alike at first, then each "
                "resource's own.",
                plots.profiles(result),
            )
        )
    body += ["<h2>Calibration and models</h2>", _models(result)]
    return _document(body)


def _document(body: list[str]) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>tailwise run</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _section(title: str, text: str, svg: str) -> str:
    return f"<h2>{escape(title)}</h2><p>{escape(text)}</p><figure>{svg}</figure>"


def _table(header: list[str], rows: list[tuple[str, list[str]]]) -> str:
    """rows: (class of the row, cells)."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    lines = [
        f"<tr{f' class={kind}' if kind else ''}>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for kind, cells in rows
    ]
    return f'<div class="scroll"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def _headline(result: RunResult) -> str:
    differences = result.differences()
    rows = []
    for name, f in result.figures().items():
        ahead = ""
        if name in differences:
            d = differences[name]
            ahead = f"{d.mean:+.3f}" + ("" if math.isnan(d.standard_error) else f" ± {d.standard_error:.3f}")
        shares = [
            f"{100 * c.on_time / c.offered:.1f}%" if c.offered else "-"
            for c in (f.classes[q.name] for q in result.qos)
        ]
        rows.append(
            ("ours" if name == "tailwise" else "", [name, f"{f.weighted_goodput:.3f}", ahead, *shares])
        )
    header = [
        "policy",
        "weighted goodput",
        "tailwise is ahead by",
        *(f"{q.name} on time" for q in result.qos),
    ]
    return _table(header, rows)


def _classes(result: RunResult) -> str:
    rows = []
    for name, f in result.figures().items():
        for q in result.qos:
            c = f.classes[q.name]
            counts = [str(v) for v in (c.offered, c.on_time, c.late, c.expired, c.rejected, c.failed)]
            times = ["-" if math.isnan(v) else f"{1e3 * v:.1f}" for v in (c.p50_s, c.p99_s)]
            cells = [f"{name}, {q.name}", f"{1e3 * q.deadline_s:.0f}", *counts, *times]
            rows.append(("ours" if name == "tailwise" else "", cells))
    header = ["policy, class", "deadline ms", "offered", "on time", "late", "expired", "rejected", "failed"]
    return _table([*header, "p50 ms", "p99 ms"], rows)


def _models(result: RunResult) -> str:
    resources = [resource["name"] for resource in result.resources]
    rows = []
    for model in result.models:
        services = [f"{1e3 * model['services_s'][name]:.1f}" for name in resources]
        accuracy = "-" if model["accuracy"] is None else f"{model['accuracy']:.3f}"
        rows.append(("", [model["name"], *services, accuracy]))
    return _table(["model", *(f"{name}, ms" for name in resources), "held-out accuracy"], rows)
