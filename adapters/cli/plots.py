"""The plots of a run's page, as inline SVG: one colour per policy or resource throughout, text as text."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from tailwise.adapters.cli.results import RunResult
from tailwise.adapters.torch.job import JobRecord

__all__ = ["attainment", "completion", "prediction", "profiles", "reliability", "shares"]

#: Okabe and Ito's colours, told apart with any colour vision and legible on light and dark.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999")
#: Drawn for everything neutral; the page turns it into its own text colour.
_INK = "#7f7f7e"
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tailwise",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.titlesize": 9,
    "axes.titlecolor": _INK,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "text.color": _INK,
    "grid.color": _INK,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.5,
}


def _colours(names: Iterable[str]) -> dict[str, str]:
    return {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(names)}


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(
        out, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None, "Creator": None}
    )
    text = out.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    # the page scales it: a fixed size in points would not fit a narrow window
    return re.sub(r'<svg ([^>]*?)width="[^"]*pt" height="[^"]*pt"', r"<svg \1", text, count=1).replace(
        "<svg ", '<svg role="img" ', 1
    )


def _figure(
    n_columns: int, height: float, *, width: float = 9.0, share_y: bool = False
) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, max(n_columns, 1), squeeze=False, sharey=share_y)[0]
    return figure, list(axes)


def _legend(axis: Axes, **options: Any) -> None:
    """A run that measured nothing has nothing to name."""
    if axis.get_legend_handles_labels()[0]:
        axis.legend(**options)


def attainment(result: RunResult) -> str:
    """Weighted share of jobs on time in each second of arrivals, one line a policy."""
    with rc_context(_STYLE):
        figure, (axis,) = _figure(1, 2.6)
        weight = {q.name: q.weight for q in result.qos}
        for policy, colour in _colours(result.policies).items():
            at_s, offered, on_time = [], [], []
            for block in result.of(policy):
                for record in block.records:
                    at_s.append(block.start_s + record.arrival_s - block.began_s)
                    offered.append(weight[record.qos])
                    on_time.append(weight[record.qos] * record.on_time)
            n_bins = max(1, int(np.ceil(max(at_s, default=1.0))))
            total = np.bincount(np.array(at_s, dtype=int), offered, n_bins)
            good = np.bincount(np.array(at_s, dtype=int), on_time, n_bins)
            share = np.divide(good, total, out=np.full(n_bins, np.nan), where=total > 0)
            axis.stairs(
                share, np.arange(n_bins + 1), baseline=None, color=colour, label=policy, linewidth=1.5
            )
        for block in result.of(result.policies[0])[1:]:
            axis.axvline(block.start_s, color=_INK, linewidth=0.6, linestyle=":")
        axis.set(
            xlabel="seconds of the policy's own time (blocks joined at the dotted lines)", ylim=(0, 1.03)
        )
        axis.set_ylabel("weighted share on time")
        axis.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0))
        return _svg(figure)


def completion(result: RunResult) -> str:
    """Distribution of completion against the deadline, one panel a class; what never completed is missing above."""
    with rc_context(_STYLE):
        figure, axes = _figure(len(result.qos), 2.6, share_y=True)
        for axis, q in zip(axes, result.qos, strict=True):
            for policy, colour in _colours(result.policies).items():
                records = [r for b in result.of(policy) for r in b.records if r.qos == q.name]
                times = np.sort([r.completion_s for r in records if r.end == "completed"])
                if len(times):
                    axis.step(
                        times * 1e3, np.arange(1, len(times) + 1) / len(records), color=colour, label=policy
                    )
            axis.axvline(q.deadline_s * 1e3, color=_INK, linestyle="--", linewidth=1)
            axis.set(
                title=f"{q.name}, deadline {q.deadline_s * 1e3:.0f} ms",
                xlabel="completion, ms",
                ylim=(0, 1.03),
            )
            axis.set_xscale("log")
        axes[0].set_ylabel("share of offered jobs")
        _legend(axes[0], loc="upper left", bbox_to_anchor=(0, 0.9))
        return _svg(figure)


def _forecast(result: RunResult) -> list[JobRecord]:
    records = [r for b in result.of("tailwise") for r in b.records]
    return [r for r in records if r.expected_s is not None and r.end in ("completed", "expired", "failed")]


def prediction(result: RunResult) -> str:
    """Predicted against observed completion of tailwise's jobs."""
    with rc_context(_STYLE):
        figure, (axis,) = _figure(1, 3.4, width=4.4)
        done = [r for r in _forecast(result) if r.end == "completed"]
        for q, colour in zip(result.qos, _COLOURS[4:] + _COLOURS, strict=False):
            expected_s = np.array([r.expected_s for r in done if r.qos == q.name], dtype=float)
            observed_s = np.array([r.completion_s for r in done if r.qos == q.name])
            axis.plot(
                expected_s * 1e3, observed_s * 1e3, ".", color=colour, markersize=3, alpha=0.5, label=q.name
            )
        if done:
            ends = np.array([r.completion_s for r in done]) * 1e3
            axis.plot([ends.min(), ends.max()], [ends.min(), ends.max()], color=_INK, linewidth=1)
            axis.set(xscale="log", yscale="log")
        axis.set(xlabel="predicted completion, ms", ylabel="observed completion, ms")
        _legend(axis, markerscale=3)
        return _svg(figure)


