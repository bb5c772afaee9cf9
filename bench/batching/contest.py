"""The batching pool as `python -m bench.replay` plays it: figures of every router, in its names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.batching.outcome import TTFT_S, WARM_S, Outcome
from bench.batching.players import PLAYERS
from bench.batching.pool import SPEED
from bench.batching.scenarios import HORIZON_S, REPORTED_SEEDS, SCENARIOS, BatchingScenario
from bench.batching.traffic import Traffic
from bench.replay.events import BIN_S
from bench.replay.figures import expected_calibration_error
from bench.replay.trial import COMPLETION_S, Curves, Trial
from tailwise.adapters.cli.claims import claim_bins

__all__ = ["CONTESTS", "Batching"]

_CLASS = "chat"
_N_SEEDS = 5


@dataclass(frozen=True, slots=True)
class Batching:
    """A Contest. On time = both bounds kept; jobs that arrived before WARM_S count in the curves only."""

    scenario: BatchingScenario

    @property
    def id(self) -> str:
        return self.scenario.id

    @property
    def title(self) -> str:
        return f"{self.scenario.sessions_per_s:g} sessions a second, TTFT and TPOT bounded"

    @property
    def size(self) -> str:
        return f"{len(SPEED)} replicas, {HORIZON_S:g} s"

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(REPORTED_SEEDS[:_N_SEEDS])

    @property
    def trace(self) -> str | None:
        return None

    @property
    def policies(self) -> tuple[str, ...]:
        return tuple(player.name for player in PLAYERS)

    def trials(self, policies: Sequence[str], seed: int, trace: Path | None) -> Iterator[Trial]:
        traffic = self.scenario.draw(seed)
        for player in PLAYERS:
            if player.name in policies:
                outcome = player.play(traffic, seed)
                yield Trial(
                    policy=player.name,
                    seed=seed,
                    figures=_figures(traffic, outcome),
                    classes={_CLASS: _class_figures(traffic, outcome)},
                    world={
                        "jobs": float(len(traffic)),
                        "arrivals_s": float(traffic.arrival_s.sum()),
                        "tokens": float(traffic.prompt.sum() + traffic.answer.sum()),
                    },
                    wall_s=outcome.wall_s,
                    curves=_curves(traffic, outcome),
                )


def _figures(traffic: Traffic, outcome: Outcome) -> dict[str, float]:
    of = outcome.figures(traffic)
    per_s = of.both * of.n / (traffic.horizon_s - WARM_S)
    return {
        "weighted_goodput_per_s": per_s,
        "goodput_per_s": per_s,
        "on_time": of.both,
        "ttft_kept": of.ttft_kept,
        "tpot_kept": of.tpot_kept,
        "early_on_time": of.early,
        "cached": of.hit,
    }


def _class_figures(traffic: Traffic, outcome: Outcome) -> dict[str, float]:
    of = outcome.figures(traffic)
    told = (traffic.arrival_s >= WARM_S) & (outcome.lane >= 0) & ~np.isnan(outcome.claim)
    claim, kept = outcome.claim[told], outcome.kept(traffic)[told]
    return {
        "offered": float(of.n),
        "on_time": of.both,
        "unanswered": of.rejected,
        "ttft_p50_s": of.ttft_p50_s,
        "ttft_p99_s": of.ttft_p99_s,
        "tpot_p50_s": of.tpot_p50_s,
        "tpot_p99_s": of.tpot_p99_s,
        "claim_error": float(claim.mean() - kept.mean()) if len(claim) else math.nan,
        "ece": expected_calibration_error(claim, kept),
    }


def _curves(traffic: Traffic, outcome: Outcome) -> Curves:
    kept = outcome.kept(traffic)
    told = (outcome.lane >= 0) & ~np.isnan(outcome.claim)
    index = (traffic.arrival_s / BIN_S).astype(np.int64)
    n_bins = int(np.ceil(traffic.horizon_s / BIN_S))
    first_s = np.sort(outcome.ttft_s(traffic))
    claims = claim_bins(outcome.claim[told], kept[told].astype(float))
    return Curves(
        bin_s=BIN_S,
        offered=np.bincount(index, minlength=n_bins).astype(float),
        on_time=np.bincount(index, kept, n_bins),
        deadline_s={_CLASS: TTFT_S},
        completed={_CLASS: np.searchsorted(first_s, COMPLETION_S, side="right") / len(first_s)},
        claims={_CLASS: claims} if told.any() else {},
        awaited="a first token",
    )


CONTESTS = tuple(Batching(scenario) for scenario in SCENARIOS.values())
