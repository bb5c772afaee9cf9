"""Who plays: tailwise, the oracle, and the policies of the field, by the names of the tables."""

from __future__ import annotations

from collections.abc import Mapping

from bench.replay.learned import CHOOSES_ONLY, OWNS_QUEUES
from bench.replay.scenario import Player

__all__ = ["PLAYERS"]

PLAYERS: Mapping[str, Player] = {player.name: player for player in (OWNS_QUEUES, CHOOSES_ONLY)}
