"""Everything that `python -m bench.replay` can play: scenarios by id, and those who play them by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from bench.batching.contest import CONTESTS as BATCHING
from bench.replay.curves import curves
from bench.replay.figures import class_figures, figures, world_sums
from bench.replay.players import PLAYERS
from bench.replay.scenario import Player, Scenario
from bench.replay.scenarios import SCENARIOS
from bench.replay.summary import ORACLE
from bench.replay.trial import Contest, Trial
from tailwise.errors import TailwiseError

__all__ = ["CONTESTS", "Replay", "Unplayable", "find", "find_policies", "find_seeds"]


#: Names that a line of error holds.
_MANY = 40


class Unplayable(TailwiseError, ValueError):
    """A scenario, policy, seed or trace was asked for that cannot be played."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A Contest over the worlds of a scenario."""

    scenario: Scenario
    players: Mapping[str, Player]

    @property
    def id(self) -> str:
        return self.scenario.id

    @property
    def title(self) -> str:
        return self.scenario.title

    @property
    def size(self) -> str:
        return self.scenario.size

    @property
    def seeds(self) -> tuple[int, ...]:
        return self.scenario.seeds

    @property
    def trace(self) -> str | None:
        return self.scenario.trace

    @property
    def policies(self) -> tuple[str, ...]:
        return tuple(self.players)

    def trials(self, policies: Sequence[str], seed: int, trace: Path | None) -> Iterator[Trial]:
        world = self.scenario.draw(seed, trace)
        for name in policies:
            outcome = self.players[name].play(world, seed)
            yield Trial(
                policy=name,
                seed=seed,
                figures=figures(world, outcome),
                classes=class_figures(world, outcome),
                world=world_sums(world),
                wall_s=outcome.wall_s,
                curves=curves(world, outcome),
            )


def _replay(scenario: Scenario) -> Replay:
    """With all who can play it."""
    out = {f"{name}{bare}" for name in scenario.left_out for bare in ("", ", bare")}
    return Replay(scenario, {name: player for name, player in PLAYERS.items() if name not in out})


CONTESTS: dict[str, Contest] = {
    contest.id: contest for contest in (*(_replay(scenario) for scenario in SCENARIOS.values()), *BATCHING)
}


def find(patterns: Iterable[str], trace: Path | None) -> list[Contest]:
    """The contests of ids and of patterns such as `grid.*`, in the order of the table, each once.

    A pattern leaves out those that need a trace when none is given, an id does not. Raises Unplayable.
    """
    found: set[str] = set()
    for pattern in patterns:
        ids = [id for id in CONTESTS if fnmatchcase(id, pattern)]
        if not ids:
            raise Unplayable(f"scenario {pattern!r} is not known; {_nearest(pattern, CONTESTS)}")
        if pattern not in CONTESTS and trace is None:
            ids = [id for id in ids if CONTESTS[id].trace is None] or ids
        found.update(ids)
    result = [contest for id, contest in CONTESTS.items() if id in found]
    for contest in result:
        if contest.trace is not None and trace is None:
            raise Unplayable(f"{contest.id} needs --trace PATH: {contest.trace}")
    if trace is not None and all(contest.trace is None for contest in result):
        raise Unplayable(f"--trace {trace}: none of the scenarios named reads a trace")
    if trace is not None and not trace.exists():
        raise Unplayable(f"{trace}: no such file or folder")
    return result


def find_policies(names: str | None, contest: Contest) -> tuple[str, ...]:
    """Those of a contest that are named, split at commas; all if None; and always the oracle. Raises Unplayable."""
    if names is None:
        return contest.policies
    wanted, pieces = {ORACLE}, [piece.strip() for piece in names.split(",")]
    while pieces:
        # a name may hold a comma itself: "round robin, bare"
        name = ", ".join(pieces[:2])
        if name not in contest.policies:
            name = pieces[0]
        if name not in contest.policies:
            raise Unplayable(
                f"policy {name!r} does not play {contest.id}; {_nearest(name, contest.policies)}"
            )
        wanted.add(name)
        del pieces[: 1 + name.count(",")]
    return tuple(name for name in contest.policies if name in wanted)


def find_seeds(contest: Contest, n: int | None, first: int | None) -> tuple[int, ...]:
    """The reported seeds, or n from `first` on; more than there are go on counting after the last."""
    seeds = contest.seeds if first is None else tuple(range(first, first + len(contest.seeds)))
    if n is None:
        return seeds
    return (*seeds[:n], *range(seeds[-1] + 1, seeds[-1] + 1 + n - len(seeds)))


def _nearest(name: str, known: Iterable[str]) -> str:
    """What may have been meant, and what there is, as far as one line holds it."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    few = len(known) <= _MANY
    return meant + (f"known: {', '.join(known)}" if few else f"--list shows the {len(known)} that are known")
