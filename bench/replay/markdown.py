"""Several scenarios in one Markdown table: goodput in percent of the oracle's, as the README shows it."""

from __future__ import annotations

from collections.abc import Sequence

from bench.replay.summary import ORACLE, OURS, Estimate, Summary

__all__ = ["markdown"]

_BARE = ", bare"


def markdown(summaries: Sequence[Summary]) -> str:
    """Scenarios by policies, whichever are more going down; the best policy of a scenario in bold, the oracle left
    out, tailwise with its standard error. A policy that played both with the common layer and bare has "with / bare".

    Where no oracle played the numbers are shares of the jobs on time, in percent.
    """
    policies = list(dict.fromkeys(p for s in summaries for p in s.policies if p != ORACLE))
    rows = [p for p in policies if p.removesuffix(_BARE) not in policies or not p.endswith(_BARE)]
    heads = [f"{p} / bare" if p + _BARE in policies else p for p in rows]
    cells = [[_cell(summary, policy, policies) for policy in rows] for summary in summaries]
    ids = [summary.id for summary in summaries]
    if len(rows) > len(summaries):
        cells, ids, heads = [list(column) for column in zip(*cells, strict=True)], heads, ids
    lines = [["", *heads], ["---"] * (1 + len(heads))]
    lines += [[id, *row] for id, row in zip(ids, cells, strict=True)]
    seeds = dict.fromkeys(summary.seeds_text for summary in summaries)
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    of = "% of the oracle's" if any(ORACLE in summary.policies for summary in summaries) else "%"
    return f"On-time jobs, {of} ({'; '.join(seeds)}):\n\n{text}"


def _cell(summary: Summary, policy: str, policies: Sequence[str]) -> str:
    both = [policy, policy + _BARE] if policy + _BARE in policies else [policy]
    return " / ".join(_text(summary, name) for name in both)


def _text(summary: Summary, policy: str) -> str:
    """Empty where the policy did not play."""
    if policy not in summary.policies:
        return ""
    goodput = _goodput(summary, policy)
    best = max(_goodput(summary, p).mean for p in summary.policies if p != ORACLE)
    text = f"{goodput.mean:.2f}" + (f" ± {goodput.error:.2f}" if policy == OURS and goodput.n > 1 else "")
    return f"**{text}**" if goodput.mean == best else text


def _goodput(summary: Summary, policy: str) -> Estimate:
    if summary.has("of_oracle_pct"):
        return summary.figure(policy, "of_oracle_pct")
    return summary.figure(policy, "on_time").scaled(100.0)
