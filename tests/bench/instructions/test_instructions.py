"""Instructions are counted for real where valgrind is, repeat to the last one, and are held by bench.compare."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench.compare import main as compare
from bench.instructions.__main__ import Case, Counts, count, main, record

K8 = Case("k8", 8)
N_JOBS = 200


def compared(tmp_path: Path, base: Counts, head: Counts, jobs: int = N_JOBS) -> int:
    for name, counts, n in (("base", base, N_JOBS), ("head", head, jobs)):
        (tmp_path / name).write_text(json.dumps(record({K8: counts}, n)))
    return compare([str(tmp_path / "base"), str(tmp_path / "head")])


def test_three_percent_more_instructions_are_a_regression_and_less_is_none(tmp_path: Path) -> None:
    """The bare loop's own count is not judged: it is no part of the package."""
    base = Counts(select=4000.0, complete=3000.0, bare=2000.0)
    assert compared(tmp_path, base, base) == 0
    assert compared(tmp_path, base, Counts(4110.0, 3080.0, 2500.0)) == 0
    assert compared(tmp_path, base, Counts(4130.0, 3000.0, 2000.0)) == 1
    assert compared(tmp_path, base, Counts(4000.0, 3100.0, 2000.0)) == 1
    assert compared(tmp_path, base, Counts(3000.0, 2000.0, 2000.0)) == 0


def test_counts_of_other_jobs_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = Counts(select=4000.0, complete=3000.0, bare=2000.0)
    assert compared(tmp_path, base, base, jobs=300) == 2
    assert "not the same jobs (jobs 200 in the base, 300 in the head)" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--only", "k8,k9"], ["--jobs", "0"]])
def test_a_wrong_argument_is_one_line_and_exit_code_2(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(wrong) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_without_valgrind_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["--only", "k8"]) == 2
    assert "needs valgrind" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_counts_repeat_to_the_last_instruction() -> None:
    """Twice the same jobs, a decision of a few thousand instructions, more of them than the bare loop takes."""
    first = count(K8, N_JOBS)
    assert count(K8, N_JOBS) == first
    assert 1000.0 < first.bare < first.select < 20_000.0
    assert 500.0 < first.complete < 20_000.0
