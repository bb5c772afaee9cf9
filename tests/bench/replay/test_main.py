"""The command line: same seed, same table; whatever cannot be played is one line and exit code 2."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.replay.__main__ import main
from bench.replay.contests import CONTESTS, Replay
from bench.replay.record import record
from bench.replay.run import Task, play
from bench.replay.scenario import Scenario
from bench.replay.world import Event, World
from tests.bench.replay.made import Always, world

PLAYERS = [
    Always("tailwise", 0.08, claim=0.9),
    Always("oracle", 0.05),
    Always("random", 0.095),
    Always("random, bare", 0.2),
]


def draw(seed: int, trace: Path | None) -> World:
    return world(
        [0.01 * i for i in range(200)], [i % 2 for i in range(200)], events=(Event("fails", 1, 0.5, 1.0),)
    )


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two scenarios on two seeds instead of the real ones."""
    for id in list(CONTESTS):
        monkeypatch.delitem(CONTESTS, id)
    for id, trace in (("tiny.load.050", None), ("tiny.load.080", None), ("recorded.tiny", "a file")):
        scenario = Scenario(id, f"the scenario {id}", draw, (101, 102), trace)
        monkeypatch.setitem(CONTESTS, id, Replay(scenario, {p.name: p for p in PLAYERS}))


def test_same_seed_same_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tiny.load.050"]) == 0
    first = capsys.readouterr().out
    assert main(["tiny.load.050"]) == 0
    assert capsys.readouterr().out == first
    assert main(["tiny.load.050", "--first-seed", "7"]) == 0
    assert capsys.readouterr().out != first


def test_a_pool_plays_what_one_process_does_in_the_same_order() -> None:
    """Threads here, since another process would not know these scenarios."""
    tasks = [
        Task(f"tiny.load.0{load}", ("oracle", "random"), seed, None) for load in (50, 80) for seed in (5, 4)
    ]
    told: list[tuple[str, int]] = []
    alone = play(tasks, None, lambda what, n: told.append((what, n)))
    with ThreadPoolExecutor(2) as pool:
        pooled = play(tasks, pool, lambda what, n: told.append((what, n)))
    assert [s.id for s in alone] == [s.id for s in pooled] == ["tiny.load.050", "tiny.load.080"]
    assert [t.seed for t in alone[0].trials] == [5, 5, 4, 4]
    assert record(alone, []) == record(pooled, [])
    assert sum(n for _, n in told) == 2 * 8


def test_the_table_shows_percent_of_the_oracle_best_first(capsys: pytest.CaptureFixture[str]) -> None:
    """On 2 s of 100 jobs each: .08 +- 20% is in time, .095 +- 20% for some, .2 never for the urgent half."""
    assert main(["tiny.load.050", "--seeds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.startswith("│")][:4]
    assert [row.split("│")[1].strip() for row in rows] == ["tailwise", "oracle", "random", "random, bare"]
    # 100 urgent jobs weigh 3 each, 100 patient ones 1: all in time but the urgent ones of the last
    assert [rows[i].split("│")[2].strip() for i in (0, 1, 3)] == ["100.00", "100.00", "25.00"]


def test_json_holds_every_trial_and_what_made_it(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    assert main(["tiny.*", "--seeds", "3", "--policies", "random, bare,tailwise", "--json", str(path)]) == 0
    data = json.loads(path.read_text())
    assert data["command"][-1] == str(path)
    assert {"processor", "cores", "python"} <= set(data["machine"])
    assert [s["id"] for s in data["scenarios"]] == ["tiny.load.050", "tiny.load.080"]
    trials = data["scenarios"][0]["trials"]
    assert [t["seed"] for t in trials] == [101] * 3 + [102] * 3 + [103] * 3
    # the order of the players, and the oracle whether or not it was named
    assert [t["policy"] for t in trials[:3]] == ["tailwise", "oracle", "random, bare"]
    assert trials[0]["figures"]["of_oracle_pct"] == 100.0
    assert set(trials[0]["classes"]) == {"urgent", "patient"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["tiny.load.51"],
            "'tiny.load.51' is not known; did you mean tiny.load.050 or ",
        ),
        (["nothing.*"], "'nothing.*' is not known; known: tiny.load.050, tiny.load.080, recorded.tiny"),
        ([], "name a scenario"),
        (
            ["tiny.*", "--policies", "randon"],
            "does not play tiny.load.050; did you mean random or",
        ),
        (["tiny.*", "--policies", "tailwise, bare"], "policy 'bare' does not play"),
        (["recorded.tiny"], "recorded.tiny needs --trace PATH: a file"),
        (["recorded.tiny", "--trace", "/nowhere/file"], "/nowhere/file: no such file"),
        (["tiny.*", "--trace", "/etc/hostname"], "none of the scenarios named reads a trace"),
        (["tiny.*", "--json", "/nowhere/x.json"], "/nowhere/x.json: not a file in an existing folder"),
        (["tiny.*", "--seeds", "0"], "'0' is no whole number from 1 on"),
        (["tiny.*", "--seed", "1"], "unrecognized arguments"),
    ],
)
def test_what_cannot_be_played_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.startswith("bench.replay: ")
    assert err.count("\n") == 1


def test_a_pattern_leaves_out_what_needs_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    assert main(["*", "--seeds", "1", "--json", str(path)]) == 0
    assert [s["id"] for s in json.loads(path.read_text())["scenarios"]] == ["tiny.load.050", "tiny.load.080"]


def test_the_list_names_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    out = capsys.readouterr().out
    assert all(id in out for id in CONTESTS)


def test_the_page_is_written(tmp_path: Path) -> None:
    path = tmp_path / "x.html"
    assert main(["tiny.*", "--html", str(path)]) == 0
    assert "tiny.load.080" in path.read_text()
