"""The table: what is not installed or does not run is a row of its own, and takes nothing away from the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bench.peers import __main__ as peers
from bench.peers.bayesian_ridge import ENTRY
from bench.peers.peer import Result
from bench.peers.rounds import OWN, turn_of
from bench.peers.scene import Scene

ABSENT = replace(ENTRY, name="absent", title="Absent", module="no_such_module", requirement="absent[all]>=2")


def refuse(k: int, history: Sequence[Result]) -> object:
    raise ValueError("numpy is too new\nand more")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small size only, and no wait for numba."""
    monkeypatch.setattr(peers, "SIZES", (8,))
    monkeypatch.setattr(peers, "OWN", OWN[:2])


def rendered(rows: Sequence[peers.Row]) -> str:
    console = Console(width=250, file=StringIO())
    with console.capture() as printed:
        console.print(peers.table(rows))
    return printed.get()


@pytest.mark.usefixtures("quick")
def test_what_is_not_installed_or_fails_is_a_row_that_says_so() -> None:
    broken = replace(ENTRY, name="broken", title="Broken", make=refuse)
    rows = peers.run(OWN[:1], [ABSENT, broken, ENTRY], 2, Console(quiet=True))
    assert [row.title for row in rows] == ["bare C", "Absent", "Broken", ENTRY.title]
    assert rows[1].missing == "not installed: pip install 'absent[all]>=2'"
    assert rows[2].missing == "does not run: ValueError: numpy is too new"
    assert not rows[1].choose_ns
    assert not rows[2].choose_ns
    assert rows[3].ratio[8] > 1.0
    lines = rendered(rows).splitlines()
    assert any("Absent" in line and "not installed: pip install 'absent[all]>=2'" in line for line in lines)
    assert any("Broken" in line and "numpy is too new" in line for line in lines)


@pytest.mark.usefixtures("quick")
def test_only_runs_what_was_asked_for_beside_the_bare_loop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "peers.json"
    assert peers.main(["--only", "tailwise,scikit-learn", "--rounds", "2", "--json", str(path)]) == 0
    rows = {row["name"]: row for row in json.loads(path.read_text())}
    assert list(rows) == ["bare", "tailwise", "scikit-learn"]
    assert rows["bare"]["ratio"] == {"8": 1.0}
    assert rows["bare"]["learn_ns"] == {}
    for name in ("tailwise", "scikit-learn"):
        assert rows[name]["choose_ns"]["8"] > 0.0 < rows[name]["learn_ns"]["8"]
        assert rows[name]["version"][0].isdigit()
        assert rows[name]["differs"]
    out = capsys.readouterr().out
    assert "scikit-learn BayesianRidge" in out
    assert "MABWiser" not in out


@pytest.mark.parametrize("wrong", [["--only", "tailwise,nobody"], ["--rounds", "0"], ["--only", ""]])
def test_a_wrong_argument_is_one_line_and_exit_code_2(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert peers.main(wrong) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "--only 'nobody'" in err or "--rounds" in err or "--only ''" in err


@pytest.mark.usefixtures("quick")
def test_an_installed_library_that_does_not_run_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "PEERS", (replace(ENTRY, make=refuse),))
    assert peers.main(["--only", "scikit-learn", "--rounds", "1"]) == 1
    monkeypatch.setattr(peers, "PEERS", (ABSENT,))
    assert peers.main(["--only", "absent", "--rounds", "1"]) == 0


def test_every_peer_is_told_what_a_job_took_where_it_was_sent() -> None:
    """And sees the same requests in the same order as any other."""
    scene = Scene(8)
    told: list[tuple[int, tuple[float, ...], float]] = []

    class Turning:
        n = 0

        def choose(self, x: tuple[float, ...]) -> int:
            self.n += 1
            return self.n % 8

        def learn(self, lane: int, x: tuple[float, ...], seconds: float) -> None:
            told.append((lane, x, seconds))

    turn_of(Turning(), scene)()
    for n, (lane, x, seconds) in enumerate(told):
        i = n % len(scene.subject.tuples)
        assert lane == (n + 1) % 8
        assert x == scene.subject.tuples[i]
        assert seconds == scene.seconds[i][lane]
    assert len(told) == 104
