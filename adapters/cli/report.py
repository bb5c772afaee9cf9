"""One self-contained HTML page of a run: tables and plots, no script, no reference to anything outside."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path

from tailwise.adapters.cli import plots
from tailwise.adapters.cli.canvas import policy_colours
from tailwise.adapters.cli.page import document, figure, heading, number, row, table, table_body
from tailwise.adapters.cli.results import ClassFigures, RunResult, accuracy_words

__all__ = ["page", "write_report"]


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
    return document(f"tailwise run, seed {result.seed}", body)


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
        *_variant_part(result),
    ]


def _variant_part(result: RunResult) -> list[str]:
    if not result.variants():
        return []
    return [
        "<h2>Variants chosen</h2>",
        _variants(result),
        "<p>Share of the jobs of a class by the variant that was chosen for them, and the mean accuracy of those on "
        "time, each counted as accurate as its variant is known to be. The field's policies do not choose: each has "
        "one variant a class, the most accurate where accuracy is the objective of the class, else the fastest of "
        "those that it may get.</p>",
    ]


def _policy_plots(result: RunResult) -> list[str]:
    return [
        "<h2>Attainment over time</h2>",
        figure(
            plots.attainment(result),
            "Jobs on time among those that arrived in each second, by weight; blocks are joined at the dotted "
            "lines. A good policy stays near 1 through the bursts; where all dip, the machine itself was short.",
        ),
        "<h2>Completion against the deadline</h2>",
        figure(
            plots.completion(result),
            "A line's height at the dashed deadline is the share on time: higher is better. One that ends below 1 "
            "lost the rest in the queue, to a refusal or to a failure.",
        ),
        "<h2>Share by resource and model</h2>",
        figure(
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
            figure(
                plots.prediction(result),
                "Completed jobs of tailwise, forecast when they arrived; expired jobs have no completion to show. "
                "Good forecasts lie along the line; above it is later than expected. Forecasts outside the frame, "
                "usually the first of an unknown model, are drawn at its edge.",
            ),
            "<h2>Claimed against kept</h2>",
            figure(
                plots.reliability(result),
                "Jobs of tailwise in bins of the claimed probability of being on time, with the 95% interval of the "
                "observed share; expired and failed jobs count as not on time, bins of fewer than five jobs are left "
                "out. Honest claims lie on the line; above it they were too cautious, below it too bold.",
            ),
        ]
    if result.sightings:
        parts += [
            "<h2>What was learned</h2>",
            figure(
                plots.profiles(result),
                "Service time of each profile at typical features: median and 5 to 95% band, n the effective number "
                "of observations at the end; copies of one resource share a colour. Good is a band that narrows at "
                "once and then stays; what is left of its width is the spread of the jobs themselves.",
            ),
        ]
    return parts


def _policy_body(result: RunResult, policy: str, rows: list[tuple[list[str], list[str]]]) -> str:
    """One policy's rows, each (words, figures), beside its name and colour."""
    return table_body(policy, policy_colours(result.policies)[policy], rows, ours=policy == "tailwise")


def _headline(result: RunResult) -> str:
    differences = result.differences()
    bodies = []
    for name, f in result.figures().items():
        ahead = ""
        if name in differences:
            d = differences[name]
            ahead = number(d.mean, "+.3f")
            ahead += "" if math.isnan(d.standard_error) else f" ± {d.standard_error:.3f}"
        on_time = [_on_time(f.classes[q.name]) for q in result.qos]
        cells = [number(f.weighted_goodput, ".3f"), ahead, *on_time, str(f.wrong)]
        bodies.append(_policy_body(result, name, [([], cells)]))
    classes = [f"{q.name} on time" for q in result.qos]
    return table(["policy", "weighted goodput", "tailwise is ahead by", *classes, "wrong answers"], bodies)


def _classes(result: RunResult) -> str:
    bodies = []
    for name, f in result.figures().items():
        rows = []
        for q in result.qos:
            c = f.classes[q.name]
            counts = [str(v) for v in (c.late, c.expired, c.rejected, c.failed)]
            times = [number(1e3 * v, ".1f") for v in (c.p50_s, c.p99_s)]
            cells = [number(1e3 * q.deadline_s, ".0f"), str(c.offered), _on_time(c), *counts, *times]
            rows.append(([q.name], cells))
        bodies.append(_policy_body(result, name, rows))
    ends = ["late", "expired", "rejected", "failed"]
    header = ["policy", "class", "deadline, ms", "offered", "on time", *ends, "p50, ms", "p99, ms"]
    return table(header, bodies, n_text=2)


def _models(result: RunResult) -> str:
    resources = [resource["name"] for resource in result.resources]
    rows = []
    for model in result.models:
        services = [f"{1e3 * model['services_s'][name]:.1f}" for name in resources]
        rows.append(row([*services, accuracy_words(model) or "-"], heading(model["name"])))
    header = ["model", *(f"{name}, ms" for name in resources), "accuracy"]
    return table(header, [f'<tbody class="flush">{"".join(rows)}</tbody>'])


def _variants(result: RunResult) -> str:
    chosen = result.variants()
    models = [model["name"] for model in result.models if model["variant_of"] is not None]
    bodies = []
    for policy, families in chosen.items():
        rows = []
        for family, classes in families.items():
            for qos, found in classes.items():
                shares = [
                    f"{found.chosen[m] / found.offered:.0%}" if m in found.chosen else "-" for m in models
                ]
                rows.append(([family, qos], [*shares, number(found.accuracy, ".3f")]))
        bodies.append(_policy_body(result, policy, rows))
    return table(["policy", "family", "class", *models, "accuracy"], bodies, n_text=3)


def _on_time(c: ClassFigures) -> str:
    return f"{c.on_time / c.offered:.1%}" if c.offered else "-"
