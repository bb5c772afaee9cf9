"""One self-contained HTML page of a run: tables and plots, no script, no reference to anything outside."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path

from tailwise.adapters.cli import plots
from tailwise.adapters.cli.canvas import policy_colours
from tailwise.adapters.cli.results import ClassFigures, RunResult

__all__ = ["page", "write_report"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59626c; --line: #d8dde2; --page: #ffffff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --soft: #a3adb7; --line: #343b43; --page: #14181c; }
}
body { margin: 2.5rem auto; max-width: 62rem; padding: 0 1.25rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.1rem; margin: 2.6rem 0 .5rem; break-after: avoid; }
p, figcaption { color: var(--soft); margin: .5rem 0; max-width: 46rem; font-size: .92rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; font-size: .88rem; }
thead { border-bottom: 1px solid var(--soft); }
tbody { border-bottom: 1px solid var(--line); break-inside: avoid; }
th { font-weight: 400; }
thead th { color: var(--soft); vertical-align: bottom; }
th, td { padding: .25rem .45rem; text-align: right; white-space: nowrap; }
.text, tbody th { text-align: left; }
tbody th { vertical-align: top; }
thead th:first-child, tbody th[rowspan], .flush th { padding-left: 0; }
.ours, .ours th { font-weight: 600; }
.key { display: inline-block; width: .7em; height: .7em; margin-right: .55em; border-radius: 2px; }
figure { margin: .3rem 0 0; break-inside: avoid; }
svg { display: block; width: 100%; min-width: 38rem; height: auto; color: var(--soft); }
svg text { font-family: system-ui, sans-serif !important; }
@media print {
  :root { color-scheme: light; --ink: #000000; --soft: #444444; --line: #cccccc; --page: #ffffff; }
  body { margin: 0; max-width: none; font-size: 12px; }
  svg { min-width: 0; }
  .scroll { overflow: visible; }
  .key, svg { print-color-adjust: exact; }
}
"""


def write_report(result: RunResult, path: Path) -> None:
    """Writes the page of a run, complete or interrupted.

    path: file to write, replaced if it exists. Raises OSError.
    """
    path.write_text(page(result), encoding="utf-8")


