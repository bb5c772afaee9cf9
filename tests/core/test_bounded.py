"""What one call may do, however many resources and models there are; and that no decision rebuilds a belief."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tailwise as tw
from tests.states import SEEDS

MANY = 300  # resources: of every 64 something is bounded by, four and a part


def engine(
    n_resources: int, n_models: int = 1, tau_s: float = math.inf, detect_change: bool = False
) -> tw.Engine:
    return tw.Engine(
        [tw.Resource(f"r{i}") for i in range(n_resources)],
        [tw.Model(f"m{m}", (tw.Feature("size", typical=1.0),)) for m in range(n_models)],
        [tw.QoS("q", 1.0, contract="best_effort")],
        clock=tw.ManualClock(),
        tau_s=tau_s,
        detect_change=detect_change,
        seed=1,
    )


def learn(e: tw.Engine, lane: int, seconds: float = 0.1, model: int = 0, size: float = 1.0) -> None:
    e.route(f"m{model}", "q").select((size,), mask=1 << lane).complete(seconds)


LATENCY = ("mean", "factor", "scale2", "dof")


def served(e: tw.Engine, lanes: Iterable[int], model: int = 0) -> list[bytes]:
    """By lane, what is served of its latency; availability may change with a look at running jobs."""
    rows = [e._core.served(model, lane) for lane in lanes]
    return [b"".join(np.asarray(row[k]).tobytes() for k in LATENCY) for row in rows]


def n_changed(before: list[bytes], after: list[bytes]) -> int:
    return sum(a != b for a, b in zip(before, after, strict=True))


@given(seed=SEEDS, tau_s=st.sampled_from([0.5, 300.0, math.inf]))
@settings(max_examples=40)
def test_no_decision_rebuilds_a_belief(seed: int, tau_s: float) -> None:
    """Not with results that were not served yet, nor with copies long out of date, nor where jobs overstay."""
    rng, n = np.random.default_rng(seed), 20
    e = engine(n, 2, tau_s, detect_change=True)
    clock, route = e.clock, e.route("m0", "q")
    assert isinstance(clock, tw.ManualClock)
    for _ in range(int(rng.integers(0, 400))):
        lane, model = int(rng.integers(n)), int(rng.integers(2))
        learn(e, lane, float(rng.exponential(0.1)), model, float(rng.exponential()))
    for _ in range(30):
        clock.advance(float(rng.choice([0.0, 0.01, 1.0, 1000.0])))
        before = [served(e, range(n), model) for model in range(2)]
        ticket = route.select((float(rng.exponential()),))
        ticket.start()
        if rng.random() < 0.3:
            ticket.cancel()
        assert [served(e, range(n), model) for model in range(2)] == before


def test_a_rebuild_reads_the_64_resources_that_reported_last() -> None:
    e = engine(MANY)
    for lane in range(MANY - 1):
        learn(e, lane, 0.1 if lane < 200 else 0.2)
    for lane, n_others in ((MANY - 1, 64), (0, 64), (MANY - 2, 63)):  # its own are not borrowed
        assert e._core.posterior(0, lane)["n_pool"] == pytest.approx(n_others)
    assert math.exp(e._core.posterior(0, MANY - 1)["mean"][0]) == pytest.approx(0.2, rel=0.1)
    learn(e, 0)
    assert e._core.posterior(0, 0)["n_pool"] == pytest.approx(63)


def test_who_reports_while_64_others_do_is_among_those_that_are_read() -> None:
    """Whoever was pushed out is in again with the next result, for the next 63 of others that come in."""
    e = engine(100)
    for lane in range(100):
        learn(e, lane)
    for _ in range(3):
        learn(e, 7)
    n_own = e._core.posterior(0, 7)["n"]
    assert e._core.posterior(0, 8)["n_pool"] == pytest.approx(63 + n_own)


@pytest.mark.parametrize("n_known", [0, 1, 100])
def test_one_result_rewrites_the_copies_of_65_resources_at_most(n_known: int) -> None:
    """Its own and those of 64 that have no result yet."""
    e = engine(MANY)
    for lane in range(n_known):
        learn(e, lane, 0.1 * (1 + lane % 2))
    for lane in (0, 5, 299):
        before = served(e, range(MANY))
        learn(e, lane, 0.5)
        assert 1 <= n_changed(before, served(e, range(MANY))) <= 65


def test_every_resource_without_a_result_has_soon_heard_of_the_first_one() -> None:
    """With 300 of them after five results, wherever these were: 300 / 64."""
    e = engine(MANY)
    vague = served(e, [MANY - 1])[0]
    for _ in range(5):
        learn(e, 17, 0.1)
    assert vague not in served(e, range(MANY))
    for lane in (0, 150, 299):
        assert math.exp(e._core.served(0, lane)["mean"][0]) == pytest.approx(0.1, rel=0.2)


def test_a_newcomer_hears_of_the_others_at_once() -> None:
    e = engine(MANY)
    for _ in range(3):
        learn(e, 17, 0.1)
    lane = e.add(tw.Resource("new"))
    assert math.exp(e._core.served(0, lane)["mean"][0]) == pytest.approx(0.1, rel=0.2)
    e.reset("r17", "m0")
    learn(e, 18, 0.4)
    lane = e.add(tw.Resource("newer"))
    assert math.exp(e._core.served(0, lane)["mean"][0]) == pytest.approx(0.4, rel=0.2)


def test_an_alarm_rebuilds_eight_models_at_once_and_the_others_with_the_next_results() -> None:
    """Twenty models that know 30 results of a resource, which count as 8 once it is said to have changed."""
    e = engine(2, 20)
    for model in range(20):
        for _ in range(30):
            learn(e, 0, 0.1, model)

    def n_rebuilt() -> int:
        return sum(e._core.served(model, 0)["dof"] < 4 + 9 for model in range(20))

    assert n_rebuilt() == 0
    e.changed("r0")
    assert n_rebuilt() == 8
    learn(e, 1)
    assert n_rebuilt() == 16
    learn(e, 1)
    assert n_rebuilt() == 20


def test_resources_that_hang_are_found_in_portions() -> None:
    """A call looks at 64 of 300: after five decisions all that hang are doubted, the last one, too."""
    e = engine(MANY, detect_change=True)
    for lane in (0, 130, 299):
        for _ in range(10):
            learn(e, lane, 0.1)
    clock, route = e.clock, e.route("m0", "q")
    assert isinstance(clock, tw.ManualClock)
    held = [route.select((1.0,), mask=1 << lane) for lane in (0, 130, 299)]
    clock.advance(10.0)
    found = []
    for _ in range(len(held) + 2):
        held.append(route.select((1.0,), mask=1 << 200))
        found.append([lane for lane in (0, 130, 299) if e._core.overdue(lane)])
    assert found == [[0], [0], [0, 130], [0, 130], [0, 130, 299]]


def test_jobs_that_start_while_the_others_are_looked_at_are_not_forgotten() -> None:
    """The first portion is through when a job starts there, that is due before all others."""
    e = engine(MANY, detect_change=True)
    for lane in (0, 299):
        for _ in range(10):
            learn(e, lane, 0.1 if lane == 0 else 10.0)
    clock, route = e.clock, e.route("m0", "q")
    assert isinstance(clock, tw.ManualClock)
    held = [route.select((1.0,), mask=1 << 299)]
    clock.advance(25.0)
    held.append(route.select((1.0,), mask=1 << 200))  # the first portion
    held.append(route.select((1.0,), mask=1 << 0))  # the second one
    held += [route.select((1.0,), mask=1 << 200) for _ in range(3)]
    clock.advance(1.0)
    held.append(route.select((1.0,), mask=1 << 200))
    assert e._core.overdue(0) == 1


def test_silent_resources_are_asked_in_portions() -> None:
    """Of 128 all but one are silent, and a decision looks at 64: the other half is next, not the same again."""
    e = engine(128, detect_change=True)
    for lane in range(128):
        learn(e, lane)
    clock, asked = e.clock, []
    assert isinstance(clock, tw.ManualClock)
    for _ in range(4 * 112):
        ticket = e.route("m0", "q").select((1.0,))
        if ticket.probe:
            asked.append(ticket.lane // 64)
        clock.advance(0.01)
        ticket.complete(0.1)
    assert asked == [0, 1, 0, 1]
