"""What a scenario and a policy are to the replay: names with a recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.replay.outcome import Outcome
from bench.replay.world import World

__all__ = ["Player", "Scenario"]


class Player(Protocol):
    """A policy, ready to be replayed: one world in, what became of each job out. Deterministic in (world, seed)."""

    @property
    def name(self) -> str: ...

    def play(self, world: World, seed: int) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Scenario:
    """One permanent id. draw: the world of a seed, from a recorded trace where `trace` says what file it needs."""

    id: str  #: never changes its meaning; a changed world gets a new id
    title: str
    draw: Callable[[int, Path | None], World]
    seeds: tuple[int, ...]  #: reported ones; nothing was chosen on them
    trace: str | None = None  #: what --trace has to be, in words; None = none is needed
    size: str = ""  #: resources, and seconds or jobs, in words
    left_out: tuple[str, ...] = ()  #: policies, bare or not, that do not play it
