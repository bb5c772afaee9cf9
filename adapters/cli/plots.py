"""The six plots of a run's page, each from the run to an inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tailwise.adapters.cli.canvas import (
    INK,
    Canvas,
    drawing,
    legend,
    policy_colours,
    resource_colours,
    resource_kinds,
)
from tailwise.adapters.cli.claims import claim_bins, diagonal, draw_claims
from tailwise.adapters.cli.results import Block, RunResult, Sighting
from tailwise.adapters.torch.job import JobRecord

# matplotlib is first imported in canvas, whose error names the extra that brings it
if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "attainment",
    "completion",
    "prediction",
    "profiles",
    "reliability",
    "share_by_second",
    "shares",
]

_OURS = policy_colours(["tailwise"])["tailwise"]
#: Dots drawn of a class; more only make the page heavy.
_MAX_DOTS = 600


def attainment(result: RunResult) -> str:
    """Weighted share of jobs on time in each second of arrivals, one line a policy."""
    with drawing("attainment"):
        canvas = Canvas(1, 2.7)
        (axis,) = canvas.panels
        weight = {q.name: q.weight for q in result.qos}
        lowest = 1.0
        for policy, colour in policy_colours(result.policies).items():
            share, edges_s = share_by_second(result.of(policy), weight)
            lowest = float(np.nanmin(share, initial=lowest))
            ours = policy == "tailwise"
            axis.stairs(
                share,
                edges_s,
                baseline=None,
                color=colour,
                label=policy,
                linewidth=2.2 if ours else 1.2,
                zorder=3 if ours else 2,
            )
        for block in result.of(result.policies[0])[1:]:
            axis.axvline(block.start_s, color=INK, linewidth=0.8, linestyle=":")
        axis.set(
            xlabel="seconds of the policy's own time",
            ylabel="weighted share on time",
            ylim=(max(0.0, math.floor(10 * lowest - 0.5) / 10), 1.01),
        )
        axis.locator_params(axis="x", nbins=10, integer=True)
        axis.margins(x=0)
        axis.grid(False, axis="x")
        canvas.legend_above(axis)
        return canvas.svg("Weighted share of jobs on time over time, by policy")


def completion(result: RunResult) -> str:
    """Distribution of completion against the deadline, one panel a class; what never completed is missing above."""
    with drawing("completion"):
        canvas = Canvas(len(result.qos), 2.6, share_y=True)
        for axis, q in zip(canvas.panels, result.qos, strict=True):
            axis.axvline(q.deadline_s * 1e3, color=INK, linestyle="--", linewidth=1)
            for policy, colour in policy_colours(result.policies).items():
                records = [r for b in result.of(policy) for r in b.records if r.qos == q.name]
                times_ms = np.sort([1e3 * r.completion_s for r in records if r.end == "completed"])
                # drawn even when empty, so that the legend names every policy
                share = np.arange(1, len(times_ms) + 1) / max(1, len(records))
                axis.step(times_ms, share, where="post", color=colour, label=policy)
            axis.set(
                title=f"{q.name}, deadline {q.deadline_s * 1e3:.0f} ms",
                xlabel="completion, ms",
                ylim=(0, 1.03),
                xscale="log",
            )
            axis.xaxis.set_major_formatter("{x:g}")
        for axis in canvas.first_of_row:
            axis.set_ylabel("share of offered jobs")
        canvas.legend_above(canvas.panels[0])
        return canvas.svg("Share of offered jobs completed within a time, by class and policy")


def prediction(result: RunResult) -> str:
    """Predicted against observed completion of tailwise's completed jobs, one panel a class."""
    with drawing("prediction"):
        canvas = Canvas(len(result.qos), 2.8, share_x=True, share_y=True)
        done = [r for r in _forecast(result) if r.end == "completed"]
        low, high = _range_ms([r.completion_s for r in done])
        for axis, q in zip(canvas.panels, result.qos, strict=True):
            records = [r for r in done if r.qos == q.name]
            drawn = records[:: -(-len(records) // _MAX_DOTS) or 1]
            axis.plot([low, high], [low, high], color=INK, linewidth=1)
            if drawn:
                axis.plot(
                    np.clip(np.array([r.expected_s for r in drawn], dtype=float) * 1e3, low, high),
                    [1e3 * r.completion_s for r in drawn],
                    ".",
                    color=_OURS,
                    markersize=3.5,
                    markeredgewidth=0,
                    alpha=0.55,
                    clip_on=False,
                )
            axis.set(
                title=f"{q.name}, {len(records)} jobs",
                xlabel="predicted completion, ms",
                xscale="log",
                yscale="log",
                xlim=(low, high),
                ylim=(low, high),
            )
            axis.xaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_major_formatter("{x:g}")
        for axis in canvas.first_of_row:
            axis.set_ylabel("observed completion, ms")
        return canvas.svg("Predicted against observed completion of tailwise's jobs, by class")


def reliability(result: RunResult) -> str:
    """Claimed P(on time) in bins against the observed share with its 95% interval, one panel a class."""
    with drawing("reliability"):
        canvas = Canvas(len(result.qos), 2.8, share_x=True, share_y=True)
        for axis, q in zip(canvas.panels, result.qos, strict=True):
            records = [r for r in _forecast(result) if r.qos == q.name]
            claimed = np.array([r.p_on_time for r in records], dtype=float)
            kept = np.array([r.on_time for r in records], dtype=float)
            diagonal(axis, q.name)
            draw_claims(axis, claim_bins(claimed, kept), _OURS)
        for axis in canvas.first_of_row:
            axis.set_ylabel("observed share on time")
        return canvas.svg("Claimed probability of being on time against the observed share, by class")


def shares(result: RunResult) -> str:
    """Where each model's started jobs ran, one panel a policy."""
    with drawing("shares"):
        models = [model["name"] for model in result.models]
        kinds = resource_kinds(resource["name"] for resource in result.resources)
        canvas = Canvas(len(result.policies), 1.25 + 0.27 * len(models), share_y=True)
        for axis, policy in zip(canvas.panels, result.policies, strict=True):
            records = [r for b in result.of(policy) for r in b.records]
            started = [(r.model, r.resource) for r in records if r.resource is not None and r.service_s > 0]
            left = np.zeros(len(models))
            for kind, colour in resource_colours(kinds).items():
                part = np.array(
                    [_share_of(kinds[kind], [r for m, r in started if m == name]) for name in models]
                )
                axis.barh(models, part, left=left, color=colour, height=0.66, label=kind)
                left += part
            axis.set(title=policy, xlim=(0, 1), xticks=[0, 0.5, 1], xlabel="share of started jobs")
            axis.set_xticklabels(["0", "0.5", "1"])
            axis.grid(False, axis="y")
            axis.tick_params(axis="y", length=0)
        canvas.panels[0].invert_yaxis()
        canvas.legend_above(canvas.panels[0])
        return canvas.svg("Share of each model's jobs by resource, by policy")


def profiles(result: RunResult) -> str:
    """Median service and its 5-95% band at the typical features over time, one panel a model."""
    with drawing("profiles"):
        models = [model["name"] for model in result.models]
        kinds = resource_kinds(resource["name"] for resource in result.resources)
        canvas = Canvas(len(models), 2.7)
        for axis, model in zip(canvas.panels, models, strict=True):
            of_model = [s for s in result.sightings if s.model == model]
            for kind, colour in resource_colours(kinds).items():
                _profile_kind(axis, [s for s in of_model if s.resource in kinds[kind]], colour, kind)
            axis.set(title=model, yscale="log", xlabel="seconds")
            # the first forecasts of an unknown model span decades: show what it came to
            settled = [s for s in of_model if s.n >= 3]
            if settled:
                low, high = 0.8e3 * min(s.low_s for s in settled), 1.2e3 * max(s.high_s for s in settled)
                # the legend stands above: a line of it takes about a twelfth of the panel
                legend_share = min(0.6, 0.04 + len(kinds) / 12)
                axis.set_ylim(low, low * (high / low) ** (1 / (1 - legend_share)))
            axis.yaxis.set_major_formatter("{x:g}")
            axis.margins(x=0)
            axis.set_xlim(left=0)
            legend(axis, loc="upper right", handlelength=1.2, borderaxespad=0)
        for axis in canvas.first_of_row:
            axis.set_ylabel("service, ms")
        return canvas.svg("Believed service time over time, by model and resource")


def _profile_kind(axis: Axes, sightings: Sequence[Sighting], colour: str, name: str) -> None:
    """The profiles of one model on the copies of one kind of resource: a line and a band each, one entry named."""
    by_resource: dict[str, list[Sighting]] = {}
    for s in sightings:
        by_resource.setdefault(s.resource, []).append(s)
    counts = sorted(seen[-1].n for seen in by_resource.values())
    n = "" if not counts else f"{counts[0]:.0f}"
    n += f" to {counts[-1]:.0f}" if len(counts) > 1 else ""
    for i, seen in enumerate(by_resource.values()):
        at_s = [s.at_s for s in seen]
        low_ms, high_ms = [1e3 * s.low_s for s in seen], [1e3 * s.high_s for s in seen]
        axis.fill_between(at_s, low_ms, high_ms, color=colour, alpha=0.2 / len(by_resource), linewidth=0)
        # an entry without a name stays out of the legend
        label = "" if i else f"{name}, n = {n}"
        axis.plot(at_s, [1e3 * s.median_s for s in seen], color=colour, label=label)


def share_by_second(
    blocks: Sequence[Block], weight: dict[str, float]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Weighted share on time in each bin (NaN without a job), and the bins' edges in seconds.

    blocks: of one policy, at least one. weight: by class. Jobs count where they arrived. A last bin shorter than a
    second joins the one before it, since a handful of jobs is only noise.
    """
    end_s = max(block.start_s + block.seconds for block in blocks)
    n_bins = max(1, int(end_s + 1e-6))
    # a job submitted a little after its block's end still belongs to that block, not to the next one's first bin
    at_s = [
        b.start_s + min(r.arrival_s - b.began_s, math.nextafter(b.seconds, 0.0))
        for b in blocks
        for r in b.records
    ]
    offered = [weight[r.qos] for b in blocks for r in b.records]
    on_time = [weight[r.qos] * r.on_time for b in blocks for r in b.records]
    index = np.clip(np.array(at_s, dtype=int), 0, n_bins - 1)
    total, good = np.bincount(index, offered, n_bins), np.bincount(index, on_time, n_bins)
    share = np.divide(good, total, out=np.full(n_bins, np.nan), where=total > 0)
    return share, np.append(np.arange(n_bins, dtype=float), end_s)


def _forecast(result: RunResult) -> list[JobRecord]:
    """Jobs whose forecast can be held against what came; a refused job never showed what it would have taken."""
    return [
        r
        for b in result.of("tailwise")
        for r in b.records
        if r.expected_s is not None
        and r.p_on_time is not None
        and r.end in ("completed", "expired", "failed")
    ]


def _range_ms(completions_s: Sequence[float]) -> tuple[float, float]:
    if not completions_s:
        return 1.0, 1000.0
    return 0.7e3 * min(completions_s), 1.4e3 * max(completions_s)


def _share_of(wanted: Sequence[str], names: Sequence[str]) -> float:
    return sum(name in wanted for name in names) / len(names) if names else 0.0
