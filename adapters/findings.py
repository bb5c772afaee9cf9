"""What looks wrong with an engine and its inputs, with the evidence and what to do: `doctor`."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tailwise.adapters.curves import spreads
from tailwise.adapters.finding import Finding, worst_first
from tailwise.adapters.journal import Journal
from tailwise.adapters.view import Reporting
from tailwise.engine import Engine
from tailwise.errors import UnknownName

__all__ = ["Finding", "doctor"]

#: Jobs in the last minute below which a share says nothing.
ENOUGH = 5
#: Results behind a model from which a feature that never changed is no accident.
MANY = 30.0
#: A job that is open this many times longer than expected, and longer than a minute, was probably never settled.
FORGOTTEN, FORGOTTEN_S = 20.0, 60.0
#: Encoded values are held at +-16; a mean beyond this is near to it.
FAR = 8.0

_MODES = {
    "shadow": "the caller's choices stand, and are learned from",
    "frozen": "it decides, and learns nothing",
    "bypass": "the caller's choices stand, and nothing is learned",
}


def doctor(engine: Engine, journal: Journal | None = None, poller: Reporting | None = None) -> list[Finding]:
    """Errors first. Without a journal or a poller, what they would tell is not looked at. May be called from any
    thread. Cost: some 10 us for each (resource, model)."""
    found = [
        *_of_mode(engine),
        *_of_counters(engine),
        *_of_limits(engine),
        *_of_features(engine),
        *_of_promises(engine),
        *_of_resources(engine),
    ]
    if journal is not None:
        found += [*_of_jobs(engine, journal), *_of_open(journal)]
    if poller is not None:
        found += _of_reports(poller)
    return worst_first(found)


def _of_mode(engine: Engine) -> Iterator[Finding]:
    mode, rollout = engine.mode(), engine.rollout
    todo = "`tailwise mode active --rollout 1`, or engine.mode('active', rollout=1.0)"
    if mode != "active":
        yield Finding(
            "info", "mode", "", f"the engine is in {mode} mode: {_MODES[mode]}", f"mode {mode}", todo
        )
    elif rollout < 1.0:
        what = "tailwise decides on a part of the jobs only"
        yield Finding("info", "mode", "", what, f"rollout {rollout:g}", todo)


def _of_counters(engine: Engine) -> Iterator[Finding]:
    counters = engine.counters
    if n := counters["n_abandoned"]:
        yield Finding(
            "warning",
            "abandoned",
            "",
            "tickets were dropped unsettled: what their jobs took was never learned",
            f"{n} since the start",
            "settle every ticket, also where an exception passes: `with ticket:`",
        )
    if n := counters["n_untimed"]:
        yield Finding(
            "warning",
            "untimed",
            "",
            "jobs ended before they had begun, by the engine's clock: they taught nothing",
            f"{n} since the start",
            "give the engine a clock that never goes back (the default), or complete(service_s)",
        )
    if n := counters["n_clipped"]:
        yield Finding(
            "warning",
            "clipped",
            "",
            "features or columns lay so far out that they were held at the edge of their range",
            f"{n} values since the start",
            "look at the unit of each feature, and at Feature(typical=) and Column(scale=)",
        )


def _of_limits(engine: Engine) -> Iterator[Finding]:
    n_open, limit = engine.in_flight, engine._options.max_tickets
    if n_open > 0.8 * limit:
        yield Finding(
            "error",
            "tickets_near_limit",
            "",
            "nearly as many tickets are open as there may be: then select() raises CapacityError",
            f"{n_open} of {limit}",
            "see whether tickets are left unsettled, else Engine(max_tickets=)",
        )
    n, most = len(engine.resources), engine._options.capacity
    if len(engine._declared.resources) < n == most:
        yield Finding(
            "info",
            "resources_at_limit",
            "",
            "there are as many resources as there may be: add() raises CapacityError",
            f"{n} of {most}",
            "Engine(max_resources=), or remove() those that are gone",
        )


def _of_features(engine: Engine) -> Iterator[Finding]:
    statistics = engine.statistics()
    for model in engine.models:
        for name, seen in spreads(model, statistics).items():
            subject = f"{model.name}.{name}"
            if seen.n >= MANY and seen.sd < 1e-6 * max(1.0, abs(seen.mean)):
                yield Finding(
                    "warning",
                    "constant",
                    subject,
                    "a feature is the same for every job: nothing is learned of what it does",
                    f"{seen.n:.0f} results, encoded {seen.mean:.3g} each time",
                    "look at who fills it in; leave it out of the model where it cannot vary",
                )
            elif abs(seen.mean) > FAR:
                yield Finding(
                    "warning",
                    "far",
                    subject,
                    "a feature lies far from its typical value",
                    f"encoded {seen.mean:.1f} on average; it is held at 16",
                    "look at its unit, and at Feature(typical=)",
                )


def _of_promises(engine: Engine) -> Iterator[Finding]:
    for qos in engine.qos:
        seen = engine.certificate(qos.name)
        if seen.disagree:
            yield Finding(
                "warning",
                "disagree",
                qos.name,
                "claimed and observed on-time shares are further apart than chance allows",
                f"claimed {seen.claimed:.4f}, observed {seen.on_time:.4f} of {seen.n} jobs; "
                f"tolerance {seen.tolerance:.2g}",
                "look for load that the engine does not see (engine.report), features that are missing, "
                "jobs that are settled late",
            )
        if seen.untold > 0.1 * (seen.n + seen.untold):
            yield Finding(
                "warning",
                "untold",
                qos.name,
                "answers ended of which nobody said when their first token came, or how many tokens they had",
                f"{seen.untold} of {seen.n + seen.untold}",
                "call first() at the first token, and complete(tokens=) where the class has a tpot_s",
            )


def _of_resources(engine: Engine) -> Iterator[Finding]:
    results: dict[str, int] = dict.fromkeys((r.name for r in engine.resources), 0)
    for one in engine.statistics():
        if one.resource in results:
            results[one.resource] += one.n_results
    now_s = engine.clock.now_ns() * 1e-9
    for name, n in results.items():
        try:
            breaker, overdue = engine.health(name), engine.overdue(name)
        except UnknownName:  # removed meanwhile
            continue
        if breaker.state != "closed":
            left_s = max((breaker.until_s or now_s) - now_s, 0.0)
            yield Finding(
                "error",
                "ejected",
                name,
                f"its breaker is {breaker.state}: it gets no job but probes",
                f"{breaker.failures} failures in a row, {breaker.success:.0%} of its last results succeeded; "
                f"next probe in {left_s:.1f} s",
                "look at the resource; `engine.changed(name)` when it is repaired",
            )
        if overdue:
            yield Finding(
                "error",
                "overdue",
                name,
                "jobs are in service for longer than they should be: it may hang",
                f"{overdue} beyond the 99.9% quantile of their forecast",
                "look at the resource; call timeout() on jobs that you give up",
            )
        if n == 0 and any(results.values()):
            yield Finding(
                "warning",
                "no_result",
                name,
                "it has not shown a single result, while others have",
                "0 results",
                "see whether a class may explore it (QoS(explore=)), and whether it is drained or masked",
            )


def _of_jobs(engine: Engine, journal: Journal) -> Iterator[Finding]:
    for qos in engine.qos:
        offered, refused, known, on_time = journal.recent(qos.name)
        if offered >= ENOUGH and refused == offered:
            reasons = ", ".join(
                f"{reason} {n}" for reason, n in journal.classes[qos.name].refused.most_common()
            )
            yield Finding(
                "error",
                "all_refused",
                qos.name,
                "every job of the last minute was refused",
                f"{refused} of {offered}; since the start: {reasons}",
                "`tailwise why` shows what each candidate would have taken",
            )
        elif known >= ENOUGH and on_time == 0:
            yield Finding(
                "error",
                "none_on_time",
                qos.name,
                "no job of the last minute was on time",
                f"0 of {known}, {refused} of them refused",
                "compare the bounds of the class with what its models take (`tailwise top`)",
            )
        elif known and on_time / known < qos.on_time - _chance(qos.on_time, known):
            yield Finding(
                "warning",
                "below_target",
                qos.name,
                "fewer jobs of the last minute were on time than the class asks for",
                f"{on_time / known:.1%} of {known}, {refused} of them refused; target {qos.on_time:.1%}",
                "see which resources are slow, ejected or drained, and whether the load has outgrown them",
            )


def _chance(target: float, n: int) -> float:
    """How far below its target a share of n jobs falls by chance, once in about 700 looks: three deviations."""
    return 3.0 * math.sqrt(target * (1.0 - target) / n)


def _of_open(journal: Journal) -> Iterator[Finding]:
    now_s = journal.now_s()
    forgotten = [
        d
        for d in journal.decisions
        if d.end is None
        and d.reason is None
        and now_s - d.at_s > max(FORGOTTEN * (d.expected_s or 0.0), FORGOTTEN_S)
    ]
    if forgotten:
        oldest = forgotten[0]
        yield Finding(
            "warning",
            "open_long",
            "",
            "jobs have been open for far longer than expected: they were probably never settled",
            f"{len(forgotten)} of the decisions that are kept; the oldest, {oldest.number} on "
            f"{oldest.resource}, for {now_s - oldest.at_s:.0f} s",
            "settle every entry, also where an exception passes: `with entry:`",
        )


def _of_reports(poller: Reporting) -> Iterator[Finding]:
    for fault in poller.faults():
        yield Finding(
            "error" if fault.kind == "failed" else "warning",
            f"report_{fault.kind}",
            fault.resource,
            f"its load report: {fault.what} {fault.kind}",
            f"{fault.why}, {fault.times} in a row",
            "compare what the server tells with the format of its target (tailwise.adapters.load)",
        )
