"""One-step-ahead prediction: nothing from the future, late is late, and the figures are what they say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tailwise as tw
from bench.calibration.foresee import Asked, Log, Row, Told, foresee
from bench.prediction.__main__ import main
from bench.prediction.foretold import LEVELS, Step, by_tailwise, judge, knew_something, late
from bench.prediction.held import held
from bench.prediction.logs import read
from bench.prediction.retrained import Predictor, Ridge, Trees, foretell

N, KNOWN = 260, 230  # rows; rows before anything is shuffled


def log_of(seed: int, n: int = N) -> Log:
    """ln(seconds) = ln(.02) + .8 ln(batch) + .1 noise on one resource; ten jobs a second."""
    rng = np.random.default_rng(seed)
    batch = rng.integers(1, 33, n)
    seconds = 0.02 * batch**0.8 * np.exp(0.1 * rng.standard_normal(n))
    rows = [Row(0.1 * k, 0.1 * k, float(seconds[k]), (float(batch[k]),)) for k in range(n)]
    model = tw.Model("m", features=(tw.Feature("batch", typical=8),))
    return Log("drawn", (tw.Resource("r0", max_running=64),), (model,), rows)


def shuffled_after(log: Log, n: int) -> Log:
    """The same times, but from row n on other jobs in them."""
    order = [*range(n), *(n + np.random.default_rng(1).permutation(len(log.rows) - n))]
    rows = [
        replace(row, x=log.rows[i].x, seconds=log.rows[i].seconds)
        for row, i in zip(log.rows, order, strict=True)
    ]
    return replace(log, rows=rows)


def said(log: Log, rival: Predictor | None) -> np.ndarray:
    f = foresee(log)
    return by_tailwise(f) if rival is None else foretell(rival, np.array(f.x), f.y, f.steps)


def small_trees() -> Trees:
    return Trees(max_iter=5)


@pytest.mark.parametrize("make", [lambda: None, Ridge, small_trees], ids=["tailwise", "ridge", "trees"])
@pytest.mark.parametrize("n_late", [0, 40])
def test_no_forecast_uses_a_later_row(make, n_late: int) -> None:
    log = late(log_of(1), n_late)
    before, after = said(log, make()), said(shuffled_after(log, KNOWN), make())
    np.testing.assert_array_equal(before[:KNOWN], after[:KNOWN])
    later = before[KNOWN + 1 :]
    assert not np.allclose(later, after[KNOWN + 1 :]), "the shuffle has to be able to show"


@pytest.mark.parametrize("make", [lambda: None, Ridge, small_trees], ids=["tailwise", "ridge", "trees"])
def test_the_result_of_a_row_changes_no_forecast_before_it_was_heard_of(make) -> None:
    """Row 100 is ten times as slow, heard of 40 rows late: the first forecast that may know is that of row 141.
    tailwise's do an eighth of its 101 results later, which its served copy may lag, a retrained model's with its next
    fit."""
    log = late(log_of(2), 40)
    rows = list(log.rows)
    rows[100] = replace(rows[100], seconds=10.0 * rows[100].seconds)
    before, after = said(log, make()), said(replace(log, rows=rows), make())
    np.testing.assert_array_equal(before[:141], after[:141])
    assert not np.array_equal(before[241:], after[241:])
    if make() is None:
        assert not np.array_equal(before[141 + 13], after[141 + 13])


def steps_of(log: Log) -> list[Step]:
    return [step for step in foresee(log).steps if isinstance(step, Asked | Told)]


def heard_before(steps: Sequence[Step]) -> list[list[int]]:
    """For each row the rows whose results had been heard of when it started."""
    heard: list[int] = []
    found = []
    for step in steps:
        if isinstance(step, Told):
            heard.append(step.k)
        else:
            found.append(sorted(heard))
    return found


@pytest.mark.parametrize("n_late", [0, 1, 25])
@pytest.mark.parametrize("apart_s", [0.1, 0.0], ids=["apart", "all at one moment"])
def test_late_feedback_is_late_by_as_many_rows(n_late: int, apart_s: float) -> None:
    log = log_of(3, n=60)
    log = replace(
        log, rows=[replace(row, at_s=apart_s * k, told_s=apart_s * k) for k, row in enumerate(log.rows)]
    )
    for k, heard in enumerate(heard_before(steps_of(late(log, n_late)))):
        assert heard == list(range(max(0, k - n_late)))


def test_rows_before_the_first_result_are_not_judged() -> None:
    steps = steps_of(late(log_of(4, n=30), 10))
    assert list(knew_something(steps)) == [False] * 11 + [True] * 19


def test_figures_of_numbers_worked_out_by_hand() -> None:
    """Three rows at 0, 1 and 3 with a p90 of 1: pinball .1, 0 and .9 x 2; medians of 0: errors 0, 1, 3."""
    y = np.array([0.0, 1.0, 3.0])
    quantile = np.tile([-1.0, 0.0, 1.0, 2.0], (3, 1))
    f = judge(y, quantile)
    assert f.n == 3
    assert f.pinball == pytest.approx(100.0 * (0.1 + 0.0 + 1.8) / 3.0)
    assert f.within_p90 == pytest.approx(2.0 / 3.0)
    assert f.within_interval == pytest.approx(2.0 / 3.0)
    assert f.error == pytest.approx(np.sqrt(10.0 / 3.0))
    assert f.mape == pytest.approx(100.0 * (0.0 + (1.0 - np.exp(-1.0)) + (1.0 - np.exp(-3.0))) / 3.0)


def test_quantiles_of_tailwise_hold_what_they_say_where_its_model_is_right() -> None:
    """2000 rows of the very shape that it assumes. Three standard errors of a share of .9: .020, of the shares'
    quantiles being learned from the same rows less than that again."""
    f = foresee(late(log_of(5, n=2000), 0))
    figures = judge(f.y[20:], by_tailwise(f)[20:])
    assert figures.within_p90 == pytest.approx(0.90, abs=0.025)
    assert figures.within_interval == pytest.approx(0.90, abs=0.025)


@pytest.mark.parametrize("n_late", [0, 200])
def test_a_held_quantile_comes_to_its_share_where_the_spread_is_foretold_twice_too_wide(n_late: int) -> None:
    """4000 rows of normal noise in forecasts of twice its spread, so that 99.5% lie below the quantile. Three
    standard errors of a share of .9 are .014. ln of the factor has to come to -ln 2: at .005 a row within 139
    rows; 200 rows late at .0012 within 600, during which at most .095 too many lie below: .015 of the whole."""
    f = foresee(late(log_of(8, n=4000), n_late))
    noise = 0.1 * np.random.default_rng(9).standard_normal(4000)
    wide = replace(f, m=f.y - noise, s=np.full(4000, 0.2), dof=np.full(4000, 1e6))
    assert judge(wide.y, by_tailwise(wide)).within_p90 > 0.98
    assert judge(wide.y, held(wide)).within_p90 == pytest.approx(0.9, abs=0.03)


def test_a_retrained_model_is_fitted_early_and_then_every_hundred_results() -> None:
    class Counting(Ridge):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[int] = []

        def fit(self, X: np.ndarray, y: np.ndarray) -> None:
            self.seen.append(len(y))
            super().fit(X, y)

    f = foresee(late(log_of(6), 0))
    predictor = Counting()
    quantile = foretell(predictor, np.array(f.x), f.y, f.steps)
    assert predictor.seen == [20, 50, 100, 200]
    assert np.isnan(quantile[0]).all()
    assert quantile[10] == pytest.approx(np.quantile(f.y[:10], LEVELS))


VLLM = {
    "kv_cache_percentage": 0.01,
    "input_token_length": 100,
    "num_request_waiting": 0,
    "num_request_running": 1,
    "prefill_tokens_in_flight": 64,
    "actual_ttft_ms": 50,
    "actual_tpot_ms": 0,
}
LMBENCH = "workload,target_qps,prompt_tokens,generation_tokens,ttft_s,generation_time_s,launch_s\n"


def test_load_test_counts_what_is_open_and_unread_when_a_request_starts(tmp_path: Path) -> None:
    """At 1 s the first request (at 0) has its first token and is open; the second one is told of at 1.5 + .5 s."""
    path = tmp_path / "log.csv"
    path.write_text(LMBENCH + "s,1,100,11,0.5,10,0\ns,1,200,11,1.0,10,1.0\ns,1,400,11,1.0,10,1.5\n")
    ttft, tpot = read(path)
    assert [row.reported for row in ttft.rows] == [
        {"busy": 0.0, "ahead": 100.0},
        {"busy": 1.0, "ahead": 200.0},
        {"busy": 2.0, "ahead": 600.0},
    ]
    assert [row.told_s for row in ttft.rows] == [0.5, 2.0, 2.5]
    assert [row.seconds for row in tpot.rows] == pytest.approx([1.0, 1.0, 1.0])
    assert [row.told_s for row in tpot.rows] == [10.5, 12.0, 12.5]


def test_a_log_that_cannot_be_used_is_refused_in_one_line_with_exit_code_2(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    path = tmp_path / "log.csv"
    path.write_text(LMBENCH + "s,1,100,11,nan,10,0\n")
    monkeypatch.setattr("sys.argv", ["prediction", str(path)])
    assert main() == 2
    printed = capsys.readouterr().err
    assert str(path) in printed
    assert "ttft_s" in printed
    assert printed.count("\n") == 1


def test_every_predictor_is_judged_on_the_same_rows_and_written_to_the_file(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    rng = np.random.default_rng(7)
    path, out = tmp_path / "log.jsonl", tmp_path / "figures.json"
    requests = [
        VLLM | {"actual_ttft_ms": float(50 * np.exp(0.1 * e)), "num_request_running": int(n)}
        for e, n in zip(rng.standard_normal(240), rng.integers(0, 9, 240), strict=True)
    ]
    path.write_text("\n".join(map(json.dumps, requests)))
    monkeypatch.setattr("sys.argv", ["prediction", str(path), "--json", str(out)])
    assert main() == 0
    figures = json.loads(out.read_text())
    assert "tailwise" in capsys.readouterr().out
    assert [(f["feedback"], f["predictor"], f["n"]) for f in figures] == [
        (feedback, predictor, n)
        for feedback, n in (("at once", 239), ("200 rows late", 39))
        for predictor in ("tailwise", "p90 held", "trees", "small trees", "ridge")
    ]
    assert all(0.0 < f["pinball"] < 10.0 and f["predict_ns"] > 0.0 < f["update_ns"] for f in figures)
