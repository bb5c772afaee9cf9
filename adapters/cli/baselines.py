"""The field's policies behind the same executor: round robin, least outstanding, P2C peak-EWMA.

Each decides on what it is described to decide on and nothing else; queues, priorities and expiry are the
executor's, the same for all.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tailwise.errors import UnknownName
from tailwise.policy import Assignment, End

__all__ = ["BASELINES", "Baseline", "LeastOutstanding", "PeakEwma", "RoundRobin"]


class Baseline:
    """What they share: which lanes a model may use, and how many jobs each lane has open.

    candidates: lanes by model name. fixed: the model that runs the jobs of a (family, class). seed: of the generator
    that breaks ties. now_s: the clock, seconds.
    """

    def __init__(
        self,
        candidates: Mapping[str, Sequence[int]],
        seed: int,
        now_s: Callable[[], float],
        fixed: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        self._candidates = {model: tuple(lanes) for model, lanes in candidates.items()}
        n_lanes = 1 + max(lane for lanes in self._candidates.values() for lane in lanes)
        self._outstanding = [0] * n_lanes
        self._rng = np.random.default_rng(seed)
        self._now_s = now_s
        self._fixed = dict(fixed or {})

    def pick(self, lanes: Sequence[int]) -> int:
        """Chooses among usable lanes (at least one)."""
        raise NotImplementedError

    def observe(self, lane: int, completion_s: float) -> None:
        """Hears how long a completed job took from arrival to end."""

    def assign(
        self,
        model: str,
        qos: str,
        features: tuple[float, ...],
        mask: int | None,
        deadline_s: float | None = None,
    ) -> Assignment:
        variant = self._fixed.get((model, qos))
        may_run = self._candidates[model if variant is None else variant]
        lanes = [lane for lane in may_run if mask is None or mask >> lane & 1]
        if not lanes:
            return Assignment(-1, reason="no_resource", model=variant)
        lane = self.pick(lanes)
        self._outstanding[lane] += 1
        return Assignment(lane, model=variant)

    def started(self, assignment: Assignment) -> None:
        """None of them looks at starts."""

    def ended(self, assignment: Assignment, end: End, service_s: float, completion_s: float) -> None:
        self._outstanding[assignment.lane] -= 1
        if end == "completed":
            self.observe(assignment.lane, completion_s)


class RoundRobin(Baseline):
    """Each in turn."""

    def __init__(
        self,
        candidates: Mapping[str, Sequence[int]],
        seed: int,
        now_s: Callable[[], float],
        fixed: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        super().__init__(candidates, seed, now_s, fixed)
        self._turn = itertools.count()

    def pick(self, lanes: Sequence[int]) -> int:
        return lanes[next(self._turn) % len(lanes)]


class LeastOutstanding(Baseline):
    """The fewest open jobs; ties to the generator."""

    def pick(self, lanes: Sequence[int]) -> int:
        fewest = min(self._outstanding[lane] for lane in lanes)
        return int(self._rng.choice([lane for lane in lanes if self._outstanding[lane] == fewest]))


class PeakEwma(Baseline):
    """Power of two choices by peak-sensitive EWMA of latency times (open jobs + 1).

    Twitter Finagle, `PeakEwma` load metric with `P2C`: a latency above the average replaces it at once, one below
    it moves it with exp(-dt / decay), decay 10 s; a lane with open jobs and no latency yet is penalised.
    """

    DECAY_S = 10.0
    PENALTY_S = 1e9  # Finagle's Long.MaxValue / 2: known to be busy, not known to be fast

    def __init__(
        self,
        candidates: Mapping[str, Sequence[int]],
        seed: int,
        now_s: Callable[[], float],
        fixed: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        super().__init__(candidates, seed, now_s, fixed)
        self._cost_s = [0.0] * len(self._outstanding)
        self._stamp_s = [now_s()] * len(self._outstanding)

    def pick(self, lanes: Sequence[int]) -> int:
        if len(lanes) == 1:
            return lanes[0]
        a, b = (int(lane) for lane in self._rng.choice(lanes, size=2, replace=False))
        return a if self.load_s(a) <= self.load_s(b) else b

    def load_s(self, lane: int) -> float:
        self.observe(lane, 0.0)  # decays to now, as the original's `get` does
        if self._cost_s[lane] == 0.0 and self._outstanding[lane] > 0:
            return self.PENALTY_S + self._outstanding[lane]
        return self._cost_s[lane] * (self._outstanding[lane] + 1)

    def observe(self, lane: int, completion_s: float) -> None:
        now_s = self._now_s()
        elapsed_s = max(now_s - self._stamp_s[lane], 0.0)
        self._stamp_s[lane] = now_s
        if completion_s > self._cost_s[lane]:
            self._cost_s[lane] = completion_s
        else:
            weight = math.exp(-elapsed_s / self.DECAY_S)
            self._cost_s[lane] = self._cost_s[lane] * weight + completion_s * (1.0 - weight)


BASELINES: Mapping[str, type[Baseline]] = {
    "round_robin": RoundRobin,
    "least_outstanding": LeastOutstanding,
    "p2c_peak_ewma": PeakEwma,
}


def baseline(
    name: str,
    candidates: Mapping[str, Sequence[int]],
    seed: int,
    now_s: Callable[[], float],
    fixed: Mapping[tuple[str, str], str] | None = None,
) -> Baseline:
    """Builds one by name. Raises UnknownName."""
    if name not in BASELINES:
        raise UnknownName(
            f"no policy {name!r}; there are tailwise, tailwise_no_rules, {', '.join(BASELINES)}"
        )
    return BASELINES[name](candidates, seed, now_s, fixed)
