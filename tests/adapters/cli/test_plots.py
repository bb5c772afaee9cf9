"""What the plots show, read back from their drawing, and the arithmetic behind them."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from tailwise.adapters.cli import plots
from tailwise.adapters.cli.claims import wilson
from tailwise.adapters.cli.results import RunResult, Sighting
from tailwise.adapters.torch import JobRecord
from tests.adapters.cli.synthetic import CLASSES, MODEL, block, record, result

INTERACTIVE, BATCH = CLASSES
WEIGHT = {q.name: q.weight for q in CLASSES}
EVERY_PLOT = [
    plots.attainment,
    plots.completion,
    plots.prediction,
    plots.profiles,
    plots.reliability,
    plots.shares,
]


def words(svg: str) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def run_of(*jobs: JobRecord) -> RunResult:
    """A run of one block of tailwise."""
    made = result(rounds=0)
    made.blocks.append(block("tailwise", jobs))
    return made


def test_the_share_of_a_second_weighs_the_jobs_that_arrived_in_it() -> None:
    """Second 0: one interactive job (4) on time, one batch job (1) not; second 2: one batch job on time."""
    jobs = [
        record(INTERACTIVE, arrival_s=100.1),
        record(BATCH, end="expired", arrival_s=100.9),
        record(BATCH, arrival_s=102.5),
    ]
    share, edges_s = plots.share_by_second([block("tailwise", jobs)], WEIGHT)
    np.testing.assert_allclose(share, [0.8, math.nan, 1.0, math.nan])
    np.testing.assert_allclose(edges_s, [0, 1, 2, 3, 4])


def test_the_second_block_follows_the_first_on_the_policys_own_time() -> None:
    late = [record(BATCH, end="expired", arrival_s=101.5)]
    share, edges_s = plots.share_by_second([block("p", [], 0), block("p", late, 1)], WEIGHT)
    assert np.flatnonzero(~np.isnan(share)).tolist() == [5]
    assert edges_s[-1] == 8


def test_a_job_submitted_just_after_its_block_does_not_count_in_the_next() -> None:
    spilled = [record(BATCH, arrival_s=104.03)]
    share, _ = plots.share_by_second([block("p", spilled, 0), block("p", [], 1)], WEIGHT)
    assert np.flatnonzero(~np.isnan(share)).tolist() == [3]


def test_a_last_bin_below_a_second_joins_the_one_before() -> None:
    short = replace(block("p", [record(BATCH, arrival_s=102.4)]), seconds=2.5)
    share, edges_s = plots.share_by_second([short], WEIGHT)
    np.testing.assert_allclose(edges_s, [0, 1, 2.5])
    np.testing.assert_allclose(share, [math.nan, 1.0])


@pytest.mark.parametrize(
    ("share", "n", "low", "high"),
    [(0.0, 10, 0.0, 0.2775), (1.0, 10, 0.7225, 1.0), (0.5, 100, 0.4038, 0.5962)],
)
def test_the_interval_is_wilsons(share: float, n: int, low: float, high: float) -> None:
    """Against the published table of the score interval at 95%."""
    assert wilson(share, n) == pytest.approx((low, high), abs=2e-4)


def test_only_completed_jobs_are_held_against_their_forecast() -> None:
    jobs = [record(BATCH), record(BATCH), record(BATCH, end="expired"), record(INTERACTIVE, end="rejected")]
    titles = words(plots.prediction(run_of(*jobs)))
    assert "batch, 2 jobs" in titles
    assert "interactive, 0 jobs" in titles


def test_a_bin_of_few_claims_is_left_out() -> None:
    def dots(n: int) -> int:
        return len(re.findall("<use[^>]*#1f83c4", plots.reliability(run_of(*[record(BATCH)] * n))))

    assert dots(4) == 0
    assert dots(5) == 1


def test_a_job_that_never_started_has_no_share() -> None:
    elsewhere = record(BATCH, end="expired")._replace(resource="cpu&old")
    assert plots.shares(run_of(record(BATCH), elsewhere)) == plots.shares(run_of(record(BATCH)))
    started = record(BATCH)._replace(resource="cpu&old")
    assert plots.shares(run_of(record(BATCH), started)) != plots.shares(run_of(record(BATCH)))


def test_a_profile_is_named_with_its_last_count() -> None:
    assert "cpu, n = 9" in words(plots.profiles(result()))


def test_more_than_four_panels_go_on_in_the_next_row() -> None:
    run = result()
    names = [f"model-{i}" for i in range(6)]
    run.models = [MODEL | {"name": n} for n in names]
    run.sightings = [Sighting(0.5 * k, "cpu", n, 5.0 * k, 0.005, 0.01, 0.02) for n in names for k in range(3)]
    assert set(names) <= set(words(plots.profiles(run)))


def test_copies_of_one_resource_share_a_colour_and_a_line_of_the_legend() -> None:
    run = result()
    names = [f"cpu-{i}" for i in range(8)] + ["cpu-old"]
    run.resources = [{"name": name, "slots": 1} for name in names]
    run.sightings = [
        Sighting(0.5 * k, n, "m<1>", 3.0 + k, 0.005, 0.01, 0.02) for n in names for k in range(3)
    ]
    run.sightings += [Sighting(1.5, "cpu-3", "m<1>", 12.0, 0.005, 0.01, 0.02)]
    named = words(plots.profiles(run))
    assert [word for word in named if "n =" in word] == ["8 x cpu, n = 5 to 12", "cpu-old, n = 5"]


def test_the_shares_of_copies_are_added() -> None:
    def drawn(*ran_on: str) -> str:
        run = run_of(*(record(BATCH)._replace(resource=name) for name in ran_on))
        run.resources = [{"name": name, "slots": 1} for name in ("cpu-0", "cpu-1", "cpu-old")]
        return plots.shares(run)

    assert drawn("cpu-0", "cpu-0", "cpu-old") == drawn("cpu-0", "cpu-1", "cpu-old")
    assert drawn("cpu-0", "cpu-1", "cpu-old") != drawn("cpu-0", "cpu-old", "cpu-old")


@pytest.mark.parametrize("plot", EVERY_PLOT)
def test_what_is_neutral_takes_the_colour_of_the_page(plot: Callable[[RunResult], str]) -> None:
    svg = plot(result())
    assert "currentColor" in svg
    assert "#000000" not in svg