def reliability(result: RunResult) -> str:
    """Claimed P(on time) in bins against the observed share, with one standard error of a binomial."""
    with rc_context(_STYLE):
        figure, (axis,) = _figure(1, 3.4, width=4.4)
        edges = np.array([0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0 + 1e-12])
        axis.plot([0, 1], [0, 1], color=_INK, linewidth=1)
        for q, colour in zip(result.qos, _COLOURS[4:] + _COLOURS, strict=False):
            records = [r for r in _forecast(result) if r.qos == q.name]
            claimed = np.array([r.p_on_time for r in records], dtype=float)
            kept = np.array([r.on_time for r in records], dtype=float)
            bins = np.digitize(claimed, edges)
            points = [
                (claimed[bins == b].mean(), kept[bins == b].mean(), (bins == b).sum())
                for b in np.unique(bins)
            ]
            if points:
                x, y, n = np.array(points).T
                axis.errorbar(
                    x, y, np.sqrt(y * (1 - y) / n), fmt="o-", color=colour, markersize=4, label=q.name
                )
        axis.set(xlabel="claimed P(on time)", ylabel="observed share on time", xlim=(0, 1.02), ylim=(0, 1.03))
        _legend(axis, loc="lower right")
        return _svg(figure)


def shares(result: RunResult) -> str:
    """Where each model's started jobs ran, one panel a policy."""
    with rc_context(_STYLE):
        figure, axes = _figure(len(result.policies), 2.4, share_y=True)
        models = [model["name"] for model in result.models]
        resources = [resource["name"] for resource in result.resources]
        for axis, policy in zip(axes, result.policies, strict=False):
            records = [r for b in result.of(policy) for r in b.records if r.service_s > 0]
            left = np.zeros(len(models))
            totals = np.array([max(1, sum(r.model == m for r in records)) for m in models])
            for resource, colour in _colours(resources).items():
                counts = np.array(
                    [sum(r.model == m and r.resource == resource for r in records) for m in models]
                )
                axis.barh(models, counts / totals, left=left, color=colour, height=0.7, label=resource)
                left += counts / totals
            axis.set(title=policy, xlim=(0, 1), xticks=[0, 0.5, 1], xlabel="share of jobs")
            axis.grid(False, axis="y")
        axes[0].invert_yaxis()
        axes[-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return _svg(figure)


def profiles(result: RunResult) -> str:
    """Median service and its 5-95% band at the typical features over time, one panel a model."""
    with rc_context(_STYLE):
        models = [model["name"] for model in result.models]
        figure, axes = _figure(len(models), 2.6)
        for axis, model in zip(axes, models, strict=False):
            for resource, colour in _colours(r["name"] for r in result.resources).items():
                seen = [s for s in result.sightings if (s.model, s.resource) == (model, resource)]
                if not seen:
                    continue
                at_s = [s.at_s for s in seen]
                low, high = [1e3 * s.low_s for s in seen], [1e3 * s.high_s for s in seen]
                axis.fill_between(at_s, low, high, color=colour, alpha=0.2, linewidth=0)
                label = f"{resource}, n = {seen[-1].n:.0f}"
                axis.plot(at_s, [1e3 * s.median_s for s in seen], color=colour, label=label)
            # the first forecasts of an unknown model span decades: show what it came to
            settled = [s for s in result.sightings if s.model == model and s.n >= 3]
            if settled:
                axis.set_ylim(0.4e3 * min(s.low_s for s in settled), 2.5e3 * max(s.high_s for s in settled))
            axis.set(title=model, yscale="log", xlabel="seconds")
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_formatter(NullFormatter())
            _legend(axis, loc="upper right")
        axes[0].set_ylabel("service, ms")
        return _svg(figure)
