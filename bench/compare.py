"""Whether one run of bench.replay, or of bench.instructions, is worse than another:
`python -m bench.compare BASE.json HEAD.json`.

The same jobs are behind both, so a difference is paired by seed. A figure of a policy is a regression when its mean
over the seeds is worse by more than its tolerance AND by more than two standard errors of the paired difference (the
first keeps out what nobody would care about, the second what is chance), or when it is gone. Exit code: 0,
1 after a regression, 2 where the files cannot be compared.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from bench import instructions
from bench.replay import record as replay
from bench.replay.summary import Estimate, estimate
from tailwise.errors import TailwiseError

__all__ = ["TOLERANCES", "Change", "Incomparable", "Tolerance", "changes", "main"]

_STANDARD_ERRORS = 2.0


class Incomparable(TailwiseError, ValueError):
    """A file is no record of a bench, or two are not of the same jobs."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """better: which way is. margin: by how much a figure may be worse, in its own unit or, where relative, as a part
    of the base's of the same seed."""

    better: Literal["more", "less", "zero"]
    margin: float
    relative: bool = False

    def worse(self, base: float, head: float) -> float:
        """By how much head is worse, in the margin's unit; negative where it is better."""
        if self.better == "zero":
            return abs(head) - abs(base)
        worse = head - base if self.better == "less" else base - head
        return worse / (abs(base) or 1.0) if self.relative else worse


#: By the figure's name, of the run and of a class alike. Whatever is not named here (counts of jobs, plain goodput
#: beside the weighted one) is not judged.
TOLERANCES: Mapping[str, Tolerance] = {
    # a tenth of a point is what the rules of the queues are told apart by; less is no reason to hold a change up
    "of_oracle_pct": Tolerance("more", 0.1),
    "weighted_goodput_per_s": Tolerance("more", 0.001, relative=True),
    # by class, of fewer jobs each
    "on_time": Tolerance("more", 0.002),
    # beside the share on time, which is judged more sharply: a late answer instead of none may be a choice
    "unanswered": Tolerance("less", 0.01),
    # a median is known to a percent; a p99 of 10,000 jobs rests on 100, a p99.9 on 10 of them, and so do these
    "p50_s": Tolerance("less", 0.02, relative=True),
    "p99_s": Tolerance("less", 0.05, relative=True),
    "p999_s": Tolerance("less", 0.15, relative=True),
    "ttft_p50_s": Tolerance("less", 0.02, relative=True),
    "ttft_p99_s": Tolerance("less", 0.05, relative=True),
    "tpot_p50_s": Tolerance("less", 0.02, relative=True),
    "tpot_p99_s": Tolerance("less", 0.05, relative=True),
    # what is promised is to be within .01 of what happened
    "claim_error": Tolerance("zero", 0.005),
    "ece": Tolerance("less", 0.005),
    # a dead resource is tried by a handful of probes: half a percent of the jobs of an event
    "dead_share": Tolerance("less", 0.005),
    # they are read in bins of half a second
    "recovery_s": Tolerance("less", 0.5),
    "return_s": Tolerance("less", 0.5),
    # the same build gives the same counts, so what is more than a few instructions is a change
    "select_instructions": Tolerance("less", 0.03, relative=True),
    "complete_instructions": Tolerance("less", 0.03, relative=True),
}

_VERSIONS = {replay.FORMAT: replay.VERSION, instructions.FORMAT: instructions.VERSION}


@dataclass(frozen=True, slots=True)
class Change:
    """A judged figure that is not what it was. worse: mean over the paired seeds, in the figure's own unit, or in
    percent where its tolerance is relative; negative where it is better."""

    scenario: str
    policy: str
    figure: str  #: with the class before it, where it is of one
    base: float
    head: float
    worse: Estimate
    verdict: Literal["worse", "better", "within tolerance"]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__.split("\n")[0])
    parser.add_argument("base", type=Path)
    parser.add_argument("head", type=Path)
    parser.add_argument("--all", action="store_true", help="show what changed within its tolerance, too")
    arguments = parser.parse_args(argv)
    try:
        base, head = _read(arguments.base), _read(arguments.head)
        found = list(changes(base, head))
        new = _new(base, head)
    except (Incomparable, OSError) as error:
        print(f"bench.compare: {error}", file=sys.stderr)
        return 2
    console = Console() if sys.stdout.isatty() else Console(width=150)
    count = {v: sum(c.verdict == v for c in found) for v in ("worse", "better", "within tolerance")}
    shown = [c for c in found if arguments.all or c.verdict != "within tolerance"]
    if shown:
        console.print(_table(shown))
    if new:
        console.print(f"only in {arguments.head}, not judged: {', '.join(new)}")
    console.print(", ".join(f"{n} {v}" for v, n in count.items()) if found else "nothing changed")
    return 1 if count["worse"] else 0


