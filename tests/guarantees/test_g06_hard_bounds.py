"""Guarantee 6: a resource that a hard bound excludes is never chosen; when nothing qualifies the ticket says so."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tailwise as tw
from tests.states import SEEDS, random_mask

LABELS = ("fp8", "eu", "big")


def random_fleet(seed: int, k: int, contract: str) -> tuple[tw.Engine, np.random.Generator]:
    """Prices, labels, memory and speeds at random; some resources known, some not, some drained, some loaded."""
    rng = np.random.default_rng(seed)
    resources = [
        tw.Resource(
            f"r{i}",
            slots=int(rng.integers(1, 3)),
            cost_per_s=float(rng.choice([0.0, rng.exponential(1.0)])),
            labels=frozenset(label for label in LABELS if rng.random() < 0.7),
            memory_bytes=int(rng.integers(1, 100)) if rng.random() < 0.8 else None,
        )
        for i in range(k)
    ]
    model = tw.Model(
        "m",
        (tw.Feature("n", typical=4.0),),
        requires=frozenset(label for label in LABELS if rng.random() < 0.3),
        memory_bytes=int(rng.integers(0, 60)),
        accuracy=float(rng.uniform(0.6, 1.0)),
    )
    bound = tw.QoS(
        "bound",
        float(rng.exponential(0.3)),
        0.9,
        contract=contract,
        explore=bool(rng.random() < 0.7),
        min_accuracy=float(rng.choice([0.0, 0.7])),
        max_cost=float(rng.choice([math.inf, rng.exponential(0.1)])),
        min_throughput=float(rng.choice([0.0, rng.exponential(10.0)])),
    )
    free = tw.QoS("free", 60.0, priority=1, contract="best_effort")
    e = tw.Engine(resources, [model], [bound, free], clock=tw.ManualClock(), seed=seed)
    speed = rng.normal(-2.5, 0.7, k)
    route = e.route("m", "free")
    for _ in range(int(rng.integers(0, 6 * k))):
        ticket = route.select((float(rng.exponential(4.0)) + 0.1,))
        if ticket.admitted:
            ln_s = float(rng.normal(speed[e.lane(ticket.resource.name)], 0.2))
            ticket.complete(math.exp(ln_s)) if rng.random() < 0.95 else ticket.fail()
    if rng.random() < 0.3:
        e.drain(f"r{int(rng.integers(k))}")
    return e, rng


@given(
    seed=SEEDS,
    k=st.sampled_from([1, 2, 5, 17, 40]),
    contract=st.sampled_from(["best_effort", "standard", "guaranteed"]),
)
@settings(max_examples=150)
def test_no_bound_is_ever_broken_and_a_refusal_names_the_one_that_left_nobody(
    seed: int, k: int, contract: str
) -> None:
    """By the ticket's own float64 forecast; 2e-4 of a bound is what is kept back for float32 (1e-4) and its error."""
    e, rng = random_fleet(seed, k, contract)
    model, bound = e.models[0], e.qos[0]
    route, held = e.route("m", "bound"), []
    for _ in range(12):
        x = (float(rng.exponential(4.0)) + 0.1,)
        mask = random_mask(k, rng, np.ones(k, dtype=bool))
        ticket = route.select(x, mask=mask, explain=True)
        allowed = {r.name: r for i, r in enumerate(e.resources) if mask is None or mask >> i & 1}
        homes = {n for n, r in allowed.items() if model.requires <= r.labels}
        fits = {
            n
            for n in homes
            if allowed[n].memory_bytes is None or allowed[n].memory_bytes >= model.memory_bytes
        }
        if ticket.admitted:
            assert ticket.resource.name in fits
            assert model.accuracy is not None
            assert model.accuracy >= bound.min_accuracy
            assert ticket.service_s * ticket.resource.cost_per_s <= bound.max_cost
            everybody = (
                *ticket.explain(),
                *ticket.explain().excluded,
            )  # a probe goes where a claim is too low
            seen = next(c for c in everybody if c.resource is ticket.resource)
            assert seen.throughput_per_s >= bound.min_throughput * (1 - 1e-6)
            held.append(ticket)
            continue
        if ticket.reason == "no_resource":
            assert fits or ticket.resource is None
            continue
        assert ticket.resource.name in allowed
        if ticket.reason == "affinity":
            assert not homes
        elif ticket.reason == "memory":
            assert homes
            assert not fits
        else:
            assert fits
        if ticket.reason == "accuracy":
            assert model.accuracy < bound.min_accuracy
        if ticket.reason in ("cost", "throughput"):
            cheap = {
                c.resource.name: c
                for c in e.route("m", "free").peek(x, mask=mask)
                if c.service_s * c.resource.cost_per_s <= bound.max_cost * (1 - 2e-4)
            }
            assert not cheap if ticket.reason == "cost" else cheap
            fast = [c for c in cheap.values() if c.throughput_per_s >= bound.min_throughput * (1 + 2e-4)]
            assert not fast
    assert e.in_flight == len(held)


