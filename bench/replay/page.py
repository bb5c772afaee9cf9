"""One self-contained HTML page of a replay: tables and plots, no script, no reference to anything outside."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bench.replay import plots
from bench.replay.columns import AHEAD, CLASS, columns_of, deadline_text
from bench.replay.record import machine
from bench.replay.summary import OURS, Summary
from tailwise.adapters.cli.page import document, figure, table, table_body

__all__ = ["page"]


def page(summaries: Sequence[Summary], arguments: Sequence[str]) -> str:
    """The page as text: the same summaries give the same text. arguments: of the command that made them."""
    here = machine()
    body = [
        "<h1>tailwise, replayed</h1>",
        f"<p>python -m bench.replay {escape(' '.join(arguments))}; {here['processor']}, {here['cores']} cores, "
        f"Python {here['python']}, NumPy {here['numpy']}. The same jobs for every policy of a seed; &plusmn; one "
        "standard error over the seeds. Plots show tailwise, the oracle and the best others, the tables all.</p>",
    ]
    groups = _groups(summaries)
    for group in groups:
        body += _load(group, plots.drawn(group))
    for group in groups:
        shown = plots.drawn(group)
        for summary in group:
            body += _scenario(summary, shown)
    return document("tailwise, replayed", body)


def _groups(summaries: Sequence[Summary]) -> list[list[Summary]]:
    """Scenarios with the same policies share one choice of those drawn, and so the meaning of a colour."""
    groups: dict[frozenset[str], list[Summary]] = {}
    for summary in summaries:
        groups.setdefault(frozenset(summary.policies), []).append(summary)
    return list(groups.values())


def _load(summaries: Sequence[Summary], shown: Sequence[str]) -> list[str]:
    svg = plots.against_load(summaries, shown)
    if svg is None:
        return []
    caption = (
        "On-time jobs per second, by the weight of their class, in percent of what the oracle reached on the same "
        "jobs, or of all jobs where no oracle played; bars are one standard error over the seeds."
    )
    return ["<h2>Goodput against load</h2>", figure(svg, caption)]


def _scenario(summary: Summary, shown: Sequence[str]) -> list[str]:
    return [
        f"<h2>{escape(summary.id)}</h2><p>{escape(summary.title)}; {summary.seeds_text}</p>",
        _whole(summary, shown),
        _by_class(summary, shown),
        "<p>By class and its deadline, the policies of the plots; a terminal and the JSON show all. No answer: "
        "rejected, dropped in the queue, failed or lost. Quantiles are of completed jobs, late ones included, from "
        "arrival on.</p>",
        *_figures(summary, shown),
    ]


def _figures(summary: Summary, shown: Sequence[str]) -> list[str]:
    if any(trial.curves is None for trial in summary.trials):
        return []
    drawn = [
        (
            plots.completion(summary, shown),
            "Completion times from the other side: the share of all offered jobs still without an answer after a "
            "time. Lower is better; the height at the dashed deadline is the share that missed it. A line that goes "
            "flat ends at what was never answered.",
        ),
        (
            plots.claims(summary, shown),
            "Claimed probability of being on time against the share that was, jobs let in, all seeds, with 95% "
            "intervals. Honest claims lie on the line, too bold ones below it.",
        ),
        (
            plots.timeline(summary, shown),
            "Jobs on time among those that arrived in each half second, by weight. Shaded: what was wrong with one "
            "resource.",
        ),
        (
            plots.regret(summary, shown),
            "Regret: on-time jobs (by weight) that a policy is behind the oracle since the start, where they "
            "arrived; mean over the seeds, logarithmic beyond 10. A flat stretch loses nothing.",
        ),
    ]
    return [figure(svg, caption) for svg, caption in drawn if svg is not None]


def _whole(summary: Summary, shown: Sequence[str]) -> str:
    columns, ranked = columns_of(summary), summary.ranked()
    ahead = OURS in ranked and len(ranked) > 1
    bodies = []
    for policy in ranked:
        cells = [column.text(summary.figure(policy, column.name)) for column in columns]
        if ahead:
            cells.append("" if policy == OURS else AHEAD.text(summary.ahead(policy)))
        bodies.append(table_body(policy, _colour(policy, shown), [([], cells)], ours=policy == OURS))
    return table(["policy", *(c.heading for c in columns), *([AHEAD.heading] if ahead else [])], bodies)


def _by_class(summary: Summary, shown: Sequence[str]) -> str:
    columns = [c for c in CLASS if any(summary.class_has(qos, c.name) for qos in summary.classes)]
    bodies = []
    for policy in (p for p in summary.ranked() if p in shown):
        rows = []
        for qos in summary.classes:
            cells = [column.text(summary.class_figure(policy, qos, column.name)) for column in columns]
            rows.append(([deadline_text(summary, qos)], cells))
        bodies.append(table_body(policy, _colour(policy, shown), rows, ours=policy == OURS))
    return table(["policy", "class", *(column.heading for column in columns)], bodies, n_text=2)


def _colour(policy: str, shown: Sequence[str]) -> str | None:
    """That of the plots; None for what they leave out."""
    style = plots.lines(shown).get(policy)
    return None if style is None else str(style["color"])
