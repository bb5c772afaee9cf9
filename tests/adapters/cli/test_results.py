"""Figures count each job once, weigh classes as declared and pair policies by round."""

import json
import math

import pytest

from tailwise.adapters.cli.results import figures, paired
from tests.adapters.cli.synthetic import CLASSES, ENDS, block, record, result

INTERACTIVE, BATCH = CLASSES


def test_each_job_is_counted_under_exactly_one_end() -> None:
    for f in result().figures().values():
        for c in f.classes.values():
            assert c.offered == c.on_time + c.late + c.expired + c.rejected + c.failed
    counted = figures([block("p", [record(BATCH, end=end) for end in ENDS])], CLASSES).classes["batch"]
    assert (counted.on_time, counted.expired, counted.rejected, counted.failed) == (4, 1, 1, 2)


def test_goodput_is_weighted_by_class() -> None:
    """One of two interactive jobs (weight 4) and both of two batch jobs (weight 1): (4 + 2) / (8 + 2)."""
    jobs = [
        record(INTERACTIVE),
        record(INTERACTIVE, completion_s=0.06),
        record(BATCH),
        record(BATCH, completion_s=0.9),
    ]
    assert figures([block("p", jobs)], CLASSES).weighted_goodput == pytest.approx(0.6)


def test_quantiles_are_of_completed_jobs_only() -> None:
    jobs = [record(BATCH, completion_s=0.2), record(BATCH, end="expired", completion_s=1.0)]
    assert figures([block("p", jobs)], CLASSES).classes["batch"].p99_s == pytest.approx(0.2)
    assert math.isnan(figures([block("p", jobs)], CLASSES).classes["interactive"].p50_s)


def test_differences_are_paired_by_round_and_skip_a_round_that_only_one_has() -> None:
    good, bad = record(BATCH), record(BATCH, completion_s=2.0)
    ours = [block("tailwise", [good, good], r) for r in range(3)]
    theirs = [block("other", [good, bad], 0), block("other", [bad, bad], 1)]
    difference = paired(ours, theirs, CLASSES)
    assert difference.mean == pytest.approx(0.75)
    assert difference.standard_error == pytest.approx(0.25)
    assert difference.rounds == 2


def test_the_json_has_every_figure_and_no_nan() -> None:
    data = json.loads(json.dumps(result(rounds=1).to_json(), allow_nan=False))
    figures_of = data["policies"]["tailwise"]
    assert 0 <= figures_of["weighted_goodput"] <= 1
    keys = {"offered", "on_time", "late", "expired", "rejected", "failed", "p50_s", "p99_s"}
    assert set(figures_of["classes"]["interactive"]) == keys
    assert data["differences"]["round_robin"]["standard_error"] is None
