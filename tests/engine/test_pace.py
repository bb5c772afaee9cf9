"""A job's own bound on its seconds per token: it stands in for its class's in everything that is decided of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tailwise as tw

LOOSE_S, OWN_S = 0.2, 0.025
LOST_S = 5e3  #: so long after its start a job is better copied than waited for
LLM = tw.Model("llm", (tw.Feature("prompt_tokens", typical=512),), signals=("ttft", "tpot"))
PLAIN = tw.Model("plain", ("n",))
CLASSES = [
    tw.QoS("loose", ttft_s=5.0, tpot_s=LOOSE_S, contract="best_effort", explore=False),
    tw.QoS("tight", ttft_s=5.0, tpot_s=OWN_S, contract="best_effort", explore=False),
    tw.QoS("sure", ttft_s=5.0, tpot_s=LOOSE_S, contract="guaranteed", explore=False),
    tw.QoS("whole", 60.0, contract="best_effort"),
    tw.QoS("first only", ttft_s=5.0, contract="best_effort"),
]
#: Seconds to the first token, and a token: "near" is the nearest but keeps no pace below 40 ms.
PACES = {"slow": (1.0, 0.04), "near": (0.1, 0.04), "far": (0.5, 0.02)}
SLOW, NEAR, FAR = (1 << lane for lane in range(3))


def scene(slots: int = 8) -> tuple[tw.Engine, tw.ManualClock]:
    """Three replicas, spreads of .05 in ln, answers of ten tokens."""
    clock = tw.ManualClock(10.0)
    e = tw.Engine(
        [tw.Resource(name, slots=slots) for name in PACES],
        [LLM, PLAIN],
        CLASSES,
        clock=clock,
        seed=1,
        health=None,
    )
    rng = np.random.default_rng(0)
    for _ in range(60):
        for lane, (ttft_s, tpot_s) in enumerate(PACES.values()):
            ticket = e.route("llm", "whole").select((512,), mask=1 << lane)
            first_s = ttft_s * math.exp(rng.normal(0, 0.05))
            ticket.first(first_s)
            ticket.complete(first_s + 9 * tpot_s * math.exp(rng.normal(0, 0.05)), tokens=10)
    return e, clock


def name_of(ticket: tw.Ticket | None) -> str:
    assert ticket is not None
    return str(ticket.resource.name)


def seen(told: tw.Explanation) -> dict[str, tuple[float, float | None]]:
    """Each candidate's P(on time) and the pace that it would be held to."""
    return {c.resource.name: (c.p_raw, c.tpot_bound_s) for c in (*told, *told.excluded)}


def bounds(told: tw.Explanation) -> dict[str, float | None]:
    return {name: bound for name, (_, bound) in seen(told).items()}


def told(ticket: tw.Ticket) -> tuple[Any, ...]:
    return ticket.lane, ticket.reason, ticket.p_raw, ticket.p_on_time, ticket.bound_s, ticket.propensity


def test_a_jobs_own_pace_decides_as_if_its_class_had_it() -> None:
    e, _ = scene()
    loose, tight = e.route("llm", "loose"), e.route("llm", "tight")
    own = loose.select((512,), tpot_s=OWN_S)
    theirs = tight.select((512,))
    assert told(own) == told(theirs)
    assert name_of(own) == "far"
    own.cancel()
    theirs.cancel()
    assert name_of(loose.select((512,))) == "near"


def test_the_classes_own_number_changes_nothing_that_is_told() -> None:
    alike = [scene()[0].route("llm", "loose") for _ in range(2)]
    assert told(alike[0].select((512,))) == told(alike[1].select((512,), tpot_s=LOOSE_S))


def test_a_laxer_one_than_the_classes_counts_as_well() -> None:
    e, _ = scene()
    assert name_of(e.route("llm", "tight").select((512,), tpot_s=LOOSE_S)) == "near"


def test_a_guaranteed_class_promises_the_jobs_own_pace_or_refuses() -> None:
    e, _ = scene()
    route = e.route("llm", "sure")
    assert route.select((512,), tpot_s=0.01).reason == "guarantee"
    kept = route.select((512,), tpot_s=OWN_S)
    assert (kept.admitted, name_of(kept)) == (True, "far")


