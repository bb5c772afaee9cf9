"""What people see of an engine: one JSON-able picture of it now, and why jobs were refused.

`snapshot` returns schema 1 (seconds; shares in [0, 1]; None = not known; keys may be added within a schema):

    schema, at_s        1; seconds since 1970
    engine              mode, rollout, in_flight, counters (see Engine.counters)
    classes[]           by priority: name, priority, contract, on_time, bounds {deadline_s, ttft_s, tpot_s}
        certificate     the fields of Certificate, and disagree
        headroom        how much more load it could take, as a share of the present one; < 0: less
        jobs            None without a journal. Since the start: offered, admitted, open, known, on_time, attainment,
                        retries, copies, probes, refused {reason: n}, ended {end: n}
            recent      of the last minute: offered, refused, known, on_time, attainment, reasons {reason: n} of
                        those refused ones that are kept
            by_second   60 x [offered, refused, known, on_time], the latest last
    resources[]         by lane: name, kind, slots, max_running, running, queued, drained, overdue, alarms,
                        decided (of the decisions that are kept), share (decided over all of those)
        wait_s          {class: s} of a usual job that came now
        health          state, failures, success, retry_in_s
        report          what it says of its load: age_s, values {name: number}; None = nobody polls it
        profiles[]      model, signal, source, n, n_results, availability, load_s, and at usual features median_s,
                        p90_s, p99_s
    left_out            resources beyond `most`
    models[]            name, features[], signals[], variant_of
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Protocol

from tailwise.adapters.curves import typical
from tailwise.adapters.journal import Journal
from tailwise.engine import Engine
from tailwise.errors import ConfigError, InputError, UnknownName
from tailwise.numbered import features_of
from tailwise.qos import QoS
from tailwise.route import Route
from tailwise.types import Resource

__all__ = ["SCHEMA", "Headroom", "Reporting", "as_json", "snapshot", "why"]

SCHEMA = 1

#: What keeps a model off a resource for good: another model may tell more of it.
_NEVER = ("memory", "affinity")

#: By the name of a class: how much more load it could take, as a share of the present one; None = not known.
Headroom = Callable[[str], float | None]


class Reporting(Protocol):
    """What polls load reports, as `tailwise.adapters.load.Poller` does."""

    def state(self) -> Mapping[str, Any]:
        """By resource: anything with age_s and values."""
        ...

    def faults(self) -> list[Any]:
        """What resources should say and do not: anything with resource, what, kind and why."""
        ...


def snapshot(
    engine: Engine,
    journal: Journal | None = None,
    poller: Reporting | None = None,
    headroom: Headroom | None = None,
    *,
    most: int = 64,
) -> dict[str, Any]:
    """What the engine believes, what it does and what became of it, now; the module tells the keys.

    poller: tells load reports. headroom: says by class how much more it could take; None = the journal works it out.
    most: resources, those in trouble first, then those with most decisions. May be called from any thread.
    Cost: some 0.1 ms for each (resource, model).
    """
    headroom = headroom or (journal.headroom if journal else None)
    for _ in range(4):
        with suppress(UnknownName, InputError):  # a resource was removed meanwhile: look again
            seen: dict[str, Any] = _look(engine, journal, poller, headroom, most)
            return seen
    raise UnknownName("resources come and go too fast to be looked at")


def _look(
    engine: Engine, journal: Journal | None, poller: Reporting | None, headroom: Headroom | None, most: int
) -> Any:
    decided = Counter(d.resource for d in journal.decisions if d.reason is None) if journal else Counter()
    shown = _shown(engine, decided, most)
    seen = _looks(engine, shown)
    reports = poller.state() if poller else {}
    return as_json(
        {
            "schema": SCHEMA,
            "at_s": journal.now_s() if journal else time.time(),
            "engine": {
                "mode": engine.mode(),
                "rollout": engine.rollout,
                "in_flight": engine.in_flight,
                "counters": dict(engine.counters),
            },
            "classes": [_class(engine, qos, journal, headroom) for qos in engine.qos],
            "resources": [
                _resource(engine, resource, decided, seen, reports.get(resource.name)) for resource in shown
            ],
            "left_out": len(engine.resources) - len(shown),
            "models": [
                {
                    "name": model.name,
                    "features": [f.name for f in features_of(model)],
                    "signals": list(model.signals),
                    "variant_of": model.variant_of,
                }
                for model in engine.models
            ],
        }
    )


def why(
    journal: Journal,
    n: int = 10,
    *,
    request_id: str | None = None,
    reason: str | None = None,
    explained: bool = False,
) -> list[dict[str, Any]]:
    """The last n refused jobs, the latest first, each as `Decision.to_json` with its explanation where one was kept.

    reason: of this reason alone. explained: those alone that have one. request_id: every decision on that request
    instead, refused or not.
    """
    kept = journal.refusals if request_id is None else journal.decisions
    found = [
        decision
        for decision in reversed(kept)
        if reason in (None, decision.reason)
        and request_id in (None, decision.request_id)
        and not (explained and decision.explanation is None)
    ]
    return [decision.to_json() for decision in found[: max(n, 0)]]


def as_json(value: Any) -> Any:
    """The same, numbers that are not finite as None."""
    if isinstance(value, dict):
        return {key: as_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _class(engine: Engine, qos: QoS, journal: Journal | None, headroom: Headroom | None) -> dict[str, Any]:
    certificate = engine.certificate(qos.name)
    return {
        "name": qos.name,
        "priority": qos.priority,
        "contract": qos.contract,
        "on_time": qos.on_time,
        "bounds": {"deadline_s": qos.deadline_s, "ttft_s": qos.ttft_s, "tpot_s": qos.tpot_s},
        "certificate": {**asdict(certificate), "disagree": certificate.disagree},
        "headroom": None if headroom is None else headroom(qos.name),
        "jobs": None if journal is None else _jobs(journal, qos.name),
    }


def _jobs(journal: Journal, qos: str) -> dict[str, Any]:
    tally = journal.classes[qos]
    offered, refused, known, on_time = journal.recent(qos)
    since_s = journal.now_s() - 60.0
    reasons = Counter(d.reason for d in journal.refusals if d.qos == qos and d.at_s > since_s)
    return {
        "offered": tally.offered,
        "admitted": tally.admitted,
        "open": tally.open,
        "known": tally.known,
        "on_time": tally.on_time,
        "attainment": tally.attainment,
        "retries": tally.retries,
        "copies": tally.copies,
        "probes": tally.probes,
        "refused": dict(tally.refused),
        "ended": dict(tally.ended),
        "recent": {
            "offered": offered,
            "refused": refused,
            "known": known,
            "on_time": on_time,
            "attainment": on_time / known if known else None,
            "reasons": dict(reasons),
        },
        "by_second": journal.by_second(qos),
    }


def _shown(engine: Engine, decided: Counter[str | None], most: int) -> list[Resource]:
    """In the order of their lanes."""
    resources = engine.resources
    if len(resources) <= most:
        return list(resources)

    def troubled(resource: Resource) -> bool:
        return engine.health(resource.name).state != "closed" or engine.overdue(resource.name) > 0

    first = sorted(resources, key=lambda r: (not troubled(r), -decided[r.name]))[:most]
    return [resource for resource in resources if resource in first]


def _looks(engine: Engine, shown: list[Resource]) -> dict[str, dict[str, Any]]:
    """By class: the candidate that each resource would be for a usual job, of the first model that it runs."""
    mask = sum(1 << engine.lane(resource.name) for resource in shown)
    found: dict[str, dict[str, Any]] = {}
    for qos in engine.qos:
        candidates = found.setdefault(qos.name, {})
        for route in _routes(engine, qos):
            if len(candidates) == len(shown):
                break
            seen = route.peek(typical(route.model), mask=mask)
            for candidate in (*seen.candidates, *seen.excluded):
                if candidate.excluded in _NEVER:
                    continue
                candidates.setdefault(candidate.resource.name, candidate)
    return found


def _routes(engine: Engine, qos: QoS) -> list[Route]:
    """To every model that the class fits."""
    found = []
    for model in engine.models:
        try:
            found.append(engine.route(model.name, qos.name))
        except ConfigError:
            continue
    return found


def _resource(
    engine: Engine,
    resource: Resource,
    decided: Counter[str | None],
    seen: dict[str, dict[str, Any]],
    report: Any,
) -> dict[str, Any]:
    name = resource.name
    running, queued = engine.load(name)
    breaker = engine.health(name)
    now_s = engine.clock.now_ns() * 1e-9
    looks = {qos: candidates[name] for qos, candidates in seen.items() if name in candidates}
    total = decided.total()
    return {
        "name": name,
        "kind": resource.kind,
        "slots": None if resource.max_running else resource.slots,
        "max_running": resource.max_running,
        "running": running,
        "queued": queued,
        "decided": decided[name],
        "share": decided[name] / total if total else None,
        "wait_s": {qos: candidate.wait_s for qos, candidate in looks.items()},
        "drained": any(candidate.excluded == "drained" for candidate in looks.values()),
        "overdue": engine.overdue(name),
        "alarms": engine.alarms(name),
        "health": {
            "state": breaker.state,
            "failures": breaker.failures,
            "success": breaker.success,
            "retry_in_s": None if breaker.until_s is None else max(breaker.until_s - now_s, 0.0),
        },
        "report": None if report is None else {"age_s": report.age_s, "values": dict(report.values)},
        "profiles": _profiles(engine, resource),
    }


def _profiles(engine: Engine, resource: Resource) -> list[dict[str, Any]]:
    lane, found = engine.lane(resource.name), []
    for model in engine.models:
        if lane not in engine.candidates(model.name):
            continue
        for signal in model.signals:
            profile = engine.profile(resource.name, model.name, signal=signal)
            found.append(
                {
                    "model": model.name,
                    "signal": signal,
                    "source": profile.source,
                    "n": profile.n,
                    "n_results": profile.n_results,
                    "median_s": profile.median_s,
                    "p90_s": profile.quantile(0.9),
                    "p99_s": profile.quantile(0.99),
                    "availability": profile.availability,
                    "load_s": profile.load_s,
                }
            )
    return found
