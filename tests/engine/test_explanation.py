"""A decision explains itself: what each candidate looked like, what kept it out, with which chance it was chosen."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tailwise as tw
from tests.states import SEEDS, SIZES, random_request, random_state


@given(k=SIZES, seed=SEEDS)
@settings(max_examples=40)
def test_an_explained_ticket_says_what_peek_said_just_before(k: int, seed: int) -> None:
    """Lines are drawn at the moment, so no close look changes what was compared."""
    twin, rng = random_state(k, seed)
    route = twin.routes[0]
    for candidate in route.peek((8.0, 1.0)):
        twin.redraw(twin.engine.lane(candidate.resource.name), (8.0, 1.0))
    u, Z = random_request(k, rng)
    seen = route.peek(u, Z)
    ticket = route.select(u, Z, explain=True)
    twin.advance(1.0)
    told = ticket.explain()
    assert [c.resource for c in told] == [c.resource for c in seen]
    for a, b in zip(told, seen, strict=True):
        assert (a.wait_s, a.service_s, a.p_on_time, a.score, a.propensity) == (
            (b.wait_s, b.service_s, b.p_on_time, b.score, b.propensity)
        )
    (chosen,) = (c for c in told if c.resource is ticket.resource)
    assert (chosen.wait_s, chosen.service_s, chosen.p_on_time) == (
        (ticket.wait_s, ticket.service_s, ticket.p_on_time)
    )
    assert chosen.propensity == pytest.approx(ticket.propensity)
    assert sum(c.propensity for c in told) == pytest.approx(1.0)
    assert not told.recomputed
    ticket.cancel()


def engine(**qos: object) -> tw.Engine:
    return tw.Engine(
        [
            tw.Resource("fast", cost_per_s=9.0),
            tw.Resource("slow", cost_per_s=1.0),
            tw.Resource("small", memory_bytes=1),
            tw.Resource("gone"),
        ],
        [tw.Model("m", memory_bytes=2)],
        [tw.QoS("q", 1.0, **qos)],  # type: ignore[arg-type]
        profiles=[
            tw.Profile("fast", "m", 0.1, 0.1, 1e6),
            tw.Profile("slow", "m", 0.2, 0.1, 1e6),
            tw.Profile("gone", "m", 0.1, 0.1, 1e6),
        ],
        clock=tw.ManualClock(),
        seed=1,
    )


def test_an_explained_ticket_remembers_an_unexplained_one_recomputes_and_says_so() -> None:
    """Ten more jobs on the fast resource: only the second explanation knows of them."""
    e = engine(contract="best_effort")
    route = e.route("m", "q")
    explained, plain = route.select((), explain=True), route.select(())
    held = [route.select((), mask=1) for _ in range(10)]
    then, now = explained.explain(), plain.explain()
    assert {c.resource.name: c.wait_s for c in then}["fast"] == 0.0
    by_name = {c.resource.name: c for c in now}
    assert by_name["fast"].wait_s == pytest.approx(1.1, rel=0.01)
    assert by_name[plain.resource.name].wait_s == plain.wait_s
    assert (then.recomputed, now.recomputed) == (False, True)
    assert "recomputed" in str(now)
    assert "recomputed" not in str(then)
    assert len(held) == 10


def test_it_names_what_keeps_each_resource_out() -> None:
    e = engine(max_cost=0.5)
    e.drain("gone")
    seen = e.route("m", "q").peek(())
    assert [c.resource.name for c in seen] == ["slow"]
    assert {c.resource.name: c.excluded for c in seen.excluded} == {
        "fast": "cost",
        "small": "memory",
        "gone": "drained",
    }


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        ({"min_throughput": 100.0}, "throughput"),
        ({"max_cost": 0.001}, "cost"),
        ({"contract": "guaranteed", "on_time": 0.9999}, "guarantee"),
    ],
)
def test_a_refusal_explains_itself(bounds: dict[str, object], reason: str) -> None:
    e = engine(explore=False, **bounds)
    e.drain("gone")
    ticket = e.route("m", "q").select((), explain=True)
    told = ticket.explain()
    assert ticket.reason == reason
    assert not told
    assert {c.excluded for c in told.excluded if c.resource.name in ("fast", "slow")} == {reason}
    assert f"rejected ({reason})" in str(told)


def test_the_table_has_a_line_for_each_and_the_notebook_escapes_names() -> None:
    e = tw.Engine(
        [tw.Resource("<b>r</b>"), tw.Resource("s")],
        [tw.Model("m&m")],
        [tw.QoS("q", 1.0)],
        clock=tw.ManualClock(),
        seed=1,
    )
    seen = e.route("m&m", "q").peek(())
    assert len(str(seen).splitlines()) == 4
    assert "P(on time)" in str(seen)
    html = seen._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;r&lt;/b&gt;" in html
    assert html.count("<tr>") == 3


@given(k=SIZES, seed=SEEDS, policy=st.sampled_from(["greedy", "thompson", "ucb"]))
@settings(max_examples=30)
def test_explaining_changes_nothing(k: int, seed: int, policy: str) -> None:
    twin, rng = random_state(
        k, seed, [tw.QoS("a", 1.0, policy=policy, objective="cost"), tw.QoS("b", 1.0, priority=3)]
    )
    ticket = twin.routes[0].select(random_request(k, rng)[0])
    before = twin.engine._core.snapshot()
    twin.routes[0].peek(*random_request(k, rng))
    ticket.explain()
    assert twin.engine._core.snapshot() == before


def test_propensities_are_how_often_each_is_chosen() -> None:
    """Three idle equals of the same speed under Thompson sampling, one twice as fast, a dozen results each: 2000
    decisions against 256 draws: 5 sd of sqrt(p (1 - p) (1 / 2000 + 1 / 256))."""
    e = tw.Engine(
        [tw.Resource(f"r{i}") for i in range(4)],
        [tw.Model("m")],
        [tw.QoS("q", 100.0, policy="thompson")],
        clock=tw.ManualClock(),
        seed=1,
    )
    route, rng = e.route("m", "q"), np.random.default_rng(1)
    for lane in range(4):
        for _ in range(12):
            route.select((), mask=1 << lane).complete(float(np.exp(rng.normal(-2 - 0.3 * (lane == 0), 0.8))))
    expected = {c.resource.name: c.propensity for c in route.peek(())}
    counts: Counter[str] = Counter()
    for _ in range(2000):
        ticket = route.select(())
        assert ticket.propensity is None
        counts[ticket.resource.name] += 1
        ticket.cancel()
    assert sum(p > 0.02 for p in expected.values()) >= 2
    for name, p in expected.items():
        assert abs(counts[name] / 2000 - p) < 5 * np.sqrt(max(p * (1 - p), 0.01) * (1 / 2000 + 1 / 256))


@pytest.mark.parametrize("contract", ["standard", "guaranteed"])
def test_retry_after_is_when_the_wait_has_shrunk_enough(contract: str) -> None:
    """Refused behind a queue; once that many seconds of it are gone the same job is admitted, 5% sooner it is not."""
    clock = tw.ManualClock()
    qos = [
        tw.QoS("q", 1.0, 0.9, contract=contract, explore=False),
        tw.QoS("free", 60.0, priority=1, contract="best_effort"),
    ]
    e = tw.Engine([tw.Resource("r")], [tw.Model("m")], qos, clock=clock, seed=1)
    for _ in range(300):
        e.route("m", "free").select(()).complete(0.1)
    queued = [e.route("m", "free").select(()) for _ in range(20)]
    refused = e.route("m", "q").select(())
    assert not refused.admitted
    assert refused.retry_after_s is not None
    done, admitted_at = 0, None
    while admitted_at is None:
        clock.advance(0.1)
        queued[done].complete(0.1)
        done += 1
        ticket = e.route("m", "q").select(())
        if ticket.admitted:
            admitted_at = 0.1 * done
            ticket.cancel()
    assert admitted_at == pytest.approx(refused.retry_after_s, abs=0.11)
    for ticket in queued[done:]:
        ticket.cancel()


def test_waiting_does_not_help_a_job_that_is_too_slow_by_itself_or_out_of_bounds() -> None:
    e = engine(max_cost=0.001)
    assert e.route("m", "q").select(()).retry_after_s is None
    e = engine(contract="guaranteed", explore=False)
    assert e.route("m", "q").select((), deadline_s=0.01).retry_after_s is None
    assert e.route("m", "q").select(()).retry_after_s is None


def test_a_resource_that_is_removed_while_it_is_looked_at_is_left_out() -> None:
    """As it happens where another thread removes it between the look and the explanation."""
    e = engine()
    route = e.route("m", "q")
    rows = route._forecasts(())
    there = [None if r.name == "slow" else r for r in e.resources]
    told = tw.Explanation.of(route.model, route.qos, rows, there)
    names = {c.resource.name for c in (*told, *told.excluded)}
    assert "slow" not in names
    assert names == {c.resource.name for c in (*route.peek(()), *route.peek(()).excluded)} - {"slow"}
