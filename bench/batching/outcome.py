"""What became of every job under one policy, and the figures that are reported."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from bench.batching.traffic import Traffic

__all__ = ["TPOT_S", "TTFT_S", "WARM_S", "Figures", "Outcome"]

TTFT_S, TPOT_S = 0.4, 0.03
WARM_S = 20.0  # jobs that arrive before fill the pool: later turns come one think time after the first


@dataclass(frozen=True, slots=True)
class Figures:
    """Of jobs that arrived from WARM_S on; shares of all offered ones, refused ones included."""

    both: float  #: kept both bounds
    ttft_kept: float
    tpot_kept: float
    ttft_p50_s: float  #: of admitted jobs, and so the next four
    ttft_p99_s: float
    tpot_p50_s: float
    tpot_p99_s: float
    hit: float  #: share of the history's tokens that a cache had
    rejected: float
    early: float  #: kept both, of those that arrived before WARM_S
    claimed: float  #: mean claim of admitted jobs, NaN where nothing is claimed
    kept: float  #: share of admitted jobs that kept both
    n: int

    def to_json(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Arrays over the n jobs of a traffic."""

    lane: NDArray[np.int64]  #: -1 = refused
    first_s: NDArray[np.float64]  #: when, NaN where refused; so end_s
    end_s: NDArray[np.float64]
    read: NDArray[np.int64]  #: prompt tokens that were not in the cache
    claim: NDArray[np.float64]  #: P(both bounds hold) as told, NaN = nothing was
    wall_s: float

    def ttft_s(self, traffic: Traffic) -> NDArray[np.float64]:
        """(n,) inf where refused."""
        return np.where(self.lane >= 0, self.first_s - traffic.arrival_s, np.inf)

    def tpot_s(self, traffic: Traffic) -> NDArray[np.float64]:
        """(n,) seconds per token after the first, inf where refused."""
        return np.where(self.lane >= 0, (self.end_s - self.first_s) / (traffic.answer - 1), np.inf)

    def kept(self, traffic: Traffic) -> NDArray[np.bool_]:
        """(n,) both bounds held."""
        return (self.ttft_s(traffic) <= TTFT_S) & (self.tpot_s(traffic) <= TPOT_S)

    def figures(self, traffic: Traffic) -> Figures:
        counted = traffic.arrival_s >= WARM_S
        admitted = counted & (self.lane >= 0)
        ttft_s, tpot_s, kept = self.ttft_s(traffic), self.tpot_s(traffic), self.kept(traffic)
        history = np.sum(traffic.history[admitted])
        found = np.sum((traffic.prompt - self.read)[admitted])
        ttft_p50_s, ttft_p99_s = np.percentile(ttft_s[admitted], (50, 99))
        tpot_p50_s, tpot_p99_s = np.percentile(tpot_s[admitted], (50, 99))
        return Figures(
            both=float(np.mean(kept[counted])),
            ttft_kept=float(np.mean(ttft_s[counted] <= TTFT_S)),
            tpot_kept=float(np.mean(tpot_s[counted] <= TPOT_S)),
            ttft_p50_s=float(ttft_p50_s),
            ttft_p99_s=float(ttft_p99_s),
            tpot_p50_s=float(tpot_p50_s),
            tpot_p99_s=float(tpot_p99_s),
            hit=float(found / history) if history else 0.0,
            rejected=float(np.mean(self.lane[counted] < 0)),
            early=float(np.mean(kept[~counted])),
            claimed=float(np.mean(self.claim[admitted])),
            kept=float(np.mean(kept[admitted])),
            n=int(counted.sum()),
        )
