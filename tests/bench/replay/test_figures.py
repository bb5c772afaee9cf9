"""Figures of outcomes small enough to work out by hand."""

import math

import numpy as np
import pytest

from bench.replay.columns import Column
from bench.replay.figures import class_figures, expected_calibration_error, figures
from bench.replay.outcome import End
from bench.replay.summary import Estimate
from tests.bench.replay.made import outcome, world


def test_goodput_is_on_time_jobs_per_second_plain_and_by_weight() -> None:
    """Two of three urgent jobs (weight 3, .1 s) and one of two patient ones (weight 1, 1 s), in 4 s."""
    w = world([0, 1, 2, 3, 4], [0, 0, 0, 1, 1])
    f = figures(w, outcome(w, [0.05, 0.09, 0.11, 0.9, 1.01]))
    assert f["goodput_per_s"] == pytest.approx(3 / 4)
    assert f["weighted_goodput_per_s"] == pytest.approx(7 / 4)
    assert f["on_time"] == pytest.approx(3 / 5)


def test_a_failed_job_is_not_on_time_however_fast_it_was() -> None:
    w = world([0, 1])
    f = class_figures(w, outcome(w, [0.01, 0.01], end=[End.COMPLETED, End.FAILED]))["urgent"]
    assert f["on_time"] == f["unanswered"] == 0.5


def test_quantiles_are_of_completed_jobs_late_ones_included_and_the_rest_is_unanswered() -> None:
    """1001 urgent jobs: 0, 1, ... 999 ms and one that expired; numpy's quantiles of 0..999 are q x 999."""
    w = world(np.arange(1001.0).tolist())
    ends = [End.COMPLETED] * 1000 + [End.EXPIRED]
    f = class_figures(w, outcome(w, [*(np.arange(1000) / 1e3), 0.1], end=ends))["urgent"]
    assert f["unanswered"] == pytest.approx(1 / 1001)
    assert f["on_time"] == pytest.approx(101 / 1001)
    assert [f[k] for k in ("p50_s", "p99_s", "p999_s")] == pytest.approx([0.4995, 0.98901, 0.998001])


def test_what_does_not_exist_is_nan_and_the_urgent_class_comes_first() -> None:
    w = world([0, 1], [0, 0])
    f = class_figures(w, outcome(w, [0, 0], end=[End.REJECTED, End.OPEN]))
    assert list(f) == ["urgent", "patient"]
    assert all(math.isnan(f["urgent"][k]) for k in ("p50_s", "p999_s", "claim_error", "ece"))
    assert f["urgent"]["unanswered"] == 1.0
    assert f["patient"]["offered"] == 0
    assert math.isnan(f["patient"]["on_time"])


def test_claims_are_held_against_what_was_let_in() -> None:
    """Claims .9, .9, .5 of jobs let in, two on time; what was rejected at a claim of .1 or told none counts not."""
    w = world([0, 1, 2, 3, 4])
    ends = [End.COMPLETED, End.EXPIRED, End.COMPLETED, End.REJECTED, End.COMPLETED]
    f = figures(w, outcome(w, [0.05, 0.1, 0.05, 0.0, 0.05], end=ends, claim=[0.9, 0.9, 0.5, 0.1, math.nan]))
    assert f["claim_error"] == pytest.approx(2.3 / 3 - 2 / 3)
    # of 15 bins: {.9, .9} claims 1.8 and keeps 1, {.5} claims .5 and keeps 1
    assert f["ece"] == pytest.approx((0.8 + 0.5) / 3)


def test_opposite_errors_in_different_bins_do_not_cancel_and_a_claim_of_one_has_a_bin() -> None:
    claim, kept = np.array([0.2, 1.0]), np.array([True, False])
    assert expected_calibration_error(claim, kept) == pytest.approx(0.9)
    assert math.isnan(expected_calibration_error(claim[:0], kept[:0]))


@pytest.mark.parametrize(("mean", "text"), [(-0.0003, "+0.000"), (-0.0006, "-0.001"), (0.0, "+0.000")])
def test_what_rounds_to_nothing_has_no_sign_of_its_own(mean: float, text: str) -> None:
    assert Column("claim_error", "", "+.3f").text(Estimate(mean, math.nan, 1)) == text
