"""The command line where not everything is installed: a command needs its own extra, and says which."""

from __future__ import annotations

from pathlib import Path

import pytest

import tailwise
from tests.hidden import run_without

MAIN = "from tailwise.adapters.cli import main\nmain()"
HEAVY = "torch,sklearn,matplotlib,PIL"


def test_help_and_version_need_nothing_of_what_runs_models() -> None:
    told = run_without(HEAVY, MAIN, "--version")
    assert (told.returncode, told.stdout) == (0, f"tailwise {tailwise.__version__}\n"), told.stderr
    told = run_without(HEAVY, MAIN, "--help")
    assert told.returncode == 0, told.stderr
    for command in ("run", "serve", "top", "why", "doctor", "mode", "reset"):
        assert command in told.stdout


@pytest.mark.parametrize("missing", ["torch", "matplotlib"])
def test_a_run_without_its_packages_ends_with_one_line_that_names_the_extra(
    missing: str, tmp_path: Path
) -> None:
    told = run_without(missing, MAIN, "run", "--report", str(tmp_path / "never.html"))
    assert told.returncode == 1
    assert told.stderr.count("\n") == 1, told.stderr
    assert "pip install 'tailwise[cli]'" in told.stderr


def test_a_run_whose_workload_lacks_a_package_names_the_extra() -> None:
    told = run_without("sklearn", MAIN, "run")
    assert told.returncode == 2
    assert "pip install 'tailwise[cli]'" in told.stdout


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_a_gateway_without_its_packages_ends_with_one_line_that_names_the_extra(missing: str) -> None:
    told = run_without(missing, MAIN, "serve", "gateway.toml")
    assert told.returncode == 1
    assert told.stderr == (
        f"tailwise: tailwise.adapters.gateway needs {missing}: pip install 'tailwise[gateway]'\n"
    )


def test_without_typer_the_line_names_both_extras() -> None:
    told = run_without("typer", MAIN, "top")
    assert told.returncode == 1
    assert "'tailwise[cli]'" in told.stderr
    assert "'tailwise[gateway]'" in told.stderr