def page(result: RunResult) -> str:
    """The page as text: the same result gives the same text."""
    body = [f"<h1>tailwise run</h1><p>{escape(_settings(result))}</p>"]
    if result.blocks:
        body += [*_tables(result), *_policy_plots(result), *_learning_plots(result)]
    else:
        body.append("<p>The run was interrupted before its first block: nothing was measured.</p>")
    body += ["<h2>Models, as calibrated before the run</h2>", _models(result)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>tailwise run, seed '
        f'{result.seed}</title><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _settings(result: RunResult) -> str:
    machine = result.machine
    resources = ", ".join(
        resource["name"] + (f" ({resource['slots']} slots)" if resource["slots"] > 1 else "")
        for resource in result.resources
    )
    return (
        f"{machine['machine']}, {machine['cores']} cores, {machine['capability']}, torch {machine['torch']}, "
        f"Python {machine['python']}; resources {resources}; seed {result.seed}, {result.seconds:g} s of arrivals "
        f"per policy at {result.load:.0%} of the measured capacity"
        + (", interrupted" if result.interrupted else "")
    )


def _tables(result: RunResult) -> list[str]:
    rounds = len({block.round for block in result.blocks})
    return [
        "<h2>Weighted goodput</h2>",
        _headline(result),
        "<p>On-time jobs over offered jobs, by the weight of their class. The same arrivals for every policy, in "
        f"blocks of rotated order; differences are paired by round ({rounds} in all), &plusmn; one standard "
        "error. A clear win is more than two of them.</p>",
        "<h2>By policy and class</h2>",
        _classes(result),
        "<p>Late: completed after the deadline. Expired: dropped in the queue at the deadline. Failed: raised, "
        "cancelled, or answered wrongly. p50 and p99 are of completed jobs, from arrival to result.</p>",
    ]


def _policy_plots(result: RunResult) -> list[str]:
    return [
        "<h2>Attainment over time</h2>",
        _figure(
            plots.attainment(result),
            "Jobs on time among those that arrived in each second, by weight; blocks are joined at the dotted "
            "lines. A good policy stays near 1 through the bursts; where all dip, the machine itself was short.",
        ),
        "<h2>Completion against the deadline</h2>",
        _figure(
            plots.completion(result),
            "A line's height at the dashed deadline is the share on time: higher is better. One that ends below 1 "
            "lost the rest in the queue, to a refusal or to a failure.",
        ),
        "<h2>Share by resource and model</h2>",
        _figure(
            plots.shares(result),
            "Policies that do not tell models apart divide each of them alike; one that learns keeps a model where "
            "it is relatively fastest.",
        ),
    ]


def _learning_plots(result: RunResult) -> list[str]:
    parts: list[str] = []
    if "tailwise" in result.policies:
        parts += [
            "<h2>Predicted against observed completion</h2>",
            _figure(
                plots.prediction(result),
                "Completed jobs of tailwise, forecast when they arrived; expired jobs have no completion to show. "
                "Good forecasts lie along the line; above it is later than expected. Forecasts outside the frame, "
                "usually the first of an unknown model, are drawn at its edge.",
            ),
            "<h2>Claimed against kept</h2>",
            _figure(
                plots.reliability(result),
                "Jobs of tailwise in bins of the claimed probability of being on time, with the 95% interval of the "
                "observed share; expired and failed jobs count as not on time, bins of fewer than five jobs are left "
                "out. Honest claims lie on the line; above it they were too cautious, below it too bold.",
            ),
        ]
    if result.sightings:
        parts += [
            "<h2>What was learned</h2>",
            _figure(
                plots.profiles(result),
                "Service time of each profile at typical features: median and 5 to 95% band, n the effective number "
                "of observations at the end; copies of one resource share a colour. Good is a band that narrows at "
                "once and then stays; what is left of its width is the spread of the jobs themselves.",
            ),
        ]
    return parts


def _figure(svg: str, caption: str) -> str:
    return f'<figure><div class="scroll">{svg}</div><figcaption>{escape(caption)}</figcaption></figure>'


def _table(header: list[str], bodies: list[str], *, n_text: int = 1) -> str:
    """n_text: how many columns are words, and set to the left."""
    kinds = [' class="text"' if i < n_text else "" for i in range(len(header))]
    head = "".join(
        f'<th scope="col"{kind}>{escape(cell)}</th>' for kind, cell in zip(kinds, header, strict=True)
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead>{"".join(bodies)}</table></div>'


def _row(cells: list[str], *headings: str) -> str:
    """headings: <th> elements of the row, as HTML."""
    return "<tr>" + "".join(headings) + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _heading(text: str) -> str:
    return f'<th scope="row">{escape(text)}</th>'


def _policy_body(result: RunResult, policy: str, rows: list[tuple[list[str], list[str]]]) -> str:
    """One policy's rows, each (words, figures), beside its name and colour."""
    colour = policy_colours(result.policies)[policy]
    heading = (
        f'<th scope="rowgroup" rowspan="{len(rows)}"><span class="key" style="background:{colour}"></span>'
        f"{escape(policy)}</th>"
    )
    kind = ' class="ours"' if policy == "tailwise" else ""
    lines = [
        _row(cells, "" if i else heading, *map(_heading, words)) for i, (words, cells) in enumerate(rows)
    ]
    return f"<tbody{kind}>{''.join(lines)}</tbody>"


def _headline(result: RunResult) -> str:
    differences = result.differences() if "tailwise" in result.policies else {}
    bodies = []
    for name, f in result.figures().items():
        ahead = ""
        if name in differences:
            d = differences[name]
            ahead = _number(d.mean, "+.3f")
            ahead += "" if math.isnan(d.standard_error) else f" ± {d.standard_error:.3f}"
        on_time = [_on_time(f.classes[q.name]) for q in result.qos]
        cells = [_number(f.weighted_goodput, ".3f"), ahead, *on_time, str(f.wrong)]
        bodies.append(_policy_body(result, name, [([], cells)]))
    classes = [f"{q.name} on time" for q in result.qos]
    return _table(["policy", "weighted goodput", "tailwise is ahead by", *classes, "wrong answers"], bodies)


def _classes(result: RunResult) -> str:
    bodies = []
    for name, f in result.figures().items():
        rows = []
        for q in result.qos:
            c = f.classes[q.name]
            counts = [str(v) for v in (c.late, c.expired, c.rejected, c.failed)]
            times = [_number(1e3 * v, ".1f") for v in (c.p50_s, c.p99_s)]
            cells = [_number(1e3 * q.deadline_s, ".0f"), str(c.offered), _on_time(c), *counts, *times]
            rows.append(([q.name], cells))
        bodies.append(_policy_body(result, name, rows))
    ends = ["late", "expired", "rejected", "failed"]
    header = ["policy", "class", "deadline, ms", "offered", "on time", *ends, "p50, ms", "p99, ms"]
    return _table(header, bodies, n_text=2)


def _models(result: RunResult) -> str:
    resources = [resource["name"] for resource in result.resources]
    rows = []
    for model in result.models:
        services = [f"{1e3 * model['services_s'][name]:.1f}" for name in resources]
        accuracy = "-" if model["accuracy"] is None else f"{model['accuracy']:.3f}"
        rows.append(_row([*services, accuracy], _heading(model["name"])))
    header = ["model", *(f"{name}, ms" for name in resources), "held-out accuracy"]
    return _table(header, [f'<tbody class="flush">{"".join(rows)}</tbody>'])


def _on_time(c: ClassFigures) -> str:
    return f"{c.on_time / c.offered:.1%}" if c.offered else "-"


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)