def engine(**bounds: object) -> tw.Engine:
    """A dear fast one and a cheap slow one, both known: .1 s at 10 a second, .4 s at 1 a second."""
    return tw.Engine(
        [tw.Resource("dear", cost_per_s=10.0), tw.Resource("cheap", cost_per_s=1.0)],
        [tw.Model("m", accuracy=0.76)],
        [tw.QoS("q", 1.0, contract="best_effort", **bounds)],  # type: ignore[arg-type]
        profiles=[tw.Profile("dear", "m", 0.1, 0.1, 1e6), tw.Profile("cheap", "m", 0.4, 0.1, 1e6)],
        clock=tw.ManualClock(),
        seed=1,
    )


@pytest.mark.parametrize(
    ("bounds", "chosen", "reason"),
    [
        ({}, "dear", None),
        ({"max_cost": 1.01}, "dear", None),
        ({"max_cost": 0.99}, "cheap", None),
        ({"max_cost": 0.39}, "dear", "cost"),
        ({"min_throughput": 9.0}, "dear", None),
        ({"min_throughput": 11.0}, "dear", "throughput"),
        ({"max_cost": 0.99, "min_throughput": 2.4}, "cheap", None),
        ({"max_cost": 0.99, "min_throughput": 2.6}, "cheap", "throughput"),
        ({"min_accuracy": 0.76}, "dear", None),
        ({"min_accuracy": 0.77}, "dear", "accuracy"),
        ({"min_accuracy": 0.77, "max_cost": 0.01}, "dear", "accuracy"),
    ],
)
def test_each_bound_decides_where_a_job_goes_or_why_it_does_not(
    bounds: dict[str, float], chosen: str, reason: str | None
) -> None:
    """The nearest candidate of a refusal kept all bounds before the one that left nobody."""
    ticket = engine(**bounds).route("m", "q").select(())
    assert (ticket.resource.name, ticket.reason) == (chosen, reason)


def static_engine() -> tw.Engine:
    return tw.Engine(
        [
            tw.Resource("home", labels=frozenset({"eu"}), memory_bytes=10),
            tw.Resource("away", memory_bytes=100),
            tw.Resource("both", labels={"eu", "fp8"}, memory_bytes=100),  # type: ignore[arg-type]
        ],
        [
            tw.Model("anywhere"),
            tw.Model("local", requires=frozenset({"eu"}), memory_bytes=50),
            tw.Model("huge", memory_bytes=1000),
            tw.Model("mars", requires=frozenset({"mars"})),
        ],
        [tw.QoS("q", 10.0)],
        clock=tw.ManualClock(),
        seed=1,
    )


def test_labels_and_memory_leave_those_that_have_them() -> None:
    e = static_engine()
    assert e.candidates("anywhere") == (0, 1, 2)
    assert e.candidates("local") == (2,)
    assert {e.route("local", "q").select(()).resource.name for _ in range(20)} == {"both"}


@pytest.mark.parametrize(
    ("model", "mask", "reason"),
    [
        ("huge", None, "memory"),
        ("mars", None, "affinity"),
        ("local", 0b001, "memory"),
        ("local", 0b010, "affinity"),
    ],
)
def test_a_model_that_fits_nowhere_is_refused_with_the_reason(
    model: str, mask: int | None, reason: str
) -> None:
    e = static_engine()
    ticket = e.route(model, "q").select((), mask=mask)
    assert (ticket.admitted, ticket.reason) == (False, reason)
    assert mask is None or 1 << e.lane(ticket.resource.name) == mask
    assert 0 < ticket.p_on_time < 1
    assert e.in_flight == 0


def test_a_resource_that_joins_later_is_held_to_the_same_bounds() -> None:
    e = static_engine()
    e.add(tw.Resource("tiny", labels=frozenset({"mars"}), memory_bytes=1, cost_per_s=2.0))
    assert e.candidates("mars") == (3,)
    assert 3 not in e.candidates("local")
    assert e.route("mars", "q").select(()).resource.name == "tiny"


def test_drained_is_another_reason_than_excluded() -> None:
    e = static_engine()
    e.drain("both")
    assert e.route("local", "q").select(()).reason == "no_resource"


def test_a_class_that_bounds_accuracy_needs_a_model_that_declares_it() -> None:
    e = tw.Engine([tw.Resource("r")], [tw.Model("m")], [tw.QoS("q", 1.0, min_accuracy=0.5)])
    with pytest.raises(tw.ConfigError, match=r"accuracy=\.\.\."):
        e.route("m", "q")
