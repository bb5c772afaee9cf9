"""Trials of one scenario over seeds: means, standard errors and paired differences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.replay.trial import Trial

__all__ = ["ORACLE", "OURS", "Estimate", "Summary", "against_oracle", "estimate"]

OURS, ORACLE = "tailwise", "oracle"
#: What every contest must give, and what policies are ranked by.
_GOODPUT = "weighted_goodput_per_s"
_OF_ORACLE = "of_oracle_pct"


@dataclass(frozen=True, slots=True)
class Estimate:
    """mean over the n seeds on which the figure exists, NaN without any; error: its standard error, NaN for one."""

    mean: float
    error: float
    n: int

    def scaled(self, factor: float) -> Estimate:
        return Estimate(self.mean * factor, self.error * factor, self.n)


def estimate(values: Iterable[float]) -> Estimate:
    """NaN is left out: a figure that does not exist on a seed says nothing of the others."""
    known = np.array([v for v in values if not math.isnan(v)])
    n = len(known)
    return Estimate(
        mean=float(known.mean()) if n else math.nan,
        error=float(known.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan,
        n=n,
    )


def against_oracle(trials: Sequence[Trial]) -> list[Trial]:
    """The trials of one seed, each with its goodput in percent of the oracle's on the same jobs."""
    oracle = [trial.figures[_GOODPUT] for trial in trials if trial.policy == ORACLE]
    if not oracle or oracle[0] <= 0:
        return list(trials)
    return [
        replace(t, figures={_OF_ORACLE: 100.0 * t.figures[_GOODPUT] / oracle[0], **t.figures}) for t in trials
    ]


class Summary:
    """Trials of one scenario: every policy on every seed."""

    def __init__(self, id: str, title: str, trials: Sequence[Trial]) -> None:
        """trials: at least one, in the order of the table; of each policy the same seeds."""
        self.id, self.title, self.trials = id, title, tuple(trials)
        self.policies = tuple(dict.fromkeys(trial.policy for trial in trials))
        self.seeds = tuple(dict.fromkeys(trial.seed for trial in trials))
        self.classes = tuple(trials[0].classes)

    @property
    def seeds_text(self) -> str:
        first, *_, last = (self.seeds[0], *self.seeds)
        return f"seed {first}" if len(self.seeds) == 1 else f"{len(self.seeds)} seeds, {first} to {last}"

    def of(self, policy: str) -> list[Trial]:
        """By seed, in the order given."""
        return [trial for trial in self.trials if trial.policy == policy]

    def figure(self, policy: str, name: str) -> Estimate:
        return estimate(self.values(policy, name))

    def class_figure(self, policy: str, qos: str, name: str) -> Estimate:
        return estimate(trial.classes[qos].get(name, math.nan) for trial in self.of(policy))

    def difference(self, policy: str, other: str, name: str) -> Estimate:
        """policy minus other, paired by seed."""
        ours, theirs = self.values(policy, name), self.values(other, name)
        return estimate(a - b for a, b in zip(ours, theirs, strict=True))

    def values(self, policy: str, name: str) -> list[float]:
        """One a seed; NaN where the figure does not exist."""
        return [trial.figures.get(name, math.nan) for trial in self.of(policy)]

    def has(self, name: str) -> bool:
        """Whether any policy has the figure on any seed."""
        return any(not math.isnan(trial.figures.get(name, math.nan)) for trial in self.trials)

    def class_has(self, qos: str, name: str) -> bool:
        return any(not math.isnan(trial.classes[qos].get(name, math.nan)) for trial in self.trials)

    def ranked(self) -> tuple[str, ...]:
        """Policies by goodput, the best first; equal ones as they were played."""
        return tuple(sorted(self.policies, key=lambda policy: -self.figure(policy, _GOODPUT).mean))

    def ahead(self, policy: str) -> Estimate:
        """Goodput of OURS minus that of the policy, paired by seed: in percent of the oracle's, or of the jobs where
        no oracle played."""
        if self.has(_OF_ORACLE):
            return self.difference(OURS, policy, _OF_ORACLE)
        return self.difference(OURS, policy, "on_time").scaled(100.0)
