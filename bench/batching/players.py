"""Who is compared: tailwise, and each router of the field bare and with admission."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from bench.batching.learned import CHAT, Learned
from bench.batching.outcome import Outcome
from bench.batching.router import Admission, Kind, Router
from bench.batching.traffic import Traffic

__all__ = ["NAMES", "PLAYERS", "TUNED", "Player"]

NAMES = {
    Kind.LEAST: "least in flight",
    Kind.PREFIX: "prefix, else least",
    Kind.LOAD_AWARE: "load-aware",
    Kind.LMETRIC: "LMetric",
    Kind.OBSERVED: "observed TTFT",
}

#: What each refuses by: best mean share over the four rates on the choosing seeds (`python -m bench.batching.tune`).
TUNED = {
    Kind.LEAST: Admission(np.inf, 2500),
    Kind.PREFIX: Admission(24, 3000),
    Kind.LOAD_AWARE: Admission(np.inf, 3500),
    Kind.LMETRIC: Admission(24, 3000),
    Kind.OBSERVED: Admission(np.inf, 3500),
}


class Player(Protocol):
    """Same traffic and seed, same outcome."""

    @property
    def name(self) -> str: ...

    def play(self, traffic: Traffic, seed: int) -> Outcome: ...


PLAYERS: tuple[Player, ...] = (
    Learned(),
    Learned("tailwise, completion", qos=replace(CHAT, objective="completion")),
    *(Router(f"{NAMES[kind]}, refusing", kind, TUNED[kind]) for kind in Kind),
    *(Router(NAMES[kind], kind) for kind in Kind),
)