def changes(base: Mapping[str, Any], head: Mapping[str, Any]) -> Iterator[Change]:
    """Every judged figure of the base that changed, in its order. Raises Incomparable."""
    of_head = {scenario["id"]: scenario for scenario in head["scenarios"]}
    for scenario in base["scenarios"]:
        id = scenario["id"]
        if id not in of_head:
            raise Incomparable(f"{id} is missing from the head")
        other = _by_policy(of_head[id])
        for policy, trials in _by_policy(scenario).items():
            if policy not in other:
                raise Incomparable(f"{id}: policy {policy!r} is missing from the head")
            _same_jobs(id, trials, other[policy])
            for figure in dict.fromkeys(name for t in trials.values() for name in _flat(t)):
                change = _change(id, policy, figure, trials, other[policy])
                if change is not None:
                    yield change


def _change(
    id: str, policy: str, figure: str, base: Mapping[int, Any], head: Mapping[int, Any]
) -> Change | None:
    tolerance = TOLERANCES.get(figure.rpartition(": ")[2])
    if tolerance is None:
        return None
    # where a figure exists on one side only (a quantile of nothing), that seed says nothing of a change
    pairs = [
        (before, after)
        for seed, trial in base.items()
        if (before := _flat(trial).get(figure)) is not None
        and (after := _flat(head[seed]).get(figure)) is not None
    ]
    if not pairs:
        had = estimate(value for t in base.values() if (value := _flat(t).get(figure)) is not None)
        return Change(id, policy, figure, had.mean, math.nan, estimate([]), "worse")
    if all(before == after for before, after in pairs):
        return None
    worse = estimate(tolerance.worse(before, after) for before, after in pairs)
    noise = _STANDARD_ERRORS * (0.0 if math.isnan(worse.error) else worse.error)
    clear = abs(worse.mean) > max(tolerance.margin, noise)
    before, after = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
    return Change(
        scenario=id,
        policy=policy,
        figure=figure,
        base=before,
        head=after,
        worse=worse.scaled(100.0) if tolerance.relative else worse,
        verdict="within tolerance" if not clear else "worse" if worse.mean > 0 else "better",
    )


def _same_jobs(id: str, base: Mapping[int, Any], head: Mapping[int, Any]) -> None:
    if base.keys() != head.keys():
        raise Incomparable(
            f"{id}: seeds {sorted(base)} of the base are not those of the head, {sorted(head)}"
        )
    for seed, trial in base.items():
        for name, value in trial["world"].items():
            other = head[seed]["world"].get(name, math.nan)
            # sums of floats differ by a little from machine to machine
            if not math.isclose(value, other, rel_tol=1e-6):
                raise Incomparable(
                    f"{id}, seed {seed}: not the same jobs ({name} {value:g} in the base, {other:g} in the head)"
                )


def _by_policy(scenario: Mapping[str, Any]) -> dict[str, dict[int, Any]]:
    """Trials by policy and seed."""
    result: dict[str, dict[int, Any]] = {}
    for trial in scenario["trials"]:
        result.setdefault(trial["policy"], {})[trial["seed"]] = trial
    return result


def _flat(trial: Mapping[str, Any]) -> dict[str, float]:
    """Figures of the run by name, those of a class as "class: name"."""
    flat = dict(trial["figures"])
    for qos, figures in trial["classes"].items():
        flat |= {f"{qos}: {name}": value for name, value in figures.items()}
    return flat


def _new(base: Mapping[str, Any], head: Mapping[str, Any]) -> list[str]:
    """Scenarios and policies that only the head has."""
    known = {scenario["id"]: _by_policy(scenario) for scenario in base["scenarios"]}
    new = []
    for scenario in head["scenarios"]:
        id = scenario["id"]
        if id not in known:
            new.append(id)
        else:
            new += [f"{policy} in {id}" for policy in _by_policy(scenario) if policy not in known[id]]
    return new


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Incomparable(f"{path}: not JSON ({error})") from None
    known = isinstance(data, dict) and isinstance(data.get("format"), str)
    version = _VERSIONS.get(data["format"]) if known else None
    if version is None:
        raise Incomparable(f"{path}: not a record of bench.replay or bench.instructions (--json F)")
    if data.get("version") != version:
        raise Incomparable(f"{path}: version {data.get('version')}, this reads {version}")
    for scenario in data.get("scenarios", []):
        for trial in scenario.get("trials", []):
            if missing := {"policy", "seed", "world", "figures", "classes"} - trial.keys():
                raise Incomparable(
                    f"{path}: a trial of {scenario.get('id')} lacks {', '.join(sorted(missing))}"
                )
    return data


def _table(found: Sequence[Change]) -> Table:
    table = Table("scenario", "policy", "figure", title="Changes, base to head", title_justify="left")
    for heading in ("base", "head", "worse by"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for c in found:
        percent = "%" if TOLERANCES[c.figure.rpartition(": ")[2]].relative else ""
        error = "" if math.isnan(c.worse.error) else f" ± {c.worse.error:.2g}"
        table.add_row(
            c.scenario,
            c.policy,
            c.figure,
            f"{c.base:.5g}",
            "gone" if math.isnan(c.head) else f"{c.head:.5g}",
            "" if math.isnan(c.worse.mean) else f"{c.worse.mean:+.3g}{error}{percent}",
            c.verdict,
            style="bold red" if c.verdict == "worse" else "",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
