"""The plots of the page, each from summaries to an inline SVG; means over the seeds."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray

from bench.replay.summary import ORACLE, OURS, Summary
from bench.replay.trial import COMPLETION_S, Curves
from tailwise.adapters.cli.canvas import INK, Canvas, drawing, policy_colours
from tailwise.adapters.cli.claims import diagonal, draw_claims

__all__ = ["against_load", "claims", "completion", "drawn", "lines", "regret", "timeline"]

#: Policies that a plot shows beside the oracle: as many as there are colours.
_N_DRAWN = 6
#: Of the offered jobs: a curve is cut where it rests on a handful of them.
_LEAST_SHARE = 2e-4
#: Deadlines that an axis of completion times reaches at most; what is later is as good as never.
_BEYOND = 8.0
#: Below this ratio of its ends a logarithmic axis needs more ticks than its decades.
_FEW_DECADES = 30.0
_LEAST_PANELS = 3
#: Jobs behind the oracle up to which the axis of regret is linear.
_FEW_JOBS = 10.0
_NUMBER = re.compile(r"(?<=\.)(\d+)(?=\.|$)")


def drawn(summaries: Sequence[Summary]) -> list[str]:
    """What the plots show of policies that played all of these: tailwise, the oracle, and the best of the others."""
    common = [p for p in summaries[0].policies if all(p in s.policies for s in summaries)]
    rank = {p: float(np.mean([s.ranked().index(p) for s in summaries])) for p in common}
    ours = [p for p in common if p == OURS or p.startswith(f"{OURS},")]
    others = sorted((p for p in common if p not in ours and p != ORACLE), key=lambda p: rank[p])
    return [*ours, *others][:_N_DRAWN] + [p for p in common if p == ORACLE]


def lines(policies: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Line properties of each: a colour, tailwise thicker and in front; the oracle neutral and dashed."""
    colours = policy_colours([p for p in policies if p != ORACLE])
    style: dict[str, dict[str, Any]] = {
        p: {"color": colour, "linewidth": 2.2 if p == OURS else 1.3, "zorder": 3 if p == OURS else 2}
        for p, colour in colours.items()
    }
    if ORACLE in policies:
        style[ORACLE] = {"color": INK, "linewidth": 1.3, "linestyle": (0, (4, 1.5)), "zorder": 2}
    return style


def against_load(summaries: Sequence[Summary], policies: Sequence[str]) -> str | None:
    """Goodput in percent of the oracle's against the number in the ids, a panel for ids that differ in it alone.

    None where no two do. One standard error over the seeds is drawn as a bar.
    """
    families: dict[tuple[str, str], list[tuple[float, Summary]]] = {}
    for s in summaries:
        if number := _NUMBER.search(s.id):
            what = s.id[: number.start() - 1].rpartition(".")[2]
            family = _NUMBER.sub("*", s.id, count=1)
            families.setdefault((family, what), []).append((float(number[1]), s))
    families = {key: sorted(of, key=lambda pair: pair[0]) for key, of in families.items() if len(of) > 1}
    if not families:
        return None
    with drawing("against-load"):
        canvas = Canvas(min(len(families), 4), 2.9)
        for axis, ((family, what), of) in zip(canvas.panels, families.items(), strict=False):
            name = "of_oracle_pct" if of[0][1].has("of_oracle_pct") else "on_time"
            scale = 1.0 if name == "of_oracle_pct" else 100.0
            for policy, style in lines(policies).items():
                points = [s.figure(policy, name).scaled(scale) for _, s in of]
                errors = [0.0 if math.isnan(e.error) else e.error for e in points]
                axis.errorbar(
                    [at for at, _ in of], [e.mean for e in points], errors, marker=".", label=policy, **style
                )
            axis.set(title=family, xlabel=f"{what}, %" if what == "load" else what)
        for axis in canvas.first_of_row:
            axis.set_ylabel("goodput, % of the oracle's" if scale == 1.0 else "on time, %")
        canvas.legend_above(canvas.panels[0])
        return canvas.svg("Goodput in percent of the oracle's against the load, by policy")


def completion(summary: Summary, policies: Sequence[str]) -> str:
    """Share of the offered jobs that still wait for an answer after a time, a panel a class; logarithmic."""
    with drawing(f"completion-{summary.id}"):
        canvas = Canvas(len(summary.classes), 2.7, share_y=True)
        awaited = _curves(summary, policies[0])[0].awaited
        for axis, qos in zip(canvas.panels, summary.classes, strict=True):
            deadline_s = _curves(summary, policies[0])[0].deadline_s[qos]
            low_s, high_s = deadline_s / _BEYOND, 2.0 * deadline_s
            for policy, style in lines(policies).items():
                done = np.mean([c.completed[qos] for c in _curves(summary, policy)], axis=0)
                axis.plot(1e3 * COMPLETION_S, np.maximum(1.0 - done, 1e-9), label=policy, **style)
                # from where the first percent is done to where hardly any more is coming
                inside = COMPLETION_S[(done >= 0.01) & (done < done[-1] - _LEAST_SHARE)]
                low_s, high_s = min([low_s, *inside[:1]]), max([high_s, *inside[-1:]])
            high_s = min(high_s, _BEYOND * deadline_s)
            axis.axvline(1e3 * deadline_s, color=INK, linestyle="--", linewidth=1)
            axis.set(
                title=f"{qos}, deadline {1e3 * deadline_s:g} ms",
                xlabel="milliseconds since arrival",
                xscale="log",
                yscale="log",
                xlim=(1e3 * low_s, 1e3 * high_s),
                ylim=(_LEAST_SHARE, 1.2),
            )
            if high_s < _FEW_DECADES * low_s:
                axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.xaxis.set_major_formatter("{x:g}")
            axis.xaxis.set_minor_formatter("")
            axis.yaxis.set_major_formatter("{x:g}")
        for axis in canvas.first_of_row:
            axis.set_ylabel(f"share without {awaited}")
        canvas.legend_above(canvas.panels[0])
        return canvas.svg(f"Share of offered jobs without {awaited} after a time, by class and policy")


