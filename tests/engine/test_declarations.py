"""What users declare is validated where it is written, and the message names the value and the range."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

import tailwise as tw

R, M, Q = [tw.Resource("r")], [tw.Model("m")], [tw.QoS("q", 1.0)]

WRONG: dict[str, Callable[[], object]] = {
    "resource without a name": lambda: tw.Resource(""),
    "no slots": lambda: tw.Resource("r", slots=0),
    "too many slots": lambda: tw.Resource("r", slots=257),
    "half a slot": lambda: tw.Resource("r", slots=1.5),  # type: ignore[arg-type]
    "nobody running": lambda: tw.Resource("r", max_running=0),
    "soft and hard capacity": lambda: tw.Resource("r", slots=4, max_running=8),
    "soft capacity of an owned queue": lambda: tw.Resource("r", max_running=8, discipline="priority"),
    "a cache without max_running": lambda: tw.Resource("r", kv_tokens=1e5),
    "no cache": lambda: tw.Resource("r", max_running=8, kv_tokens=0.0),
    "own queue of a soft capacity": lambda: tw.Engine([tw.Resource("r", max_running=8)], M, Q).own_queue("r"),
    "negative cost": lambda: tw.Resource("r", cost_per_s=-1.0),
    "infinite offset": lambda: tw.Resource("r", offset_s=math.inf),
    "unknown discipline": lambda: tw.Resource("r", discipline="lifo"),  # type: ignore[arg-type]
    "typical value 0": lambda: tw.Feature("f", typical=0.0),
    "knee at no typical value": lambda: tw.Feature("f", knee=True),
    "scale 0": lambda: tw.Column("c", scale=0.0),
    "column name with a blank": lambda: tw.Column("a b", scale=1.0),
    "tracked and reported": lambda: tw.Column("c", scale=1.0, tracked="running", reported=True),
    "tracks what nobody counts": lambda: tw.Column("c", scale=1.0, tracked="tokens"),  # type: ignore[arg-type]
    "adds what is given to what is given": lambda: tw.Column("c", scale=1.0, plus="own"),
    "adds a number without a name": lambda: tw.Column("c", scale=1.0, reported=True, plus=""),
    "product with what is no feature": lambda: tw.Model("m", ("f",), (tw.Column("c", 1.0, times="g"),)),
    "twelve encoded features and a square": lambda: tw.Model(
        "m", tuple(f"f{i}" for i in range(10)), (tw.Column("c", 1.0, square=True),)
    ),
    "five columns": lambda: tw.Model("m", columns=tuple(tw.Column(f"c{i}", 1.0) for i in range(5))),
    "thirteen encoded features": lambda: tw.Model("m", tuple(f"f{i}" for i in range(12))),
    "a feature twice": lambda: tw.Model("m", ("a", "a")),
    "unknown signal": lambda: tw.Model("m", signals=("ttft",)),
    "counts tokens of no prompt": lambda: tw.Model("m", ("n",), (tw.Column("c", 1.0, tracked="kv_tokens"),)),
    "a prompt that is no feature": lambda: tw.Model("m", ("n",), prompt="tokens"),
    "no bound at all": lambda: tw.QoS("q"),
    "first token after the end": lambda: tw.QoS("q", 1.0, ttft_s=1.0),
    "pace without a first token": lambda: tw.QoS("q", 1.0, tpot_s=0.1),
    "pace 0": lambda: tw.QoS("q", ttft_s=1.0, tpot_s=0.0),
    "first token at NaN": lambda: tw.QoS("q", ttft_s=math.nan),
    "first token of a model with one signal": lambda: tw.Engine(R, M, [tw.QoS("q", 1.0, ttft_s=0.1)]).route(
        "m", "q"
    ),
    "no end for a model with one signal": lambda: tw.Engine(R, M, [tw.QoS("q", ttft_s=0.1)]).route("m", "q"),
    "deadline 0": lambda: tw.QoS("q", 0.0),
    "deadline NaN": lambda: tw.QoS("q", math.nan),
    "certain": lambda: tw.QoS("q", 1.0, on_time=1.0),
    "priority 8": lambda: tw.QoS("q", 1.0, priority=8),
    "negative weight": lambda: tw.QoS("q", 1.0, weight=-1.0),
    "unknown contract": lambda: tw.QoS("q", 1.0, contract="gold"),  # type: ignore[arg-type]
    "profile of 0 s": lambda: tw.Profile("r", "m", 0.0),
    "profile without spread": lambda: tw.Profile("r", "m", 1.0, spread=0.0),
    "profile without weight": lambda: tw.Profile("r", "m", 1.0, weight=0.0),
    "labels as one string": lambda: tw.Resource("r", labels="eu"),  # type: ignore[arg-type]
    "an empty label": lambda: tw.Model("m", requires=frozenset({""})),
    "negative memory": lambda: tw.Resource("r", memory_bytes=-1),
    "half a byte": lambda: tw.Model("m", memory_bytes=0.5),  # type: ignore[arg-type]
    "negative power": lambda: tw.Resource("r", power_w=-1.0),
    "accuracy above 1": lambda: tw.Model("m", accuracy=1.1),
    "accuracy bound above 1": lambda: tw.QoS("q", 1.0, min_accuracy=1.1),
    "no money": lambda: tw.QoS("q", 1.0, max_cost=0.0),
    "cost NaN": lambda: tw.QoS("q", 1.0, max_cost=math.nan),
    "infinite throughput": lambda: tw.QoS("q", 1.0, min_throughput=math.inf),
    "explore as a number": lambda: tw.QoS("q", 1.0, explore=1),  # type: ignore[arg-type]
    "draws that may not explore": lambda: tw.QoS("q", 1.0, policy="thompson", explore=False),
    "optimism that may not explore": lambda: tw.QoS("q", 1.0, policy="ucb", explore=False),
    "no resources": lambda: tw.Engine([], M, Q),
    "no models": lambda: tw.Engine(R, [], Q),
    "no classes": lambda: tw.Engine(R, M, []),
    "a resource twice": lambda: tw.Engine(R * 2, M, Q),
    "a model twice": lambda: tw.Engine(R, M * 2, Q),
    "a class twice": lambda: tw.Engine(R, M, Q * 2),
    "minimum share of 1": lambda: tw.QoS("q", 1.0, min_share=1.0),
    "minimum share below 0": lambda: tw.QoS("q", 1.0, min_share=-0.1),
    "minimum shares beyond 1": lambda: tw.Engine(
        R, M, [tw.QoS("a", 1.0, min_share=0.6), tw.QoS("b", 1.0, min_share=0.6)]
    ),
    "tau 0": lambda: tw.Engine(R, M, Q, tau_s=0.0),
    "tau NaN": lambda: tw.Engine(R, M, Q, tau_s=math.nan),
    "no tickets": lambda: tw.Engine(R, M, Q, max_tickets=0),
    "model on no resource": lambda: tw.Engine(R, [tw.Model("m", resources=())], Q),
}


@pytest.mark.parametrize("declare", WRONG.values(), ids=WRONG)
def test_a_value_out_of_range_is_refused_with_what_is_expected(declare: Callable[[], object]) -> None:
    with pytest.raises(tw.ConfigError, match="expected"):
        declare()


UNKNOWN: dict[str, Callable[[], object]] = {
    "model on an unknown resource": lambda: tw.Engine(R, [tw.Model("m", resources=("x",))], Q),
    "profile of an unknown resource": lambda: tw.Engine(R, M, Q, profiles=[tw.Profile("x", "m", 1.0)]),
    "profile of an unknown model": lambda: tw.Engine(R, M, Q, profiles=[tw.Profile("r", "x", 1.0)]),
}


@pytest.mark.parametrize("declare", UNKNOWN.values(), ids=UNKNOWN)
def test_a_name_that_was_not_declared_is_refused(declare: Callable[[], object]) -> None:
    with pytest.raises(tw.UnknownName, match="'x'"):
        declare()


def test_every_error_is_a_tailwise_error_and_what_python_calls_it() -> None:
    for error, base in (
        (tw.ConfigError, ValueError),
        (tw.InputError, ValueError),
        (tw.UnknownName, KeyError),
        (tw.TicketError, RuntimeError),
        (tw.CapacityError, RuntimeError),
    ):
        assert issubclass(error, tw.TailwiseError)
        assert issubclass(error, base)


def test_a_plain_name_is_a_feature_without_a_typical_value() -> None:
    assert tw.Model("m", ("a", tw.Feature("b", typical=2.0, knee=True))).features == (
        tw.Feature("a"),
        tw.Feature("b", typical=2.0, knee=True),
    )
    assert tw.Model("m", ("a", tw.Feature("b", typical=2.0, knee=True))).d == 4
