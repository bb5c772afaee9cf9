"""The batching pool as the command line of the replay plays it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from bench.batching.contest import Batching
from bench.batching.outcome import WARM_S
from bench.batching.players import PLAYERS
from bench.batching.scenarios import BatchingScenario
from bench.batching.traffic import Traffic, draw_traffic
from bench.replay.contests import CONTESTS

HORIZON_S = 40.0
OURS = next(player for player in PLAYERS if player.name == "tailwise")
LEAST = next(player for player in PLAYERS if player.name == "least in flight")


@dataclass(frozen=True, slots=True)
class Short(BatchingScenario):
    """Of 40 seconds."""

    def draw(self, seed: int) -> Traffic:
        return draw_traffic(self.sessions_per_s, seed, HORIZON_S)


@pytest.fixture(scope="module")
def contest() -> Batching:
    return Batching(Short("short", 12.0))


def test_the_command_line_knows_every_rate() -> None:
    assert [id for id in CONTESTS if id.startswith("batching.")] == [
        f"batching.sessions.{rate}" for rate in (16, 24, 30, 36)
    ]


def test_a_trial_says_what_its_outcome_says(contest: Batching) -> None:
    (trial,) = contest.trials([LEAST.name], 7, None)
    traffic = contest.scenario.draw(7)
    outcome = LEAST.play(traffic, 7)
    kept, counted = outcome.kept(traffic), traffic.arrival_s >= WARM_S
    assert trial.policy == LEAST.name
    assert trial.figures["on_time"] == pytest.approx(kept[counted].mean())
    assert trial.figures["goodput_per_s"] == pytest.approx(kept[counted].sum() / (HORIZON_S - WARM_S))
    assert np.isnan(trial.classes["chat"]["claim_error"])
    assert trial.curves is not None
    assert trial.curves.on_time.sum() == kept.sum()
    assert trial.curves.offered.sum() == len(traffic)
    assert trial.curves.claims == {}


def test_tailwise_is_held_to_its_claims(contest: Batching) -> None:
    """All claims of admitted jobs are in the curves, those from WARM_S on in the figures; both worked out anew."""
    (trial,) = contest.trials(["tailwise"], 7, None)
    traffic = contest.scenario.draw(7)
    outcome = OURS.play(traffic, 7)
    admitted = outcome.lane >= 0
    counted = admitted & (traffic.arrival_s >= WARM_S)
    error = outcome.claim[counted].mean() - outcome.kept(traffic)[counted].mean()
    assert trial.curves is not None
    assert trial.curves.claims["chat"].n.sum() == admitted.sum()
    assert trial.classes["chat"]["claim_error"] == pytest.approx(error)
    assert abs(error) < 0.02
