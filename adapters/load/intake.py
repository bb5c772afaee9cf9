"""Where reports enter an engine."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tailwise import Engine
from tailwise.adapters.load.faults import Fault, Faults
from tailwise.adapters.load.orca import read_orca
from tailwise.adapters.load.report import Report
from tailwise.errors import InputError, UnknownName
from tailwise.validate import as_number, is_positive, require

__all__ = ["Intake", "State"]

#: What the engine takes of every resource, whatever columns its models have.
ALWAYS = ("running", "waiting")


@dataclass(frozen=True, slots=True)
class State:
    """Of one resource. age_s: since its last report, None = there was none. values: what the engine was told last;
    NaN = unknown. n_reports, n_failed: ever."""

    age_s: float | None
    values: Mapping[str, float]
    n_reports: int
    n_failed: int


class Intake:
    """Hands reports to an engine: only what it takes; what is not known as unknown, never as 0.

    quiet_s: a fault is logged (logger "tailwise.load") when it begins, and once in so many seconds. stale_s: after so
    long without a report, what the last one said is unknown. For one thread at a time; any may look.
    Raises ConfigError.
    """

    def __init__(self, engine: Engine, *, quiet_s: float = 60.0, stale_s: float = 10.0) -> None:
        for name, seconds in (("quiet_s", quiet_s), ("stale_s", stale_s)):
            require(is_positive(as_number(seconds)), "Intake", name, seconds, "finite seconds > 0")
        self.engine = engine
        self._stale_s = float(stale_s)
        self._faults = Faults(float(quiet_s))
        self._states: dict[str, State] = {}
        self._last_s: dict[str, float] = {}

    def now_s(self) -> float:
        return self.engine.clock.now_ns() * 1e-9

    def wanted(self, resource: str) -> frozenset[str]:
        """What the engine takes of a resource: counts of jobs, and reported columns of the models that it may run.
        Raises UnknownName."""
        declared = {r.name: r for r in self.engine.resources}
        if resource not in declared:
            raise UnknownName(f"no resource {resource!r}; there are {', '.join(declared) or 'none'}")
        labels = declared[resource].labels
        columns = {
            column.name
            for model in self.engine.models
            if (model.resources is None or resource in model.resources) and model.requires <= labels
            for column in model.columns
            if column.reported
        }
        return frozenset(columns.union(ALWAYS))

    def page(self, resource: str, report: Report, at: float) -> None:
        """A whole report: what it lacks has become unknown. Raises UnknownName."""
        wanted = self.wanted(resource)
        values = {name: report.values.get(name, math.nan) for name in wanted}
        self.engine.report(resource, at=at, **values)
        self._heard(resource, values, at)
        self._faults.right(self.now_s(), resource, "report")
        for name in wanted:
            self._judge(resource, name, report)

    def headers(self, resource: str, headers: Mapping[str, str]) -> bool:
        """What a response's headers say (ORCA), as of now; what they do not say stays as it was.

        False: they say nothing that is wanted. Raises nothing: an unreadable header is a fault.
        """
        try:
            report = read_orca(headers)
            if report is None:
                return False
            wanted = self.wanted(resource)
            values = {name: value for name, value in report.values.items() if name in wanted}
            self.engine.report(resource, **values)
        except (InputError, UnknownName) as error:
            self._faults.wrong(self.now_s(), resource, "header", "refused", str(error))
            return False
        self._faults.right(self.now_s(), resource, "header")
        if values:
            self._heard(resource, values, self.now_s())
        return bool(values)

    def failed(self, resource: str, why: str) -> None:
        """No report came. What the last one said is unknown once it is stale."""
        now_s = self.now_s()
        self._faults.wrong(now_s, resource, "report", "failed", why)
        state = self._state(resource)
        unknown = {name: math.nan for name, value in state.values.items() if not math.isnan(value)}
        if unknown and now_s - self._last_s[resource] > self._stale_s:
            with contextlib.suppress(UnknownName):  # it was removed, and what it reported with it
                self.engine.report(resource, **unknown)
            state = replace(state, values={**state.values, **unknown})
        self._states[resource] = replace(state, n_failed=state.n_failed + 1)

    def faults(self) -> list[Fault]:
        """Those of now, by resource and what. From any thread."""
        return self._faults.now()

    def state(self) -> dict[str, State]:
        """By resource; of those that were asked or heard. From any thread."""
        now_s, states, last_s = self.now_s(), self._states.copy(), self._last_s.copy()
        return {
            name: replace(state, age_s=now_s - last_s[name] if name in last_s else None)
            for name, state in states.items()
        }

    def forget(self, resource: str) -> None:
        """It is asked no more: what is kept of it is dropped."""
        self._faults.forget(resource)
        self._states.pop(resource, None)
        self._last_s.pop(resource, None)

    def _state(self, resource: str) -> State:
        return self._states.get(resource, State(None, {}, 0, 0))

    def _heard(self, resource: str, values: Mapping[str, float], at: float) -> None:
        state = self._state(resource)
        self._last_s[resource] = at
        self._states[resource] = replace(
            state, values={**state.values, **values}, n_reports=state.n_reports + 1
        )

    def _judge(self, resource: str, name: str, report: Report) -> None:
        now_s, wrong = self.now_s(), self._faults.wrong
        if name in report.refused:
            wrong(now_s, resource, name, "refused", report.refused[name])
        elif name in report.renamed:
            wrong(now_s, resource, name, "renamed", f"told by {report.renamed[name]}, a name it had before")
        elif name in report.missing:
            wrong(now_s, resource, name, "missing", f"{report.missing[name]} is not there: unknown")
        elif name not in report.values and name not in ALWAYS:
            wrong(now_s, resource, name, "missing", "its format has no such field: unknown")
        else:
            self._faults.right(now_s, resource, name)
