"""Throughput is learned per profile: items per second of busy time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings

import tailwise as tw
from tailwise._core.reference import throughput as ref
from tests.states import SEEDS

TAU_S = 50.0


def engine(*names: str, min_throughput: float = 0.0, clock: tw.ManualClock | None = None) -> tw.Engine:
    return tw.Engine(
        [tw.Resource(name) for name in names],
        [tw.Model("m", (tw.Feature("batch", typical=8.0),), items="batch", tau_s=TAU_S)],
        [
            tw.QoS("q", 60.0, contract="best_effort", min_throughput=min_throughput, explore=False),
            tw.QoS("free", 60.0, contract="best_effort"),
        ],
        clock=clock or tw.ManualClock(),
        seed=1,
    )


def only(e: tw.Engine, name: str, batch: float, seconds: float) -> None:
    e.route("m", "free").select((batch,), mask=1 << e.lane(name)).complete(seconds)


@given(seed=SEEDS)
@settings(max_examples=60)
def test_throughput_is_that_of_the_weighted_rows(seed: int) -> None:
    """1e-9 relative: sums of at most 60 positive float64 terms; a logarithm and back adds a few 1e-16 each."""
    rng = np.random.default_rng(seed)
    clock = tw.ManualClock()
    e, work, alarms = engine("r", clock=clock), ref.Work.none(), 0
    route, shift = e.route("m", "q"), 0.0
    for _ in range(60):
        gap_s = float(rng.exponential(10.0))
        clock.advance(gap_s)
        work = ref.fade_work(work, gap_s, TAU_S)
        shift += 2.0 * (rng.random() < 0.05)
        batch, seconds = float(rng.integers(1, 33)), float(rng.lognormal(shift - 2.0, 0.3))
        ticket = route.select((batch,))
        if rng.random() < 0.1:
            ticket.fail()
            continue
        ticket.complete(seconds)
        if e.counters["n_alarms"] > alarms:
            alarms, work = e.counters["n_alarms"], ref.discount_work(work)
        work = ref.observe_work(work, batch, seconds)
        asked = float(rng.integers(1, 33))
        x = np.array([1.0, math.log(asked / 8.0)])
        seen = e._core.throughput(0, 0, x, 0.5)
        assert seen == pytest.approx(ref.throughput(work, asked, 0.5), rel=1e-9)


def test_a_server_that_takes_longer_and_does_more_gets_the_class_that_asks_for_throughput() -> None:
    """80 ms for one item is 12 a second. 400 ms for 32 items, 300 ms for a single one now and then, are 68."""
    for min_throughput, chosen in ((0.0, "single"), (40.0, "batch")):
        e = engine("single", "batch", min_throughput=min_throughput)
        for i in range(20):
            only(e, "single", 1.0, 0.08)
            only(e, "batch", *((1.0, 0.3) if i % 5 == 0 else (32.0, 0.4)))
        seen = {c.resource.name: c for c in e.route("m", "free").peek((1.0,))}
        assert seen["single"].service_s < seen["batch"].service_s
        assert seen["single"].throughput_per_s < 40.0 < seen["batch"].throughput_per_s
        ticket = e.route("m", "q").select((1.0,))
        assert (ticket.resource.name, ticket.reason) == (chosen, None)


def test_with_nothing_known_it_is_the_forecast() -> None:
    seen = engine("r").profile("r", "m")
    assert seen.throughput_per_s == pytest.approx(8.0 / seen.mean_s)


def test_reset_forgets_it_and_frozen_learns_none() -> None:
    e = engine("r")
    before = e.profile("r", "m").throughput_per_s
    only(e, "r", 8.0, 0.1)
    assert e.profile("r", "m").throughput_per_s > before
    e.reset("r", "m")
    assert e.profile("r", "m").throughput_per_s == pytest.approx(before, rel=1e-12)
    e.mode("frozen")
    only(e, "r", 8.0, 0.1)
    assert e.profile("r", "m").throughput_per_s == pytest.approx(before, rel=1e-12)


def test_items_names_a_feature_of_the_model() -> None:
    with pytest.raises(tw.ConfigError, match="items"):
        tw.Model("m", ("n",), items="batch")


def test_of_answers_it_is_items_by_the_seconds_from_start_to_end() -> None:
    """Tokens are not items: 20 answers in 2 s each; the request asked about adds one job of 1 s."""
    e = tw.Engine(
        [tw.Resource("r")],
        [tw.Model("m", (tw.Feature("batch", typical=8.0),), signals=("ttft", "tpot"), items="batch")],
        [tw.QoS("q", 60.0, contract="best_effort")],
        clock=tw.ManualClock(),
        seed=1,
    )
    for _ in range(20):
        ticket = e.route("m", "q").select((4.0,))
        ticket.start()
        ticket.first(0.1)
        ticket.complete(2.0, tokens=100)
    seen = e._core.throughput(0, 0, np.array([1.0, 0.0]), 1.0)
    assert seen == pytest.approx((20 * 4.0 + 8.0) / (20 * 2.0 + 1.0), rel=1e-12)
    [candidate] = e.route("m", "q").peek((8.0,))
    assert candidate.busy_s is not None
    assert candidate.throughput_per_s == pytest.approx((80.0 + 8.0) / (40.0 + candidate.busy_s), rel=1e-9)
    assert e.profile("r", "m").throughput_per_s == pytest.approx(candidate.throughput_per_s, rel=1e-4)


def test_throughput_of_engines_that_are_merged_is_that_of_all_their_jobs() -> None:
    """16 items in 1 s there, 8 items a second here, as many jobs: weighted as of the moment of each."""
    clock = tw.ManualClock()
    here, there = engine("r", clock=clock), engine("r", clock=clock)
    for _ in range(40):
        only(here, "r", 8.0, 1.0)
        only(there, "r", 16.0, 1.0)
    clock.advance(20.0)
    here.merge(there.statistics())
    work = here._core.work(0, 0)
    left = math.exp(-20.0 / TAU_S)
    assert work == pytest.approx((40 * 24.0 * left, 80 * left, 80 * left))
    assert here._core.throughput(0, 0, np.array([1.0, 0.0]), 1.0) == pytest.approx(
        (work[0] + 8.0) / (work[1] + 1.0)
    )