def test_others_spare_a_job_that_was_promised_more_than_its_class_asks() -> None:
    e, _ = scene()
    route = e.route("llm", "loose")
    assert bounds(route.peek((512,))) == dict.fromkeys(PACES, LOOSE_S)
    held = route.select((512,), mask=NEAR, tpot_s=0.01)
    assert bounds(route.peek((512,))) == {"slow": LOOSE_S, "near": pytest.approx(0.01), "far": LOOSE_S}
    assert name_of(route.select((512,))) == "far"
    held.cancel()
    assert name_of(route.select((512,))) == "near"


@pytest.mark.parametrize(("own", "goes_to"), [({}, "near"), ({"tpot_s": OWN_S}, "far")])
def test_a_retry_keeps_it(own: dict[str, float], goes_to: str) -> None:
    e, _ = scene()
    ticket = e.route("llm", "loose").select((512,), mask=SLOW, **own)
    assert name_of(ticket.retry()) == goes_to


@pytest.mark.parametrize(("own", "goes_to"), [({}, "near"), ({"tpot_s": OWN_S}, "far")])
def test_a_copy_keeps_it(own: dict[str, float], goes_to: str) -> None:
    e, clock = scene()
    ticket = e.route("llm", "loose").select((512,), mask=SLOW, deadline_s=1e6, **own)
    clock.advance(LOST_S)
    assert name_of(ticket.copy()) == goes_to


@pytest.mark.parametrize(("own", "moves"), [({}, True), ({"tpot_s": OWN_S}, False)])
def test_a_job_decided_on_again_keeps_it(own: dict[str, float], moves: bool) -> None:
    """It waits on "far", which keeps its pace, with "near" idle."""
    e, _ = scene(slots=1)
    route = e.route("llm", "loose")
    running = route.select((512,), mask=FAR)
    ticket = route.select((512,), mask=FAR, **own)
    assert ticket.reconsider(mask=NEAR | FAR) is moves
    assert name_of(ticket) == ("near" if moves else "far")
    running.cancel()


@pytest.mark.parametrize(("own", "on_time"), [({}, 1.0), ({"tpot_s": OWN_S}, 0.0), ({"tpot_s": 0.04}, 1.0)])
@pytest.mark.parametrize("of", ["the ticket", "a retry", "a copy"])
def test_the_certificate_holds_the_answer_to_it(own: dict[str, float], on_time: float, of: str) -> None:
    """Ten tokens at 30 ms."""
    e, clock = scene()
    before = e.certificate("loose").n
    ticket = e.route("llm", "loose").select((512,), mask=SLOW, deadline_s=1e6, **own)
    first = ticket
    if of == "a retry":
        ticket = ticket.retry()
    elif of == "a copy":
        clock.advance(LOST_S)
        copy = ticket.copy()
        assert copy is not None
        ticket = copy
    ticket.first(0.1)
    ticket.complete(0.1 + 9 * 0.03, tokens=10)
    if of == "a copy":
        first.cancel()
    now = e.certificate("loose")
    assert (now.n - before, now.on_time) == (1, on_time)


def test_a_batch_decides_as_its_jobs_one_by_one() -> None:
    one, many = scene()[0].route("llm", "loose"), scene()[0].route("llm", "loose")
    paces = [OWN_S, LOOSE_S, 0.01, OWN_S]
    X = np.full((4, 1), 512.0)
    singly = [one.select((512,), tpot_s=pace) for pace in paces]
    assert [told(t) for t in many.select_many(X, tpot_s=paces)] == [told(t) for t in singly]
    assert [name_of(t) for t in singly[:2]] == ["far", "near"]
    of_all = scene()[0].route("llm", "loose").select_many(X, tpot_s=OWN_S)
    assert [name_of(t) for t in of_all] == ["far"] * 4
    with pytest.raises(tw.InputError, match="row 2: tpot_s=0"):
        many.select_many(X, tpot_s=[OWN_S, OWN_S, 0.0, OWN_S])


@pytest.mark.parametrize("mode", ["shadow", "frozen", "bypass"])
def test_it_is_taken_in_every_mode(mode: str) -> None:
    e, _ = scene()
    e.mode(mode)
    ticket = e.route("llm", "loose").select((512,), default="near", tpot_s=OWN_S)
    assert name_of(ticket) == ("far" if mode == "frozen" else "near")
    assert mode != "shadow" or ticket.preferred.name == "far"
    assert ticket.retry().admitted
    assert e.route("llm", "loose").select_many([(512,)], tpot_s=OWN_S)[0].admitted


