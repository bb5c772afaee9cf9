"""Variants of one network: each class gets the one that suits it, and a job says which it was."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tailwise as tw
from tests.states import SEEDS

SIZE = (tw.Feature("n", typical=4.0),)


def engine(*, known: bool = True, **qos: object) -> tw.Engine:
    """fp32 takes .2 s and answers 80% right, int8 .1 s and 70%, tiny .05 s and 50%, on either of two resources."""
    seconds = {"fp32": 0.2, "int8": 0.1, "tiny": 0.05}
    accuracy = {"fp32": 0.8, "int8": 0.7, "tiny": 0.5}
    profiles = [tw.Profile(r, m, s, 0.1, 1e6) for m, s in seconds.items() for r in ("a", "b")]
    return tw.Engine(
        [tw.Resource("a", cost_per_s=2.0), tw.Resource("b", cost_per_s=1.0)],
        [tw.Model(m, SIZE, accuracy=accuracy[m], variant_of="net") for m in seconds],
        [tw.QoS("q", 1.0, 0.9, **{"contract": "best_effort", **qos})],  # type: ignore[arg-type]
        profiles=profiles if known else (),
        clock=tw.ManualClock(),
        seed=1,
    )


@pytest.mark.parametrize(
    ("qos", "deadline_s", "expected"),
    [
        ({}, 1.0, "tiny"),
        ({"min_accuracy": 0.6}, 1.0, "int8"),
        ({"min_accuracy": 0.75}, 1.0, "fp32"),
        ({"objective": "accuracy"}, 1.0, "fp32"),
        ({"objective": "accuracy"}, 0.15, "int8"),
        ({"objective": "accuracy"}, 0.07, "tiny"),
        ({"objective": "accuracy"}, 0.01, "tiny"),
        ({"objective": "cost"}, 1.0, "tiny"),
        ({"objective": "cost", "min_accuracy": 0.6}, 1.0, "int8"),
        ({"min_accuracy": 0.6, "max_cost": 0.15}, 1.0, "int8"),
        ({"objective": "accuracy", "max_cost": 0.15}, 1.0, "int8"),
        ({"objective": "accuracy", "contract": "guaranteed"}, 0.15, "int8"),
    ],
)
def test_each_class_gets_the_variant_that_suits_it(
    qos: dict[str, object], deadline_s: float, expected: str
) -> None:
    ticket = engine(**qos).family("net", "q").select((4.0,), deadline_s=deadline_s)
    assert ticket.admitted
    assert ticket.model.name == expected
    assert ticket.resource.cost_per_s * ticket.service_s <= qos.get("max_cost", 1.0)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("qos", "reason"),
    [
        ({"min_accuracy": 0.9}, "accuracy"),
        ({"max_cost": 0.01}, "cost"),
        ({"min_accuracy": 0.75, "max_cost": 0.15}, "cost"),
    ],
)
def test_when_no_variant_keeps_the_bounds_the_ticket_names_the_last_that_was_broken(
    qos: dict[str, object], reason: str
) -> None:
    assert engine(**qos).family("net", "q").select((4.0,)).reason == reason


@given(
    seed=SEEDS,
    objective=st.sampled_from(["completion", "accuracy", "cost"]),
    least=st.sampled_from([0.0, 0.6, 0.75]),
    n=st.integers(0, 40),
)
@settings(max_examples=40)
def test_a_variant_below_the_accuracy_is_never_chosen_and_all_others_get_known(
    seed: int, objective: str, least: float, n: int
) -> None:
    """Nothing is known at first; whatever happens, the bound holds, and after 8 jobs each allowed one was tried."""
    e = engine(known=False, objective=objective, min_accuracy=least)
    family, seen = e.family("net", "q"), set()
    for _ in range(n):
        ticket = family.select((4.0,))
        assert ticket.model.accuracy >= least
        seen.add(ticket.model.name)
        ticket.complete({"fp32": 0.2, "int8": 0.1, "tiny": 0.05}[ticket.model.name])
    if n >= 8:
        assert seen == {name for name, a in (("fp32", 0.8), ("int8", 0.7), ("tiny", 0.5)) if a >= least}


def test_a_busy_resource_makes_the_faster_variant_the_one_that_ends_on_time() -> None:
    """.35 s: a second fp32 job fits nowhere behind .2 s, an int8 job does."""
    family = engine(objective="accuracy").family("net", "q")
    tickets = [family.select((4.0,), deadline_s=0.35) for _ in range(3)]
    assert [t.model.name for t in tickets] == ["fp32", "fp32", "int8"]


def test_a_job_that_somebody_else_sent_teaches_the_variant_that_ran() -> None:
    e = engine()
    ticket = e.family("net", "q").observe("int8", "b", (4.0,))
    assert (ticket.model.name, ticket.resource.name) == ("int8", "b")
    ticket.complete(0.1)
    assert [e.profile("b", name).n_results for name in ("fp32", "int8", "tiny")] == [0, 1, 0]
    before = e._core.snapshot()
    with pytest.raises(tw.UnknownName, match="no variant 'int4' of 'net'; there are 'fp32', 'int8', 'tiny'"):
        e.family("net", "q").observe("int4", "b", (4.0,))
    assert e._core.snapshot() == before


def test_peek_shows_every_variant_and_changes_nothing() -> None:
    e = engine()
    before = e._core.snapshot()
    seen = e.family("net", "q").peek((4.0,))
    assert set(seen) == {"fp32", "int8", "tiny"}
    assert e._core.snapshot() == before


def test_variants_must_take_the_same_inputs_and_declare_their_accuracy() -> None:
    q = [tw.QoS("q", 1.0, objective="accuracy"), tw.QoS("plain", 1.0)]
    models = [
        tw.Model("a", SIZE, variant_of="net"),
        tw.Model("b", variant_of="net"),
        tw.Model("c", variant_of="x"),
    ]
    e = tw.Engine([tw.Resource("r")], models, q)
    with pytest.raises(tw.ConfigError, match="one request must suit them all"):
        e.family("net", "plain")
    with pytest.raises(tw.ConfigError, match="accuracy"):
        e.family("x", "q")
    with pytest.raises(tw.UnknownName, match="'y'"):
        e.family("y", "q")


def test_frozen_tries_no_variant_that_it_will_never_know() -> None:
    e = engine(known=False)
    for k in range(20):
        e.route("int8", "q").select((4.0,)).complete(0.1 + 0.001 * (k % 3))
    assert e.family("net", "q").select((4.0,)).model.name != "int8"
    e.mode("frozen")
    assert e.family("net", "q").select((4.0,)).model.name == "int8"
