"""One thing that looks wrong, and how many of them are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

__all__ = ["Finding", "Severity", "worst_first"]

Severity = Literal["error", "warning", "info"]

#: Findings of one kind that are told singly.
ALIKE = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """id: stable. subject: the class, resource, model .. that it is about, "" = the engine."""

    severity: Severity
    id: str
    subject: str
    what: str
    evidence: str
    todo: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def worst_first(found: list[Finding]) -> list[Finding]:
    """Errors before warnings; of many alike a few, the last of which tells how many more there are."""
    return sorted(_few(found), key=lambda one: get_args(Severity).index(one.severity))


def _few(found: list[Finding]) -> Iterator[Finding]:
    alike = Counter(one.id for one in found)
    told: Counter[str] = Counter()
    for one in found:
        told[one.id] += 1
        if told[one.id] == ALIKE < alike[one.id]:
            yield replace(one, evidence=f"{one.evidence}; {alike[one.id] - ALIKE} more are like it")
        elif told[one.id] <= ALIKE:
            yield one
