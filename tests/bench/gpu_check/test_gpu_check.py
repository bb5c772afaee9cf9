"""The check of a CUDA device runs where there is none, and every figure of it is there."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.gpu_check.load import STREAMS
from bench.table import markdown

FIGURES = {
    "device": 2,
    "timing": 3,
    "overhead": 2,
    "batching": 2,
    "interference": 4 * len(STREAMS),
    "mixed": 3 + 2 * 2,
    "out of memory": 3,
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dict[str, float | str]]]:
    """What a quick run prints, and the rows that it writes."""
    path = tmp_path_factory.mktemp("gpu_check") / "rows.json"
    command = [sys.executable, "-m", "bench.gpu_check", "--quick", "--json", str(path)]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(path.read_text())["rows"]


def test_every_figure_is_there_and_finite(found: tuple[str, list[dict[str, float | str]]]) -> None:
    _, rows = found
    checks = [row["check"] for row in rows]
    assert {check: checks.count(check) for check in checks} == FIGURES
    assert len({row["figure"] for row in rows}) == len(rows)
    assert all(math.isfinite(float(row["value"])) for row in rows)


def test_the_first_line_says_what_it_ran_on(found: tuple[str, list[dict[str, float | str]]]) -> None:
    first, *_ = found[0].splitlines()
    assert first.startswith("CUDA device" if torch.cuda.is_available() else "no CUDA device")


def test_a_job_too_large_for_the_memory_is_survived(found: tuple[str, list[dict[str, float | str]]]) -> None:
    """Its job fails and the next one works; joined jobs that are too large together are all served."""
    survived, served, met = (float(row["value"]) for row in found[1] if row["check"] == "out of memory")
    assert (survived, served) == (1.0, 1.0)
    assert met >= 2.0


def test_a_table_is_markdown_where_rich_is_not() -> None:
    assert markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
