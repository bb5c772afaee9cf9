"""Who plays: tailwise, the oracle, and the policies of the field, by the names of the tables."""

from __future__ import annotations

from collections.abc import Mapping

from bench.replay.baselines.least_outstanding import LEAST_OUTSTANDING
from bench.replay.baselines.true_means import TRUE_MEANS
from bench.replay.learned import CHOOSES_ONLY, OWNS_QUEUES
from bench.replay.replayed import Replayed
from bench.replay.scenario import Player

__all__ = ["FIELD", "PLAYERS"]

#: The policies of the field. Each plays with the common layer, and bare as its users run it.
FIELD = (TRUE_MEANS, LEAST_OUTSTANDING)

PLAYERS: Mapping[str, Player] = {
    player.name: player
    for player in (
        OWNS_QUEUES,
        CHOOSES_ONLY,
        *(Replayed(baseline, layered=layered) for layered in (True, False) for baseline in FIELD),
    )
}
