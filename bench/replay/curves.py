"""The curves of one replay, for the plots: over time, of completion times, of claims."""

from __future__ import annotations

import numpy as np

from bench.replay.events import BIN_S, bins_of
from bench.replay.figures import held_to
from bench.replay.outcome import Outcome
from bench.replay.trial import COMPLETION_S, Curves, Shade
from bench.replay.world import World
from tailwise.adapters.cli.claims import claim_bins

__all__ = ["curves"]


def curves(world: World, outcome: Outcome) -> Curves:
    """A job counts where it arrived; what never completed is missing from a curve of completion times above."""
    on_time, completion_s = outcome.on_time(world), outcome.completion_s(world)
    weight = np.array([q.weight for q in world.classes])[world.qos]
    index, n_bins = bins_of(world)
    completed, claims = {}, {}
    for c, q in enumerate(world.classes):
        of_class = world.qos == c
        done_s = np.sort(completion_s[of_class])
        completed[q.name] = np.searchsorted(done_s, COMPLETION_S, side="right") / max(1, len(done_s))
        told = of_class & held_to(outcome.claim, outcome.end)
        if told.any():
            claims[q.name] = claim_bins(outcome.claim[told], on_time[told].astype(float))
    return Curves(
        bin_s=BIN_S,
        offered=np.bincount(index, weight, n_bins),
        on_time=np.bincount(index, weight * on_time, n_bins),
        deadline_s={q.name: q.deadline_s for q in world.classes},
        completed=completed,
        claims=claims,
        shades=tuple(Shade(e.start_s, e.end_s, e.kind) for e in world.events),
    )
