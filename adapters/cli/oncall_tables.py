"""What the on-call commands print, from the admin port's JSON."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

__all__ = ["decision", "finding", "picture"]

_COLOURS = {"error": "red", "warning": "yellow", "info": "cyan"}


def picture(told: Mapping[str, Any]) -> RenderableType:
    """Of a snapshot: a line on the engine, classes, resources."""
    engine = told["engine"]
    part = f" for {engine['rollout']:.0%}" if engine["mode"] == "active" and engine["rollout"] < 1.0 else ""
    at = time.strftime("%H:%M:%S", time.localtime(told["at_s"]))
    head = Text.assemble(
        (
            f"{engine['mode']}{part}",
            "bold green" if engine["mode"] == "active" and not part else "bold yellow",
        ),
        f", {engine['in_flight']} in flight, {at}",
    )
    left_out = told["left_out"]
    more = [Text(f"{left_out} more resources are not shown", "dim")] if left_out else []
    return Group(head, _classes(told["classes"]), _resources(told), *more)


def decision(told: Mapping[str, Any]) -> RenderableType:
    """One decision: what was asked and decided, and the candidates where they are kept."""
    what = f"refused ({told['reason']})" if told["reason"] else _sent(told)
    at = time.strftime("%H:%M:%S", time.localtime(told["at_s"]))
    request = f", request {told['request_id']}" if told["request_id"] else ""
    again = f"; a job like it would be taken in {_s(told['retry_after_s'])}" if told["retry_after_s"] else ""
    head = Text.assemble(
        (f"{at} {told['number']}: ", "dim"),
        (f"{told['model']} in class {told['qos']}: {what}", "bold"),
        f"{request}; {_s(told['left_s'])} left, best P(on time) {_p(told['p_on_time'])}{again}",
    )
    explanation = told.get("explanation")
    if explanation is None:
        return Group(head, Text("  its candidates were not kept: that is done for a few a second", "dim"), "")
    heading, *rows = explanation["cells"]
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, name in enumerate(heading):
        table.add_column(name, justify="right" if 0 < i < len(heading) - 1 else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    return Group(head, table)


def _sent(told: Mapping[str, Any]) -> str:
    preferred = told["preferred"]
    other = f" (tailwise would have taken {preferred})" if preferred not in (None, told["resource"]) else ""
    return f"to {told['resource']}{other}, {told['end'] or 'open'}"


def finding(told: Mapping[str, Any]) -> RenderableType:
    subject = f" {told['subject']}:" if told["subject"] else ""
    return Text.assemble(
        (f"{told['severity']}:", f"bold {_COLOURS[told['severity']]}"),
        (subject, "bold"),
        f" {told['what']} ({told['evidence']})\n    {told['todo']}",
    )


def _classes(classes: list[Mapping[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("class", no_wrap=True)
    for name in (
        "jobs/s",
        "on time, %",
        "target",
        "refused, %",
        "claimed",
        "observed",
        "headroom, %",
        "open",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("refused for, ever")
    for c in classes:
        promise, jobs = c["certificate"], c["jobs"]
        claim = Text(_share(promise["claimed"]), "red" if promise["disagree"] else "")
        told: list[str | Text]
        if jobs is None:
            told, rest = ["", Text(""), "", ""], ("", "")
        else:
            recent = jobs["recent"]
            kept, offered = recent["attainment"], recent["offered"]
            short = kept is not None and kept < c["on_time"]
            told = [
                f"{offered / 60:.1f}",
                Text(_share(kept), "bold red" if short else "bold green"),
                _share(c["on_time"]),
                _share(recent["refused"] / offered if offered else None),
            ]
            reasons = sorted(jobs["refused"].items(), key=lambda one: -one[1])
            rest = (str(jobs["open"]), ", ".join(f"{reason} {n}" for reason, n in reasons))
        headroom = "-" if c["headroom"] is None else f"{100 * c['headroom']:.0f}"
        table.add_row(Text(c["name"]), *told, claim, _share(promise["on_time"]), headroom, *rest)
    return table


def _resources(told: Mapping[str, Any]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("resource", no_wrap=True)
    table.add_column("state")
    for name in ("share", "running", "queued", "wait", "median", "p99", "results", "changes"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("profile", no_wrap=True)
    for r in told["resources"]:
        first = True
        for profile in r["profiles"] or [None]:
            mine = _load(r) if first else [""] * 6
            table.add_row(*mine, *_profile(profile, r["alarms"] if first else None))
            first = False
    return table


def _load(r: Mapping[str, Any]) -> list[Any]:
    place = r["slots"] or r["max_running"]
    waits = [seconds for seconds in r["wait_s"].values() if seconds is not None]
    share = "" if r["share"] is None else f"{r['share']:.0%}"
    return [
        Text(r["name"]),
        _state(r),
        share,
        f"{r['running']}/{place}",
        str(r["queued"]),
        _s(min(waits, default=None)),
    ]


def _profile(profile: Mapping[str, Any] | None, alarms: int | None) -> list[Any]:
    changes = "" if alarms is None else str(alarms)
    if profile is None:
        return ["", "", "", changes, Text("runs no model", "dim")]
    name = profile["model"] if profile["signal"] == "service" else f"{profile['model']} {profile['signal']}"
    source = "" if profile["source"] == "data" else f" ({profile['source']})"
    figures = [_s(profile["median_s"]), _s(profile["p99_s"]), str(profile["n_results"])]
    return [*figures, changes, Text(name + source, "dim")]


def _state(r: Mapping[str, Any]) -> Text:
    health, states = r["health"], []
    if health["state"] != "closed":
        states.append(Text(f"ejected, probe in {_s(health['retry_in_s'])}", "bold red"))
    if r["overdue"]:
        states.append(Text(f"{r['overdue']} overdue", "bold red"))
    if r["drained"]:
        states.append(Text("drained", "yellow"))
    return Text(", ").join(states) if states else Text("up", "green")


def _s(seconds: float | None) -> str:
    """Three digits, in the unit that suits."""
    if seconds is None:
        return "-"
    for unit, scale in (("s", 1.0), ("ms", 1e3)):
        if seconds * scale >= 1.0:
            return (
                f"{seconds * scale:.3g} {unit}"
                if seconds * scale < 1000.0
                else f"{seconds * scale:.0f} {unit}"
            )
    return f"{seconds * 1e6:.3g} us" if seconds else "0"


def _p(probability: float | None) -> str:
    return "-" if probability is None else f"{probability:.3f}"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