def claims(summary: Summary, policies: Sequence[str]) -> str | None:
    """Claimed P(on time) in bins against the observed share, all seeds together; None where nobody claims."""
    telling = [p for p in policies if any(c.claims for c in _curves(summary, p))]
    if not telling:
        return None
    with drawing(f"claims-{summary.id}"):
        # a single class would be a panel as wide as the page
        canvas = Canvas(max(_LEAST_PANELS, len(summary.classes)), 2.8, share_x=True, share_y=True)
        for spare in canvas.panels[len(summary.classes) :]:
            spare.set_axis_off()
        colours = lines(policies)
        for axis, qos in zip(canvas.panels, summary.classes, strict=False):
            diagonal(axis, qos)
            for policy in telling:
                first, *more = [c.claims[qos] for c in _curves(summary, policy) if qos in c.claims] or [None]
                if first is None:
                    continue
                for other in more:
                    first = first + other
                draw_claims(axis, first, colours[policy]["color"], label=policy)
        for axis in canvas.first_of_row:
            axis.set_ylabel("observed share on time")
        canvas.legend_above(canvas.panels[0])
        return canvas.svg("Claimed probability of being on time against the observed share, by class")


def timeline(summary: Summary, policies: Sequence[str]) -> str | None:
    """Weighted share on time of the jobs that arrived in each half second, events shaded; None without any."""
    if not _curves(summary, policies[0])[0].shades:
        return None
    with drawing(f"timeline-{summary.id}"):
        canvas = Canvas(1, 2.9)
        (axis,) = canvas.panels
        lowest = 1.0
        for policy, style in lines(policies).items():
            on_time, offered, bin_s = _summed(summary, policy)
            share = np.divide(on_time, offered, out=np.full(len(offered), np.nan), where=offered > 0)
            lowest = min(lowest, float(np.nanmin(share)))
            axis.plot(bin_s * (np.arange(len(share)) + 0.5), share, label=policy, **style)
        axis.set(ylabel="share on time", ylim=(max(0.0, lowest - 0.02), 1.005))
        _shade(axis, summary, policies)
        canvas.legend_above(axis)
        return canvas.svg("Share of jobs on time over time, by policy, events shaded")


def regret(summary: Summary, policies: Sequence[str]) -> str | None:
    """Cumulative weighted on-time jobs that a policy is behind the oracle; None where the oracle did not play."""
    if ORACLE not in policies:
        return None
    with drawing(f"regret-{summary.id}"):
        canvas = Canvas(1, 2.7)
        (axis,) = canvas.panels
        best, _, bin_s = _summed(summary, ORACLE)
        style: Mapping[str, Any]
        for policy, style in lines(policies).items():
            on_time, _, _ = _summed(summary, policy)
            behind = np.concatenate([[0.0], np.cumsum(best - on_time)]) / len(summary.seeds)
            axis.plot(bin_s * np.arange(len(behind)), behind, label=policy, **style)
        # the best are hundreds behind where the worst are thousands; a policy may be ahead for a while
        axis.set_yscale("symlog", linthresh=_FEW_JOBS)
        axis.yaxis.set_major_formatter("{x:g}")
        axis.set(ylabel="jobs behind the oracle")
        _shade(axis, summary, policies)
        canvas.legend_above(axis)
        return canvas.svg("Cumulative on-time jobs behind the oracle over time, by policy")


def _shade(axis: Axes, summary: Summary, policies: Sequence[str]) -> None:
    """Marks the spans of the first seed; all seeds have them at the same times."""
    labels: dict[float, list[str]] = {}
    for shade in _curves(summary, policies[0])[0].shades:
        axis.axvspan(shade.start_s, shade.end_s, color=INK, alpha=0.13, linewidth=0, zorder=0)
        labels.setdefault(shade.start_s, []).append(shade.label)
    for start_s, of_start in labels.items():
        # over the frame, where no line is
        place = (start_s, 1.0)
        axis.annotate(
            ", ".join(of_start), place, (2, 3), xycoords=axis.get_xaxis_transform(),
            textcoords="offset points", fontsize=8,
        )  # fmt: skip
    axis.set_xlabel("seconds")
    axis.margins(x=0)
    axis.set_xlim(0.0, max(len(c.offered) * c.bin_s for c in _curves(summary, policies[0])))
    axis.grid(False, axis="x")


def _summed(summary: Summary, policy: str) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """On-time and offered weight in each bin, over all seeds; runs that are shorter count as empty from there on."""
    of = _curves(summary, policy)
    n_bins = max(len(c.offered) for c in of)
    on_time, offered = np.zeros(n_bins), np.zeros(n_bins)
    for c in of:
        on_time[: len(c.on_time)] += c.on_time
        offered[: len(c.offered)] += c.offered
    return on_time, offered, of[0].bin_s


def _curves(summary: Summary, policy: str) -> list[Curves]:
    return [trial.curves for trial in summary.of(policy) if trial.curves is not None]
