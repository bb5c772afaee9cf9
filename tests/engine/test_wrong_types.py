"""A value of a wrong type is refused by name, as one out of range is; NumPy's numbers are numbers, bools are none."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tailwise as tw

R, M, Q = [tw.Resource("r")], [tw.Model("m", ("n",))], [tw.QoS("q", 1.0, contract="best_effort")]
#: What is refused wherever a number is expected, whatever its range.
NO_NUMBERS: tuple[Any, ...] = ("1", True, np.bool_(True), None, 1j, [1.0], np.array([0.5, 0.5]), math.nan)


def engine(**options: Any) -> tw.Engine:
    return tw.Engine(R, M, Q, **{"clock": tw.ManualClock(5.0), "seed": 1, **options})


NUMBERS: dict[str, Callable[[Any], object]] = {
    "cost_per_s": lambda v: tw.Resource("r", cost_per_s=v),
    "slots": lambda v: tw.Resource("r", slots=v),
    "memory_bytes": lambda v: tw.Resource("r", memory_bytes=v),
    "max_running": lambda v: tw.Resource("r", max_running=v),
    "typical": lambda v: tw.Feature("f", typical=v),
    "scale": lambda v: tw.Column("c", scale=v),
    "accuracy": lambda v: tw.Model("m", accuracy=v),
    "tau_s": lambda v: tw.Model("m", tau_s=v),
    "deadline_s": lambda v: tw.QoS("q", v),
    "on_time": lambda v: tw.QoS("q", 1.0, on_time=v),
    "priority": lambda v: tw.QoS("q", 1.0, priority=v),
    "weight": lambda v: tw.QoS("q", 1.0, weight=v),
    "max_cost": lambda v: tw.QoS("q", 1.0, max_cost=v),
    "mean_s": lambda v: tw.Profile("r", "m", v),
    "slopes": lambda v: tw.Profile("r", "m", 1.0, slopes={"n": v}),
    "stay_bonus": lambda v: tw.Rules(stay_bonus=v),
    "consecutive_failures": lambda v: tw.Health(consecutive_failures=v),
    "backoff_s": lambda v: tw.Health(backoff_s=v),
    "seed": lambda v: engine(seed=v),
    "tau_s of the engine": lambda v: engine(tau_s=v),
    "idle_gap_s": lambda v: engine(idle_gap_s=v),
    "max_tickets": lambda v: engine(max_tickets=v),
    "max_resources": lambda v: engine(max_resources=v),
    "rollout": lambda v: engine().mode(rollout=v),
}
#: Where None is a value: not given.
NONE_IS_FINE = {
    "memory_bytes", "max_running", "typical", "accuracy", "tau_s", "seed", "idle_gap_s", "max_resources", "rollout",
}  # fmt: skip


@pytest.mark.parametrize(("name", "declare"), NUMBERS.items(), ids=NUMBERS)
def test_what_is_no_number_is_refused_with_its_name_and_value(
    name: str, declare: Callable[[Any], object]
) -> None:
    for value in NO_NUMBERS:
        if value is None and name in NONE_IS_FINE:
            continue
        with pytest.raises(tw.ConfigError, match="expected") as refused:
            declare(value)
        assert name.split()[0] in str(refused.value)
        assert repr(value) in str(refused.value)


def test_numbers_of_numpy_are_kept_as_the_numbers_that_they_are() -> None:
    f, i = np.float32, np.int64
    assert tw.Resource("r", i(2), cost_per_s=f(0.5), max_running=None) == tw.Resource("r", 2, 0.5)
    assert tw.Feature("f", typical=i(3)) == tw.Feature("f", typical=3.0)
    assert tw.QoS("q", f(0.5), f(0.25), np.uint8(1)) == tw.QoS("q", 0.5, 0.25, 1)
    assert tw.Profile("r", "m", f(0.5), slopes={"n": i(1)}) == tw.Profile("r", "m", 0.5, slopes={"n": 1.0})
    assert type(tw.QoS("q", f(0.5)).deadline_s) is float
    assert type(tw.Resource("r", slots=i(2)).slots) is int
    e = engine(seed=np.uint64(2**63), tau_s=f(8), max_resources=i(4), max_tickets=i(9), idle_gap_s=f(1))
    same = engine(seed=2**63, tau_s=8.0, max_resources=4, max_tickets=9, idle_gap_s=1.0)
    for one, number in ((e, f), (same, float)):
        one.report("r", running=number(3), waiting=number(2), at=number(1))
        one.route("m", "q").select((number(2),)).complete(number(0.5))
        one.mode(rollout=number(0.5))
    assert e._core.snapshot() == same._core.snapshot()
    assert e.classify(f(2), f(0.5)) is e.qos[0]
    assert e.profile("r", "m", (i(3),)).quantile(f(0.5)) == same.profile("r", "m", (3.0,)).quantile(0.5)


def test_an_int_that_no_float_holds_is_as_good_as_endless() -> None:
    assert tw.QoS("q", 10**400, ttft_s=1.0).deadline_s == math.inf
    with pytest.raises(tw.ConfigError, match="cost_per_s"):
        tw.Resource("r", cost_per_s=10**400)


DECLARATIONS: dict[str, tuple[Callable[[], object], str]] = {
    "features as one text": (lambda: tw.Model("m", features="batch"), "features='batch'"),  # type: ignore[arg-type]
    "a feature that is a number": (lambda: tw.Model("m", features=(3,)), r"features\[0\]=3"),  # type: ignore[arg-type]
    "resources as one text": (lambda: tw.Model("m", resources="cpu"), "resources='cpu'"),  # type: ignore[arg-type]
    "one column, bare": (lambda: tw.Model("m", columns=tw.Column("c", 1.0)), "columns="),  # type: ignore[arg-type]
    "columns by name": (lambda: tw.Model("m", columns=("c",)), r"columns\[0\]='c'"),  # type: ignore[arg-type]
    "signals as one text": (lambda: tw.Model("m", signals="service"), "signals='service'"),  # type: ignore[arg-type]
    "items as a list": (lambda: tw.Model("m", ("n",), items=["n"]), "items="),  # type: ignore[arg-type]
    "a number of a product": (
        lambda: tw.Model("m", ("n",), (tw.Column("c", 1.0, times=["n"]),)),  # type: ignore[arg-type]
        "times of 'c'",
    ),
    "a family as a number": (lambda: tw.Model("m", variant_of=5), "variant_of=5"),  # type: ignore[arg-type]
    "labels as a number": (lambda: tw.Resource("r", labels=5), "labels=5"),  # type: ignore[arg-type]
    "a name as a number": (lambda: tw.Resource(5), "name=5"),  # type: ignore[arg-type]
    "a discipline as a list": (lambda: tw.Resource("r", discipline=["fifo"]), "discipline="),  # type: ignore[arg-type]
    "a knee as a text": (lambda: tw.Feature("f", typical=1.0, knee="no"), "knee='no'"),  # type: ignore[arg-type]
    "a square as a number": (lambda: tw.Column("c", 1.0, square=1), "square=1"),  # type: ignore[arg-type]
    "a column that is when": (lambda: tw.Column("at", 1.0, reported=True), "name='at'"),
    "a column that is who": (lambda: tw.Column("resource", 1.0, reported=True), "name='resource'"),
    "a contract as a list": (lambda: tw.QoS("q", 1.0, contract=["standard"]), "contract="),  # type: ignore[arg-type]
    "a profile of no name": (lambda: tw.Profile(1, "m", 1.0), "resource=1"),  # type: ignore[arg-type]
    "a table that is a number": (lambda: tw.load_profiles(5), "path=5"),  # type: ignore[arg-type]
    "a function as a clock": (lambda: engine(clock=time.time), "clock="),
    "a rule of health that is none": (lambda: engine(health=3), "health=3"),
    "detect_change as a text": (lambda: engine(detect_change="no"), "detect_change='no'"),
    "resources by name": (lambda: tw.Engine(["r"], M, Q), r"resources\[0\]='r'"),  # type: ignore[list-item]
    "one resource, bare": (lambda: tw.Engine(R[0], M, Q), "resources="),  # type: ignore[arg-type]
    "models in a dict": (lambda: tw.Engine(R, {"m": M[0]}, Q), "models="),  # type: ignore[arg-type]
    "resources as classes": (lambda: tw.Engine(R, M, R), r"qos\[0\]="),  # type: ignore[arg-type]
    "one profile, bare": (lambda: engine(profiles=tw.Profile("r", "m", 1.0)), "profiles="),
    "a mode as a list": (lambda: engine().mode(["active"]), "mode="),  # type: ignore[arg-type]
    "a resource by name": (lambda: engine().add("x"), "resource='x'"),  # type: ignore[arg-type]
    "one array of no dimension": (lambda: tw.Model("m", features=np.array(3)), "features=array"),  # type: ignore[arg-type]
    "models as one text": (lambda: engine().add(tw.Resource("x"), models="m"), "models='m'"),
}


@pytest.mark.parametrize(("declare", "named"), DECLARATIONS.values(), ids=DECLARATIONS)
def test_a_declaration_of_a_wrong_type_is_refused_by_name(declare: Callable[[], object], named: str) -> None:
    with pytest.raises(tw.ConfigError, match=f"{named}.*expected"):
        declare()


def test_a_given_column_may_have_a_name_that_reports_take() -> None:
    assert tw.Column("at", 1.0).given == "at"


CALLS: dict[str, tuple[Callable[[tw.Engine, tw.Ticket], object], str]] = {
    "route": (lambda e, t: e.route(["m"], "q"), "no model"),  # type: ignore[arg-type]
    "class": (lambda e, t: e.route("m", {}), "no QoS class"),  # type: ignore[arg-type]
    "lane": (lambda e, t: e.lane(["r"]), "no resource"),  # type: ignore[arg-type]
    "reset": (lambda e, t: e.reset("r", ["m"]), "no model"),  # type: ignore[arg-type]
    "classify": (lambda e, t: e.classify("x", 0.5), "deadline_s='x'"),  # type: ignore[arg-type]
    "profile": (lambda e, t: e.profile("r", "m", 5), "features=5"),  # type: ignore[arg-type]
    "profile of a text": (lambda e, t: e.profile("r", "m", "8"), "features='8'"),  # type: ignore[arg-type]
    "profile of texts": (lambda e, t: e.profile("r", "m", ("8",)), r"features\[0\]='8'"),  # type: ignore[arg-type]
    "profile of no dimension": (lambda e, t: e.profile("r", "m", np.array(8.0)), "features=array"),  # type: ignore[arg-type]
    "merge of no dimension": (lambda e, t: e.merge(np.array(1.0)), "statistics=array"),  # type: ignore[arg-type]
    "quantile": (lambda e, t: e.profile("r", "m").quantile("x"), "probability='x'"),  # type: ignore[arg-type]
    "report at": (lambda e, t: e.report("r", at="x"), "at='x'"),  # type: ignore[arg-type]
    "report of a bool": (lambda e, t: e.report("r", running=True), "running=True"),
    "merge": (lambda e, t: e.merge([1]), r"statistics\[0\]=1"),  # type: ignore[list-item]
    "merge of one": (lambda e, t: e.merge(5), "statistics=5"),  # type: ignore[arg-type]
    "deadline": (lambda e, t: e.route("m", "q").select((1.0,), deadline_s=True), "deadline_s=True"),
    "complete": (lambda e, t: t.complete(True), "service_s=True"),
    "complete, NumPy": (lambda e, t: t.complete(np.bool_(True)), "service_s="),  # type: ignore[arg-type]
    "fail": (lambda e, t: t.fail(retry_after_s="x"), "retry_after_s='x'"),  # type: ignore[arg-type]
    "may_start": (lambda e, t: t.may_start("x"), "left_s='x'"),  # type: ignore[arg-type]
    "may_start at NaN": (lambda e, t: t.may_start(math.nan), "left_s=nan"),
    "reconsider": (lambda e, t: t.reconsider(bonus="x"), "bonus='x'"),  # type: ignore[arg-type]
    "clock": (lambda e, t: tw.ManualClock("x"), "seconds='x'"),  # type: ignore[arg-type]
    "advance": (lambda e, t: e.clock.advance(True), "seconds=True"),  # type: ignore[attr-defined]
}


@pytest.mark.parametrize(("call", "named"), CALLS.values(), ids=CALLS)
def test_an_argument_of_a_wrong_type_is_refused_by_name_and_changes_nothing(
    call: Callable[[tw.Engine, tw.Ticket], object], named: str
) -> None:
    e = engine()
    ticket = e.route("m", "q").select((1.0,))
    before = e._core.snapshot()
    with pytest.raises((tw.InputError, tw.UnknownName), match=named):
        call(e, ticket)
    assert e._core.snapshot() == before
    ticket.cancel()


class Reading:
    """A clock that tells what it is told to."""

    def __init__(self, now_ns: Any) -> None:
        self.now = now_ns

    def now_ns(self) -> Any:
        return self.now


@pytest.mark.parametrize("reading", [1.5, "1", None, 1 << 63, math.inf])
def test_a_clock_that_does_not_tell_whole_nanoseconds_is_refused_at_once_and_later(reading: Any) -> None:
    """Seconds as a float would pass for nanoseconds, and no deadline would ever come."""
    with pytest.raises(tw.InputError, match=r"now_ns\(\) returned"):
        engine(clock=Reading(reading))
    clock = Reading(np.int64(5))
    e = engine(clock=clock)
    before, clock.now = e._core.snapshot(), reading
    with pytest.raises(tw.InputError, match=r"now_ns\(\) returned"):
        e.route("m", "q").select((1.0,))
    assert e._core.snapshot() == before
