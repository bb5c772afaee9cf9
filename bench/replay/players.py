"""Who plays: tailwise, the oracle, and the policies of the field, by the names of the tables."""

from __future__ import annotations

from collections.abc import Mapping

from bench.replay.baselines.c3 import C3
from bench.replay.baselines.ewma_wait import EWMA_WAIT
from bench.replay.baselines.least_outstanding import LEAST_OUTSTANDING
from bench.replay.baselines.linucb import LINUCB
from bench.replay.baselines.mean_of_last import MEAN_OF_LAST
from bench.replay.baselines.oracle import ORACLE
from bench.replay.baselines.p2c import P2C
from bench.replay.baselines.p2c_peak_ewma import P2C_PEAK_EWMA
from bench.replay.baselines.prequal import PREQUAL
from bench.replay.baselines.quantile_trees import QUANTILE_TREES
from bench.replay.baselines.random import RANDOM
from bench.replay.baselines.round_robin import ROUND_ROBIN
from bench.replay.baselines.true_means import TRUE_MEANS
from bench.replay.learned import CHOOSES_ONLY, OWNS_QUEUES
from bench.replay.replayed import Replayed
from bench.replay.scenario import Player

__all__ = ["FIELD", "PLAYERS"]

#: The policies of the field. Each plays with the common layer, and bare as its users run it.
FIELD = (
    TRUE_MEANS,
    RANDOM,
    ROUND_ROBIN,
    LEAST_OUTSTANDING,
    P2C,
    P2C_PEAK_EWMA,
    C3,
    PREQUAL,
    MEAN_OF_LAST,
    EWMA_WAIT,
    LINUCB,
    QUANTILE_TREES,
)

PLAYERS: Mapping[str, Player] = {
    player.name: player
    for player in (
        OWNS_QUEUES,
        CHOOSES_ONLY,
        Replayed(ORACLE),
        *(Replayed(baseline, layered=layered) for layered in (True, False) for baseline in FIELD),
    )
}
