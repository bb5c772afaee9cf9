"""tailwise in the replay: deterministic, complete, and told no more than a router knows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tailwise as tw
from bench.replay.gateways import Gateways
from bench.replay.learned import CHOOSES_ONLY, OWNS_QUEUES, Tailwise
from bench.replay.outcome import End
from bench.replay.world import FAILS_AFTER_S, PATIENCE_S, Event, World

MODES = pytest.mark.parametrize("player", [OWNS_QUEUES, CHOOSES_ONLY], ids=lambda player: player.name)
CLASSES = (
    tw.QoS("interactive", 0.1, on_time=0.95, priority=0),
    tw.QoS("batch", 3.0, on_time=0.8, priority=2),
)
SLOTS = (1, 2, 1, 2)
SPEEDS = (0.7, 1.0, 1.3, 1.6)


def world(
    *events: Event, rate: float = 300.0, duration_s: float = 4.0, n_gateways: int = 1, report_s: float = 0.0
) -> World:
    """Two models of 6 and 25 ms on four resources with six slots, which serve about 400 jobs a second."""
    rng = np.random.default_rng(7)
    n = int(rate * duration_s)
    qos = rng.integers(0, 2, n)
    batch = rng.integers(1, 5, n).astype(float)
    median_s = np.array([0.006, 0.025])[qos] * (batch / 2) ** 0.5
    mean_s = median_s[:, None] / np.array(SPEEDS)
    return World(
        classes=CLASSES,
        models=tuple(
            tw.Model(name, features=(tw.Feature("batch", typical=2),)) for name in ("small", "large")
        ),
        resources=tuple(tw.Resource(f"r{k}", slots=slots) for k, slots in enumerate(SLOTS)),
        arrival_s=np.sort(rng.uniform(0.0, duration_s, n)),
        qos=qos,
        model=qos,
        x=batch[:, None],
        service_s=mean_s * np.exp(rng.normal(0.0, 0.2, mean_s.shape)),
        mean_s=mean_s * np.exp(0.02),
        interference=np.full(len(SLOTS), 0.1),
        events=events,
        gateway=rng.integers(0, n_gateways, n) if n_gateways > 1 else None,
        report_every_s=report_s,
        report_age_s=report_s,
    )


STORY = (
    Event("absent", 0, 0.0, 2.0),
    Event("slow", 1, 0.5, 1.0, 3.0),
    Event("fails", 2, 1.0, 1.5),
    Event("hangs", 3, 2.5, 3.0),
)


def one(n: int, service_s: float, *events: Event, slots: int = 1, every_s: float = 0.0) -> World:
    """n jobs of one model and class on a single resource, one every `every_s` seconds."""
    times = np.full((n, 1), service_s)
    return World(
        classes=(tw.QoS("q", 30.0),),
        models=(tw.Model("m"),),
        resources=(tw.Resource("r", slots=slots),),
        arrival_s=every_s * np.arange(n),
        qos=np.zeros(n, dtype=np.int64),
        model=np.zeros(n, dtype=np.int64),
        x=np.empty((n, 0)),
        service_s=times,
        mean_s=times,
        interference=np.array([0.5]),
        events=events,
    )


@MODES
@pytest.mark.parametrize("n_gateways", [1, 2])
def test_the_same_seed_gives_the_same_outcome_bit_for_bit(player: Tailwise, n_gateways: int) -> None:
    w = world(*STORY, n_gateways=n_gateways, report_s=0.05)
    first, second = player.play(w, 3), player.play(w, 3)
    for name in ("lane", "end", "end_s", "claim"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()


@MODES
@pytest.mark.parametrize(("rate", "n_gateways"), [(200.0, 1), (800.0, 1), (300.0, 3)])
def test_every_job_ends_and_nobody_waits_past_a_deadline(
    player: Tailwise, rate: float, n_gateways: int
) -> None:
    w = world(*STORY, rate=rate, n_gateways=n_gateways)
    rows = player.play(w, 1)
    assert set(np.unique(rows.end)) <= {End.COMPLETED, End.FAILED, End.EXPIRED, End.REJECTED}
    took_s = rows.end_s - w.arrival_s
    assert (took_s[rows.end == End.COMPLETED] > 0.0).all()
    assert (took_s[rows.end == End.EXPIRED] <= w.deadline_s[rows.end == End.EXPIRED] + 1e-8).all()
    assert ((rows.lane == -1) == (rows.end == End.REJECTED)).all()
    told = rows.claim[rows.end != End.REJECTED]
    assert ((told >= 0.0) & (told <= 1.0)).all()


@MODES
def test_jobs_of_a_calm_fleet_are_on_time(player: Tailwise) -> None:
    w = world(rate=150.0)
    assert player.play(w, 1).on_time(w).mean() > 0.99


@MODES
def test_a_job_takes_its_own_time_the_events_factor_and_its_share_for_company(player: Tailwise) -> None:
    """Two slots: the second job has one companion, of half its time's weight; the third, after the others, none.
    From second 2 on everything takes three times as long."""
    w = replace(
        one(4, 0.2, Event("slow", 0, 2.0, 9.0, 3.0), slots=2), arrival_s=np.array([0.0, 0.0, 1.0, 2.0])
    )
    assert player.play(w, 0).completion_s(w) == pytest.approx([0.2, 0.3, 0.2, 0.6], abs=1e-9)


@MODES
def test_jobs_of_a_resource_that_fails_fast_end_as_failed(player: Tailwise) -> None:
    w = one(1, 0.2, Event("fails", 0, 0.0, 1.0))
    rows = player.play(w, 0)
    assert rows.end.tolist() == [End.FAILED]
    assert rows.end_s == pytest.approx([FAILS_AFTER_S])


@MODES
def test_jobs_in_service_when_a_hang_begins_are_given_up_too(player: Tailwise) -> None:
    """The first runs when it begins, the second starts during it, the third after it."""
    w = one(3, 0.3, Event("hangs", 0, 0.1, 1.0), slots=3, every_s=0.6)
    rows = player.play(w, 0)
    assert rows.end.tolist() == [End.FAILED, End.FAILED, End.COMPLETED]
    assert rows.end_s[:2] == pytest.approx([PATIENCE_S, 0.6 + PATIENCE_S])


@MODES
def test_a_job_that_has_run_for_longer_than_its_callers_patience_is_given_up_when_the_hang_begins(
    player: Tailwise,
) -> None:
    rows = player.play(one(1, 20.0, Event("hangs", 0, PATIENCE_S + 2.0, 30.0)), 0)
    assert (rows.end.tolist(), rows.end_s.tolist()) == ([End.FAILED], [PATIENCE_S + 2.0])


@MODES
def test_a_late_joiner_gets_no_job_before_it_joins_and_its_share_after(player: Tailwise) -> None:
    """Two join, the later one first by lane: their lanes in the engine are not those of the world."""
    w = world(Event("absent", 1, 0.0, 2.0), Event("absent", 2, 0.0, 1.0))
    rows = player.play(w, 1)
    for lane, joins_s in ((1, 2.0), (2, 1.0)):
        there = rows.lane == lane
        assert (rows.end_s[there] >= joins_s).all()
        assert there[w.arrival_s > joins_s].mean() > 0.1


@MODES
def test_a_hang_is_survived(player: Tailwise) -> None:
    """Two of six slots hang for two seconds: at most 2% of the jobs that arrive meanwhile are lost on them."""
    w = world(Event("hangs", 3, 1.0, 3.0), rate=250.0)
    rows = player.play(w, 1)
    meanwhile = (w.arrival_s >= 1.0) & (w.arrival_s < 3.0)
    assert ((rows.lane == 3) & meanwhile & (rows.end == End.FAILED)).sum() <= 0.02 * meanwhile.sum()
    assert rows.on_time(w)[w.arrival_s > 1.5].mean() > 0.95


def test_each_gateway_knows_its_own_jobs_and_all_hear_reports() -> None:
    """Three jobs of the second gateway, one of which runs, and two waiting ones of others."""
    w = world(n_gateways=2)
    first, second = (gateways := Gateways(w, tw.ManualClock(), 1)).engines
    gateways.deciding = 1
    mine = [gateways.assign("small", "interactive", (2.0,), 0b1) for _ in range(3)]
    gateways.started(mine[0])
    assert [engine.load("r0") for engine in (first, second)] == [(0, 0), (1, 2)]
    gateways.counted("r0", running=1, waiting=4)()
    foreign = [engine._core.foreign(0) for engine in (first, second)]
    assert [(f["running"], f["waiting"]) for f in foreign] == [(1.0, 4.0), (0.0, 2.0)]
    gateways.ended(mine[0], "completed", 0.01, 0.01)
    assert [len(engine.statistics()) for engine in (first, second)] == [0, 1]


def test_reports_of_load_mend_what_gateways_do_not_tell_each_other() -> None:
    """Eight gateways at three quarters of the capacity. A single one that knows everything is ahead of both."""
    w = world(rate=300.0, n_gateways=8)
    worlds = w, replace(w, report_every_s=0.01), replace(w, gateway=None)
    blind_s, seeing_s, single_s = (CHOOSES_ONLY.play(each, 1).completion_s(each).mean() for each in worlds)
    assert single_s < seeing_s < 0.8 * blind_s
