"""Drawn worlds are what their scenario says: paired, at their load, with their outliers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.replay.arrivals import CV, Stream, draw_arrivals, repeat_arrivals
from bench.replay.contests import CONTESTS
from bench.replay.drawn import (
    OUTLIER_FACTOR,
    OUTLIER_SPREAD,
    OUTLIERS,
    SIGMA,
    Grid,
    capacity,
    draw_grid,
    draw_published,
)
from bench.replay.scenarios import CHOOSING_SEEDS, SCENARIOS

GRID = Grid(0.8, duration_s=20.0)
OUTLIER_MEAN = 1.0 + OUTLIERS * (OUTLIER_FACTOR * np.exp(0.5 * OUTLIER_SPREAD**2) - 1.0)


@pytest.mark.parametrize(("stream", "cv"), [("poisson", 1.0), ("gamma", CV), ("modulated", 1.0)])
def test_arrivals_have_their_rate_and_the_spread_of_their_gaps(stream: Stream, cv: float) -> None:
    """20,000 gaps: the mean is within 4 cv / sqrt(n), the modulated one within 4 sd of its 1,000 sojourns (.5 of
    the rate each way). A modulated stream is burstier than its gaps tell: counts in 1 s spread more than Poisson."""
    arrival_s = draw_arrivals(stream, 10.0, 2000.0, np.random.default_rng(3))
    n = len(arrival_s)
    slack = 4.0 * 0.5 / np.sqrt(1000.0) if stream == "modulated" else 4.0 * cv / np.sqrt(20_000.0)
    assert abs(n / 20_000.0 - 1.0) < slack
    assert np.all(np.diff(arrival_s) >= 0.0)
    assert arrival_s[0] >= 0.0
    assert arrival_s[-1] < 2000.0
    gaps = np.diff(arrival_s)
    counts = np.bincount(arrival_s.astype(np.int64), minlength=2000)
    if stream == "modulated":
        assert counts.var() / counts.mean() > 1.5
    else:
        assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.1)


def test_a_recorded_trace_is_played_round_and_round_at_the_asked_rate() -> None:
    """Gaps of 1, 2, 3 and, round the end, their mean 2: eight seconds for 4 jobs, so at 5 jobs a second a tenth of
    that, ten rounds in 8 s. The last job comes where the last round ends: at 8 s, which is out."""
    arrival_s = repeat_arrivals(np.array([0.0, 1.0, 3.0, 6.0]), 5.0, 8.0, np.random.default_rng(2))
    assert len(arrival_s) == pytest.approx(40, abs=1)
    gaps = np.diff(arrival_s, prepend=0.0)
    rounds = [tuple(np.round(10.0 * gaps[i : i + 4], 9)) for i in range(0, 36, 4)]
    assert len(set(rounds)) == 1
    assert rounds[0] in {
        (1.0, 2.0, 3.0, 2.0),
        (2.0, 3.0, 2.0, 1.0),
        (3.0, 2.0, 1.0, 2.0),
        (2.0, 1.0, 2.0, 3.0),
    }


def test_a_world_takes_the_times_of_any_csv_and_its_jobs_from_the_seed(tmp_path: Path) -> None:
    """A burst of 100 jobs and then a pause of nine times as long: nine tenths of the time nobody comes, so that one
    gap in 200, half of the pauses, makes 45%."""
    path = tmp_path / "times.csv"
    path.write_text("t_s\n" + "".join(f"{t:.4f}\n" for t in np.linspace(0.0, 1.0, 100)) + "10\n")
    world = SCENARIOS["grid.trace.load.080"].draw(101, path)
    asked = draw_grid(Grid(0.8), 101)
    assert world.resources == asked.resources
    assert len(world) == pytest.approx(len(asked), rel=0.02)
    longest_s = np.sort(np.diff(world.arrival_s))[-int(0.005 * len(world)) :]
    assert longest_s.sum() > 0.4 * 60.0


def test_the_same_seed_draws_the_same_fleet_at_every_load_and_the_same_world_twice() -> None:
    one, again, busier = draw_grid(GRID, 4), draw_grid(GRID, 4), draw_grid(replace(GRID, load=0.95), 4)
    np.testing.assert_array_equal(one.service_s, again.service_s)
    assert one.resources == busier.resources
    ratio = len(busier) / len(one)
    assert ratio == pytest.approx(0.95 / 0.8, rel=4.0 * np.sqrt(2.0 / len(one)))


def test_an_outlier_is_slow_everywhere_where_it_belongs_to_the_job() -> None:
    """Beyond three times the mean is an outlier: noise of .2 gets there with chance 1e-8. Their number spreads as a
    Poisson one, of jobs where they are tied to these."""
    for tied in (False, True):
        world = draw_grid(replace(GRID, tied=tied), 5)
        slow = world.service_s > 3.0 * world.mean_s
        assert slow.mean() == pytest.approx(OUTLIERS, rel=4.0 / np.sqrt(OUTLIERS * len(world)))
        together = slow.all(axis=1).sum()
        assert together > 0.8 * slow[:, 0].sum() if tied else together == 0


def test_capacity_puts_each_group_where_it_serves_most() -> None:
    """Two groups, two resources, each good at its own: 1/2 of each at .1 s a job on one slot gives 20 jobs a second;
    served crosswise it would be 2. A group that cannot run somewhere does not."""
    seconds = np.array([[0.1, 1.0], [1.0, 0.1]])
    shares, slots = np.array([0.5, 0.5]), np.array([1, 1])
    assert capacity(seconds, shares, slots) == pytest.approx(20.0)
    seconds[0, 1] = np.inf
    assert capacity(seconds, shares, slots) == pytest.approx(20.0)


def test_the_published_world_is_as_published() -> None:
    world = draw_published(1)
    assert len(world) == pytest.approx(60_000, rel=0.02)
    assert np.median(world.service_s) == pytest.approx(0.167, abs=0.001)
    (event,) = world.events
    assert (event.kind, event.start_s, event.end_s) == ("slow", 15.0, 45.0)
    assert event.factor * 0.167 == pytest.approx(2.0)


def test_every_scenario_tells_its_size_and_the_grid_has_it() -> None:
    assert all(scenario.size for scenario in SCENARIOS.values())
    told = int(SCENARIOS["grid.poisson.load.050"].size.split()[-2].replace(",", ""))
    drawn = [len(SCENARIOS["grid.poisson.load.050"].draw(seed, None)) for seed in range(101, 106)]
    assert np.mean(drawn) == pytest.approx(told, rel=0.02)


def test_no_reported_seed_was_chosen_on() -> None:
    assert all(not set(scenario.seeds) & set(CHOOSING_SEEDS) for scenario in SCENARIOS.values())
    assert all(len(scenario.seeds) >= 5 for scenario in SCENARIOS.values())


def test_a_slower_world_is_the_same_world_in_slow_motion() -> None:
    world, slow = draw_grid(GRID, 3), draw_grid(replace(GRID, duration_s=800.0, slower=40.0), 3)
    assert len(slow) == len(world)
    np.testing.assert_allclose(slow.arrival_s, 40.0 * world.arrival_s, rtol=1e-9)
    np.testing.assert_allclose(slow.service_s, 40.0 * world.service_s, rtol=1e-9)
    assert [q.deadline_s for q in slow.classes] == [40.0 * q.deadline_s for q in world.classes]


def test_known_profiles_are_means_of_eight_results() -> None:
    """ln(seconds) of a typical job: an error of SIGMA / sqrt(8) each, so of 32 profiles none is off by 4 of these,
    and their rms is within a factor of two."""
    world = draw_grid(replace(GRID, known=True), 3)
    typical = np.log(world.mean_s) - 0.5 * SIGMA**2 - np.log(OUTLIER_MEAN)
    errors = []
    for profile in world.profiles:
        model, lane = int(profile.model[-1]), [r.name for r in world.resources].index(profile.resource)
        of_model = world.model == model
        x = np.log(world.x[of_model] / (4.0, 1.0))
        slopes = np.column_stack([np.ones(len(x)), x])
        true_ln_s = np.linalg.lstsq(slopes, typical[of_model, lane], rcond=None)[0][0]
        errors.append(profile.ln_median - true_ln_s)
    assert len(errors) == 32
    assert np.max(np.abs(errors)) < 4.0 * SIGMA / np.sqrt(8.0)
    assert 0.5 < np.std(errors) / (SIGMA / np.sqrt(8.0)) < 2.0
    assert draw_grid(GRID, 3).profiles == ()


def test_some_policies_do_not_play_with_a_fleet() -> None:
    left_out = {"LinUCB", "LinUCB, bare", "quantile trees", "quantile trees, bare"}
    everybody = set(CONTESTS["grid.poisson.load.080"].policies)
    assert set(CONTESTS["fleet.4096.load.080"].policies) == everybody - left_out
