"""What an event did, on outcomes made by hand: 20 jobs in each half second."""

import math

import numpy as np
import pytest

from bench.replay.events import event_figures
from bench.replay.outcome import Outcome
from bench.replay.world import Event, World
from tests.bench.replay.made import outcome, world

PER_BIN = 20
LATE_S = 5.0


def even(seconds: float, *events: Event) -> World:
    n = int(seconds * 2 * PER_BIN)
    return world(((np.arange(n) + 0.5) / (2 * PER_BIN)).tolist(), events=events)


def late_in(w: World, *spans: tuple[float, float], lane: np.ndarray | None = None) -> Outcome:
    """On time but for those that arrive in the spans."""
    late = np.zeros(len(w), dtype=bool)
    for start_s, end_s in spans:
        late |= (w.arrival_s >= start_s) & (w.arrival_s < end_s)
    return outcome(w, np.where(late, LATE_S, 0.01).tolist(), lane=None if lane is None else lane.tolist())


def test_the_dead_share_is_of_jobs_sent_during_the_event() -> None:
    """Of four jobs that arrive in [1, 3) one was refused, one of the other three went to the failing lane 1."""
    w = world([0.5, 1.0, 1.5, 2.0, 2.9, 3.0], events=(Event("fails", 1, 1.0, 3.0),))
    f = event_figures(w, outcome(w, [0.01] * 6, lane=[1, 0, 1, -1, 0, 1]))
    assert f["dead_share"] == pytest.approx(1 / 3)


def test_a_slow_resource_is_not_a_dead_one() -> None:
    w = even(10, Event("slow", 0, 4.0, 6.0, 3.0))
    assert math.isnan(event_figures(w, late_in(w))["dead_share"])


def test_without_events_there_is_nothing_to_recover_from() -> None:
    w = even(10)
    assert all(math.isnan(value) for value in event_figures(w, late_in(w)).values())


@pytest.mark.parametrize(
    ("spans", "recovery_s"),
    [
        ((), 0.0),
        (((4.0, 5.5),), 1.5),
        (((4.5, 5.5),), 1.5),  # it may fall a little after the start
        (((6.5, 7.0),), 0.0),  # but what falls later was not this
        (((4.0, 5.0), (5.5, 6.0)), 2.0),  # half a second is not yet well
        (((4.0, 8.0),), 4.0),
        (((4.0, 9.0),), 5.0),  # however long after the end
    ],
)
def test_recovery_is_the_first_second_back_at_the_level(
    spans: tuple[tuple[float, float], ...], recovery_s: float
) -> None:
    w = even(20, Event("slow", 0, 4.0, 6.0, 3.0))
    assert event_figures(w, late_in(w, *spans))["recovery_s"] == recovery_s


def test_two_points_below_the_level_is_well_and_three_are_not() -> None:
    """4000 jobs a bin: two standard errors at a level of 1 are 0, so that the margin of 2 points decides."""
    n_bins, per_bin = 16, 4000
    arrivals = (np.arange(n_bins * per_bin) + 0.5) * 0.5 / per_bin
    w = world(arrivals.tolist(), events=(Event("slow", 0, 4.0, 5.0, 3.0),))
    for points, recovery_s in ((2, 0.0), (3, 1.0)):
        late = (arrivals >= 4.0) & (arrivals < 5.0) & (np.arange(len(w)) % 100 < points)
        f = event_figures(w, outcome(w, np.where(late, LATE_S, 0.01).tolist()))
        assert f["recovery_s"] == recovery_s


def test_a_run_that_never_recovers_counts_until_the_next_event() -> None:
    """The first counts its 3 s to the next event; that one falls for the 5 s to the end."""
    w = even(32, Event("slow", 0, 24.0, 25.0, 3.0), Event("hangs", 1, 27.0, 28.0))
    assert event_figures(w, late_in(w, (24.0, 32.0)))["recovery_s"] == pytest.approx((3.0 + 5.0) / 2)


def test_return_is_when_the_resource_carries_its_former_share_again() -> None:
    """Half the jobs go to lane 1, none in [4, 8), though the event ends at 6."""
    w = even(20, Event("fails", 1, 4.0, 6.0))
    lane = np.arange(len(w)) % 2
    away = (w.arrival_s >= 4.0) & (w.arrival_s < 8.0)
    f = event_figures(w, late_in(w, lane=np.where(away, 0, lane)))
    assert f["return_s"] == 2.0
    assert f["dead_share"] == 0.0


def test_an_event_that_outlasts_the_run_has_no_return() -> None:
    w = even(6, Event("fails", 1, 4.0, 9.0))
    assert math.isnan(event_figures(w, late_in(w))["return_s"])


def test_a_late_joiner_is_no_fall_but_comes_into_use() -> None:
    w = even(10, Event("absent", 1, 0.0, 2.0))
    lane = np.where(w.arrival_s < 3.0, 0, np.arange(len(w)) % 2)
    f = event_figures(w, late_in(w, (0.0, 1.0), lane=lane))
    assert math.isnan(f["recovery_s"])
    assert f["return_s"] == 1.0


def test_a_run_that_was_never_well_has_nothing_to_recover_to() -> None:
    w = even(12, Event("slow", 0, 4.0, 6.0, 3.0))
    assert math.isnan(event_figures(w, late_in(w, (0.0, 12.0)))["recovery_s"])


def test_a_resource_that_was_hardly_used_has_no_share_to_come_back_to() -> None:
    """One job in 20 of each bin: 1 expected, with a spread of 1."""
    w = even(12, Event("fails", 1, 4.0, 6.0))
    lane = (np.arange(len(w)) % PER_BIN == 0).astype(int)
    assert math.isnan(event_figures(w, late_in(w, lane=lane))["return_s"])
