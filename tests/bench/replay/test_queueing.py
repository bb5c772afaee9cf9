"""The simulator against what queueing theory, and its own rules, say of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

import tailwise as tw
from bench.replay.baselines.least_outstanding import LEAST_OUTSTANDING
from bench.replay.baselines.oracle import ORACLE
from bench.replay.baselines.p2c import P2C
from bench.replay.baselines.random import RANDOM
from bench.replay.baselines.round_robin import ROUND_ROBIN
from bench.replay.baselines.true_means import TRUE_MEANS
from bench.replay.drawn import Grid, draw_grid
from bench.replay.face import Baseline
from bench.replay.outcome import End, Outcome
from bench.replay.replayed import Replayed
from bench.replay.world import Event, World

URGENT = tw.QoS("urgent", 1.0, priority=0)
PATIENT = tw.QoS("patient", 10.0, priority=1)


def small(
    arrival_s: Sequence[float] | NDArray[np.float64],
    service_s: Sequence[Sequence[float]] | NDArray[np.float64],
    *,
    slots: Sequence[int] = (1,),
    qos: Sequence[int] | None = None,
    classes: tuple[tw.QoS, ...] = (URGENT, PATIENT),
    events: tuple[Event, ...] = (),
    interference: float = 0.0,
) -> World:
    """A world by hand: one model, no features."""
    n, service = len(arrival_s), np.array(service_s, dtype=np.float64)
    return World(
        classes=classes,
        models=(tw.Model("m"),),
        resources=tuple(tw.Resource(f"r{k}", slots=s) for k, s in enumerate(slots)),
        arrival_s=np.array(arrival_s, dtype=np.float64),
        qos=np.array([1] * n if qos is None else qos),
        model=np.zeros(n, dtype=np.int64),
        x=np.zeros((n, 0)),
        service_s=service,
        mean_s=service.copy(),
        interference=np.full(len(slots), interference),
        events=events,
    )


def played(world: World, baseline: Baseline = LEAST_OUTSTANDING, *, layered: bool = True) -> Outcome:
    return Replayed(baseline, layered).play(world, 1)


@pytest.mark.parametrize("slots", [1, 3])
def test_mean_wait_is_that_of_the_closed_form(slots: int) -> None:
    """M/M/c (Erlang C) at load .7. The waits of one busy period are correlated: the standard error comes from the
    means of 100 batches of 2,000 jobs, and 4 of them leave 1 chance in 16,000 that a right simulator fails."""
    rng, n, load = np.random.default_rng(7), 200_000, 0.7
    arrival_s = np.cumsum(rng.exponential(1.0 / (load * slots), n))
    service_s = rng.exponential(1.0, (n, 1))
    never_late = (tw.QoS("any", 1e9),)
    world = small(arrival_s, service_s, slots=(slots,), qos=[0] * n, classes=never_late)
    wait_s = played(world, layered=False).completion_s(world) - service_s[:, 0]
    offered = load * slots
    terms = np.cumprod([1.0] + [offered / k for k in range(1, slots + 1)])
    p_wait = terms[-1] / (1 - load) / (terms[:-1].sum() + terms[-1] / (1 - load))
    batches = wait_s.reshape(100, -1).mean(axis=1)
    expected = p_wait / (slots * (1.0 - load))
    assert abs(batches.mean() - expected) < 4.0 * batches.std(ddof=1) / 10.0


def test_a_bare_resource_serves_in_order_of_arrival_and_late_jobs_too() -> None:
    world = small([0.0, 0.1, 0.2], [[2.0], [1.0], [1.0]], qos=[1, 1, 0])
    outcome = played(world, layered=False)
    assert outcome.end_s.tolist() == pytest.approx([2.0, 3.0, 4.0])
    assert outcome.on_time(world).tolist() == [True, True, False]


def test_an_urgent_job_overtakes_those_that_wait_but_not_the_one_in_service() -> None:
    outcome = played(small([0.0, 0.1, 0.2], [[0.5], [1.0], [0.1]], qos=[1, 1, 0]))
    assert outcome.end_s.tolist() == pytest.approx([0.5, 1.6, 0.6])


def test_equal_priority_is_served_by_deadline() -> None:
    classes = (tw.QoS("late", 9.0), tw.QoS("soon", 2.0))
    outcome = played(small([0.0, 0.1, 0.2], [[0.5], [1.0], [1.0]], qos=[1, 0, 1], classes=classes))
    assert outcome.end_s.tolist() == pytest.approx([0.5, 2.5, 1.5])


def test_a_queued_job_is_dropped_at_its_deadline_by_the_clock() -> None:
    world = small([0.0, 0.1], [[5.0], [0.1]], qos=[1, 0])
    outcome = played(world)
    assert outcome.end.tolist() == [End.COMPLETED, End.EXPIRED]
    assert outcome.end_s[1] == pytest.approx(1.1)


def test_a_slow_down_takes_those_that_start_in_it_and_interference_those_beside_others() -> None:
    slow = (Event("slow", 0, 1.0, 2.0, 3.0),)
    outcome = played(small([0.5, 1.0, 2.5, 2.6], [[0.4]] * 4, events=slow, slots=(2,), interference=0.5))
    assert outcome.end_s.tolist() == pytest.approx([0.9, 2.2, 2.9, 2.6 + 0.4 * 1.5])


def test_what_hangs_is_given_up_by_its_caller_also_when_it_was_in_service() -> None:
    hang = (Event("hangs", 0, 1.0, 2.0),)
    outcome = played(small([0.5, 1.5], [[1.0], [1.0]], slots=(2,), events=hang))
    assert outcome.end.tolist() == [End.FAILED, End.FAILED]
    assert outcome.end_s.tolist() == pytest.approx([10.5, 11.5])


def test_a_failing_resource_is_ejected_and_comes_back_after_a_probe() -> None:
    """Idle resources take turns, so that 100 jobs a second would send 50 to the failing one; three in a row eject
    it, and by the end of 4 s its probes after 1, 2 (and 4) seconds have failed: 3 + 2. Failing ends at 5 s."""
    n = 1000
    fails = (Event("fails", 0, 0.0, 5.0),)
    world = small(np.arange(n) / 100.0, np.full((n, 2), 1e-3), slots=(1, 1), events=fails)
    outcome = played(world)
    there, failed = outcome.lane == 0, outcome.end == End.FAILED
    assert np.count_nonzero(failed & (world.arrival_s < 4.0)) == 5
    assert np.count_nonzero(there[world.arrival_s > 8.0]) > 50
    assert np.count_nonzero((played(world, layered=False).end == End.FAILED)[world.arrival_s < 4.0]) > 150


def test_nobody_is_sent_to_a_resource_before_it_joins() -> None:
    n = 400
    world = small(
        np.arange(n) / 100.0, np.full((n, 2), 1e-3), slots=(1, 1), events=(Event("absent", 0, 0.0, 2.0),)
    )
    lane = played(world).lane
    assert not np.any(lane[world.arrival_s < 2.0] == 0)
    assert np.any(lane[world.arrival_s > 2.0] == 0)


@pytest.mark.parametrize("layered", [True, False])
@pytest.mark.parametrize("n_gateways", [1, 3])
def test_every_job_ends_once_and_the_same_seed_gives_the_same_outcome(layered: bool, n_gateways: int) -> None:
    grid = Grid(0.9, True, n_gateways=n_gateways, report_every_s=0.02, report_age_s=0.05, duration_s=6.0)
    world = draw_grid(grid, 1)
    for baseline in (P2C, TRUE_MEANS):
        outcome, again = (played(world, baseline, layered=layered) for _ in range(2))
        assert not np.any(outcome.end == End.OPEN)
        assert np.all(outcome.end_s >= world.arrival_s)
        assert np.all((outcome.lane >= 0) == (outcome.end != End.REJECTED))
        for name in ("lane", "end", "end_s"):
            np.testing.assert_array_equal(getattr(outcome, name), getattr(again, name))


@pytest.mark.parametrize("load", [0.8, 1.6])
@pytest.mark.parametrize("events", [False, True])
def test_nobody_is_ahead_of_the_oracle(load: float, events: bool) -> None:
    world = draw_grid(Grid(load, events, duration_s=10.0), 1)
    best = played(world, ORACLE).on_time(world).sum()
    for baseline in (RANDOM, ROUND_ROBIN, LEAST_OUTSTANDING, P2C, TRUE_MEANS):
        for layered in (True, False):
            assert played(world, baseline, layered=layered).on_time(world).sum() <= best


def test_the_oracle_knows_when_a_job_will_be_lost() -> None:
    """Of two resources one hangs at 1 s: a job of .5 s that comes at .6 s would be in service there by then, and the
    other is busy for .2 s more. At .4 s it is still to be had in time."""
    hang = (Event("hangs", 0, 1.0, 5.0),)
    world = small([0.1, 0.4, 0.6], [[9.0, 0.7], [0.5, 9.0], [0.5, 0.5]], slots=(1, 1), events=hang)
    outcome = played(world, ORACLE)
    assert outcome.lane.tolist() == [1, 0, 1]
    assert outcome.end_s.tolist() == pytest.approx([0.8, 0.9, 1.3])


def test_what_can_be_in_time_nowhere_is_refused_by_the_oracle_alone() -> None:
    world = small([0.0, 0.1], [[0.9], [0.5]], qos=[0, 0])
    assert played(world, ORACLE).end.tolist() == [End.COMPLETED, End.REJECTED]
    assert played(world).end.tolist() == [End.COMPLETED, End.COMPLETED]