def test_looking_sees_it() -> None:
    e, _ = scene()
    route = e.route("llm", "loose")
    told_of = seen(route.peek((512,), tpot_s=OWN_S))
    assert told_of == seen(e.route("llm", "tight").peek((512,)))
    observed = route.observe("near", (512,), tpot_s=OWN_S)
    assert (observed.preferred.name, observed.p_raw) == ("far", told_of["near"][0])
    observed.cancel()
    for explain in (False, True):
        ticket = route.select((512,), tpot_s=OWN_S, explain=explain)
        assert bounds(ticket.explain()) == pytest.approx(dict.fromkeys(PACES, OWN_S))
        ticket.cancel()


def test_a_family_chooses_its_variant_by_it() -> None:
    """Both variants answer after .1 s; the better one takes 40 ms a token."""
    variants = [
        tw.Model(f"llm-{name}", LLM.features, signals=LLM.signals, variant_of="llm", accuracy=accuracy)
        for name, accuracy in (("best", 0.9), ("fast", 0.5))
    ]
    qos = tw.QoS("q", ttft_s=5.0, tpot_s=LOOSE_S, objective="accuracy", explore=False)
    e = tw.Engine([tw.Resource("r", slots=8)], variants, [qos], clock=tw.ManualClock(), seed=1)
    for model, tpot_s in (("llm-best", 0.04), ("llm-fast", 0.02)):
        for k in range(30):
            ticket = e.route(model, "q").select((512,))
            ticket.first(0.1)
            ticket.complete(0.1 + 9 * tpot_s * math.exp((-1) ** k * 0.05), tokens=10)
    family = e.family("llm", "q")
    assert family.select((512,)).model.name == "llm-best"
    assert family.select((512,), tpot_s=OWN_S).model.name == "llm-fast"


BAD = {
    "none at all": 0.0,
    "a negative one": -1.0,
    "NaN": math.nan,
    "infinite": math.inf,
    "a text": "0.1",
    "too large an int": 10**400,
}
CALLS: dict[str, Callable[[tw.Route, Any], object]] = {
    "select": lambda route, pace: route.select((1.0,), tpot_s=pace),
    "select, to be explained": lambda route, pace: route.select((1.0,), tpot_s=pace, explain=True),
    "select_many": lambda route, pace: route.select_many([(1.0,)], tpot_s=pace),
    "peek": lambda route, pace: route.peek((1.0,), tpot_s=pace),
    "observe": lambda route, pace: route.observe("near", (1.0,), tpot_s=pace),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("pace", BAD.values(), ids=BAD)
def test_one_that_is_none_is_refused_and_changes_nothing(
    call: Callable[[tw.Route, Any], object], pace: Any
) -> None:
    e, _ = scene()
    before = e._core.snapshot()
    with pytest.raises(tw.InputError, match="tpot_s="):
        call(e.route("llm", "loose"), pace)
    assert e._core.snapshot() == before


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(("model", "qos"), [("llm", "first only"), ("llm", "whole"), ("plain", "whole")])
def test_a_class_without_a_pace_says_so_and_nothing_changes(
    call: Callable[[tw.Route, Any], object], model: str, qos: str
) -> None:
    e, _ = scene()
    before = e._core.snapshot()
    with pytest.raises(tw.InputError, match=f"class '{qos}' has no tpot_s"):
        call(e.route(model, qos), OWN_S)
    assert e._core.snapshot() == before


@pytest.mark.parametrize("pace", [5e-324, 1e-300, 1e300])
def test_numbers_at_the_ends_of_float64_stay_numbers(pace: float) -> None:
    e, _ = scene()
    ticket = e.route("llm", "loose").select((512,), tpot_s=pace)
    assert ticket.p_raw == pytest.approx(float(pace > 1.0), abs=0.05)
    assert 0.0 <= e.route("llm", "loose").select((512,)).p_on_time <= 1.0
    ticket.complete(1.0, tokens=10)
    assert e.route("llm", "loose").select((512,)).admitted
