"""The page of a replay: self-contained, well-formed, and drawn from whatever was played."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.replay.contests import Replay
from bench.replay.page import page
from bench.replay.plots import against_load, drawn
from bench.replay.scenario import Scenario
from bench.replay.summary import Summary, against_oracle
from bench.replay.trial import Trial
from bench.replay.world import Event
from tests.bench.replay.made import Always, world
from tests.pages import balanced, outside

PEERS = [f"peer {i}" for i in range(8)]
PLAYERS = [
    Always("tailwise", 0.08, claim=0.9),
    Always("tailwise, chooses only", 0.085, claim=0.8),
    Always("oracle", 0.05),
    *(Always(name, 0.09 + 0.005 * i) for i, name in enumerate(PEERS)),
]


def summary(id: str = "tiny.load.050", *, events: bool = True, policies: int = len(PLAYERS)) -> Summary:
    made = world(
        (np.arange(300) / 100).tolist(),
        [i % 2 for i in range(300)],
        events=(Event("fails", 1, 1.0, 2.0),) * events,
    )
    players = {player.name: player for player in PLAYERS[:policies]}
    contest = Replay(Scenario(id, "tiny", lambda seed, trace: made, (101, 102)), players)
    trials: list[Trial] = []
    for seed in contest.seeds:
        trials += against_oracle(list(contest.trials(contest.policies, seed, None)))
    return Summary(id, "a <b>tiny</b> world", trials)


@pytest.fixture(scope="module")
def text() -> str:
    return page([summary(), summary("tiny.load.080"), summary("calm", events=False)], ["tiny.*", "<b>"])


def test_the_page_is_well_formed_and_needs_nothing_from_outside(text: str) -> None:
    parser = balanced(text)
    assert outside(text) == []
    assert len(parser.ids) == len(set(parser.ids))
    assert parser.references <= set(parser.ids)


def test_it_holds_every_plot_once_a_scenario(text: str) -> None:
    """Goodput against load; completion, claims and regret of all three; a timeline where there is an event."""
    assert balanced(text).seen.count("svg") == 1 + 3 * 3 + 2


def test_whatever_was_named_is_escaped(text: str) -> None:
    assert "<b>" not in text
    assert "a &lt;b&gt;tiny&lt;/b&gt; world" in text


def test_every_policy_is_in_the_table_and_the_best_are_in_the_plots(text: str) -> None:
    assert all(text.count(f">{name}</th>") for name in PEERS)
    shown = drawn([summary()])
    assert shown == ["tailwise", "tailwise, chooses only", *PEERS[:4], "oracle"]
    # eight panels of completion and so on name those only
    assert PEERS[3] in text
    assert text.count(f">{PEERS[7]}<") == 3  # the table of each scenario


def test_the_same_summaries_give_the_same_page(text: str) -> None:
    again = page([summary(), summary("tiny.load.080"), summary("calm", events=False)], ["tiny.*", "<b>"])
    assert again == text


def test_one_load_alone_is_no_line() -> None:
    assert against_load([summary()], ["tailwise"]) is None
    assert against_load([summary("a.load.050"), summary("b.load.080")], ["tailwise"]) is None


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("policies", [1, 3])
def test_a_page_without_an_oracle_or_peers(policies: int) -> None:
    made = page([summary(policies=policies)], [])
    balanced(made)
    assert ("jobs behind the oracle" in made) == (policies == 3)


def test_without_curves_there_are_tables_alone() -> None:
    full = summary()
    bare = Summary(full.id, full.title, [replace(trial, curves=None) for trial in full.trials])
    assert balanced(page([bare], [])).seen.count("svg") == 0


def test_what_never_completed_is_no_reason_to_fail() -> None:
    """Every job later than a curve of completion times reaches."""
    made = world([0.0, 0.5, 1.0], [0, 1, 0])
    contest = Replay(Scenario("x", "", lambda seed, trace: made, (1,)), {"tailwise": Always("tailwise", 1e4)})
    seen = balanced(page([Summary("x", "", list(contest.trials(("tailwise",), 1, None)))], [])).seen
    assert "svg" in seen
