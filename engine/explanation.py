"""Why a job goes where it goes: every candidate's numbers, as the decision compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from tailwise.qos import QoS
from tailwise.types import Model, Resource

__all__ = ["Candidate", "Explanation"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate's numbers for one request; seconds, probabilities in [0, 1]."""

    resource: Resource
    #: what plain choices minimise: (wait + median service, and that once more for each job that waits there, by how
    #: urgent it is against this one) / availability + offset; ten times as much where this one would not be in time
    rank_s: float
    score: float  #: what the class's objective minimises: rank_s, expected money or joules
    wait_s: float
    service_s: float
    ln_service: float  #: location of ln(service seconds)
    spread: float  #: scale of ln(service seconds)
    dof: float
    availability: float
    p_on_time: float  #: the claim
    p_raw: float  #: by the forecast alone: what choices compare
    propensity: float  #: chance that the choice falls on it; under "thompson" from 256 draws
    excluded: str | None  #: what keeps it out: a bound, "drained" or "ejected"; None = nothing does
    features: NDArray[np.float64]  #: encoded (d,)
    throughput_per_s: float  #: items per busy second, this job counted in: what min_throughput bounds
    # of models with two signals, whose service is the time to the first token:
    tpot_s: float | None = None  #: expected seconds per token
    ln_tpot: float | None = None  #: location and scale of ln(seconds per token)
    tpot_spread: float | None = None
    tokens: float | None = None  #: expected tokens of the answer
    busy_s: float | None = None  #: expected seconds from start to end
    tpot_bound_s: float | None = None  #: the smallest of this job's tpot_s and its open jobs'; inf = none


@dataclass(frozen=True, slots=True)
class Explanation(Sequence[Candidate]):
    """The candidates that a decision chooses from, best score first, and those that something keeps out.

    `str()` is a table; notebooks show one too. It is a sequence of the candidates that are left.
    """

    model: str
    qos: str
    candidates: tuple[Candidate, ...]
    excluded: tuple[Candidate, ...]
    verdict: str | None = None  #: what was decided; None for a peek
    recomputed: bool = (
        False  #: only the chosen candidate's numbers are those of the decision, the others are of now
    )

    @classmethod
    def of(
        cls,
        model: Model,
        qos: QoS,
        rows: Sequence[Mapping[str, Any]],
        resources: Sequence[Resource | None],
        **seen: Any,
    ) -> Explanation:
        """rows: as `RouteCore._forecasts` returns them; resources by lane, None = removed since, and left out."""
        numbers = [{name: value for name, value in row.items() if name != "lane"} for row in rows]
        there = [resources[row["lane"]] for row in rows]
        all_of_them = sorted(
            (Candidate(resource=r, **n) for r, n in zip(there, numbers, strict=True) if r is not None),
            key=lambda c: (c.score, c.rank_s),
        )
        return cls(
            model.name,
            qos.name,
            tuple(c for c in all_of_them if c.excluded is None),
            tuple(c for c in all_of_them if c.excluded is not None),
            **seen,
        )

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Candidate, ...]: ...
    def __getitem__(self, index: int | slice) -> Candidate | tuple[Candidate, ...]:
        return self.candidates[index]

    def __len__(self) -> int:
        return len(self.candidates)

    @property
    def title(self) -> str:
        """One line: what was asked, what was decided, whether the numbers are still those of then."""
        note = " (recomputed now, without the call's mask and given columns)" if self.recomputed else ""
        return f"{self.model!r} in class {self.qos!r}: {self.verdict or 'nothing decided'}{note}"

    def cells(self) -> Sequence[tuple[str, ...]]:
        """The table as texts, its heading first."""
        heading = ("resource", "wait s", "service s", "P(on time)", "score", "propensity", "excluded by")
        return [heading] + [
            (
                c.resource.name,
                f"{c.wait_s:.4g}",
                f"{c.service_s:.4g}",
                f"{c.p_on_time:.4f}",
                f"{c.score:.4g}",
                f"{c.propensity:.3f}",
                c.excluded or "",
            )
            for c in (*self.candidates, *self.excluded)
        ]

    def __str__(self) -> str:
        cells = self.cells()
        widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
        lines = (
            "  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)).rstrip() for row in cells
        )
        return "\n".join([self.title, *lines])

    def _repr_html_(self) -> str:
        heading, *rows = self.cells()
        head = "".join(f"<th>{escape(text)}</th>" for text in heading)
        body = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows)
        caption = f"<caption>{escape(self.title)}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
