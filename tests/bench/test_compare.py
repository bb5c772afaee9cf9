"""Base against head: what is worse than tolerance and chance is found, and nothing else."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from bench.compare import TOLERANCES, changes, main
from bench.replay.record import FORMAT, VERSION

SEEDS = (101, 102, 103)


def record(p99_s: tuple[float, ...] = (0.1, 0.1, 0.1), of_oracle_pct: float = 99.0) -> dict[str, Any]:
    """One scenario, one policy, three seeds."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "scenarios": [
            {
                "id": "grid",
                "trials": [
                    {
                        "policy": "tailwise",
                        "seed": seed,
                        "world": {"jobs": 1000.0},
                        "figures": {"of_oracle_pct": of_oracle_pct, "goodput_per_s": 10.0},
                        "classes": {"urgent": {"p99_s": p99}},
                    }
                    for seed, p99 in zip(SEEDS, p99_s, strict=True)
                ],
            }
        ],
    }


def verdicts(base: dict[str, Any], head: dict[str, Any]) -> dict[str, str]:
    return {change.figure: change.verdict for change in changes(base, head)}


def run(tmp_path: Path, base: object, head: object) -> int:
    for name, data in (("base", base), ("head", head)):
        (tmp_path / f"{name}.json").write_text(json.dumps(data))
    return main([str(tmp_path / "base.json"), str(tmp_path / "head.json")])


def test_a_run_against_itself_has_no_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, record(), record()) == 0
    assert capsys.readouterr().out == "nothing changed\n"


def test_a_regression_is_found_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, record(), record(of_oracle_pct=98.8)) == 1
    out = capsys.readouterr().out
    assert "of_oracle_pct" in out
    assert "1 worse, 0 better, 0 within tolerance" in out


def test_the_tolerance_is_respected_and_an_improvement_is_no_regression(tmp_path: Path) -> None:
    assert verdicts(record(), record(of_oracle_pct=98.95)) == {"of_oracle_pct": "within tolerance"}
    assert verdicts(record(), record(of_oracle_pct=99.5)) == {"of_oracle_pct": "better"}
    assert run(tmp_path, record(), record(of_oracle_pct=99.5)) == 0


def test_a_relative_tolerance_is_of_the_base() -> None:
    """p99 may rise by 5%."""
    assert verdicts(record(), record((0.104,) * 3)) == {"urgent: p99_s": "within tolerance"}
    assert verdicts(record(), record((0.106,) * 3)) == {"urgent: p99_s": "worse"}


def test_a_change_of_the_mean_that_the_seeds_disagree_on_is_chance() -> None:
    """+90, -20 and -10%: 20% on average, with a standard error of 35%."""
    assert verdicts(record(), record((0.19, 0.08, 0.09))) == {"urgent: p99_s": "within tolerance"}


def test_pairing_takes_the_spread_between_worlds_out() -> None:
    """10, 11 and 12% worse on seeds that differ by a factor of nine is no chance."""
    assert verdicts(record((0.1, 0.3, 0.9)), record((0.11, 0.333, 1.008))) == {"urgent: p99_s": "worse"}


def test_claims_are_judged_by_their_distance_from_zero() -> None:
    base, head = record(), record()
    for data, error in ((base, 0.02), (head, -0.02)):
        for trial in data["scenarios"][0]["trials"]:
            trial["figures"] = {"claim_error": error}
    assert verdicts(base, head) == {"claim_error": "within tolerance"}
    for trial in head["scenarios"][0]["trials"]:
        trial["figures"] = {"claim_error": -0.03}
    assert verdicts(base, head) == {"claim_error": "worse"}


def test_a_figure_that_is_gone_is_a_regression() -> None:
    head = record()
    for trial in head["scenarios"][0]["trials"]:
        trial["classes"]["urgent"] = {}
    assert verdicts(record(), head) == {"urgent: p99_s": "worse"}


def test_what_is_new_in_the_head_is_named_and_not_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = record()
    head["scenarios"].append({"id": "new", "trials": []})
    more = copy.deepcopy(head["scenarios"][0]["trials"][0])
    head["scenarios"][0]["trials"].append(more | {"policy": "p2c"})
    assert run(tmp_path, record(), head) == 0
    assert "not judged: p2c in grid, new" in capsys.readouterr().out


def without_scenario(data: dict[str, Any]) -> object:
    return data | {"scenarios": []}


def other_policy(data: dict[str, Any]) -> object:
    for trial in data["scenarios"][0]["trials"]:
        trial["policy"] = "p2c"
    return data


def other_seed(data: dict[str, Any]) -> object:
    data["scenarios"][0]["trials"][0]["seed"] = 7
    return data


def other_jobs(data: dict[str, Any]) -> object:
    data["scenarios"][0]["trials"][1]["world"]["jobs"] = 1001.0
    return data


def half_a_trial(data: dict[str, Any]) -> object:
    del data["scenarios"][0]["trials"][1]["figures"]
    return data


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without_scenario, "grid is missing from the head"),
        (other_policy, "policy 'tailwise' is missing"),
        (other_seed, "seeds [101, 102, 103] of the base are not those of the head, [7, 102, 103]"),
        (other_jobs, "grid, seed 102: not the same jobs (jobs 1000 in the base, 1001 in the head)"),
        (half_a_trial, "a trial of grid lacks figures"),
        (lambda data: [], "not a record of bench.replay"),
        (lambda data: data | {"version": 99}, "version 99"),
    ],
)
def test_what_cannot_be_compared_is_one_line_and_exit_code_2(
    spoil: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, record(), spoil(record())) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_an_unreadable_file_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "base.json").write_text("{")
    assert main([str(tmp_path / "base.json"), str(tmp_path / "none.json")]) == 2
    assert main([str(tmp_path / "none.json"), str(tmp_path / "base.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_every_judged_figure_may_change_by_something() -> None:
    assert all(t.margin > 0.0 for t in TOLERANCES.values())
