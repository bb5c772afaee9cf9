"""Ways to correct a forecast by how earlier ones came out: the map, and a table of on-time shares beside it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from bench.calibration.foresee import Alarm, Asked, Foreseen

# The map's own edges, LEFT and the constants of Rule were fixed beforehand: nothing here was tuned on anything.
EDGES = np.array(
    [0, 0.002, 0.01, 0.03, 0.06, 0.12, 0.25, 0.4, 0.5, 0.6, 0.75, 0.88, 0.94, 0.97, 0.99, 0.998, 1]
)
WIDTHS = np.diff(EDGES)
LEFT = 8.0  # what an alarm leaves, as of a profile

LEVELS = np.array([0.5, 0.9, 0.99])
DEADLINES = np.array([1.5, 3.0])  # times the forecast median


@dataclass(frozen=True)
class Rule:
    """per: what has a map of its own. now: u is taken from the forecast of the moment when a result is told, not from
    the one its job started with. gated: the map counts by how well it told the u of late, against no map. memory:
    effective number of results that are counted. prior: results that a new map is taken to have seen, as forecast."""

    name: str
    per: Literal["profile", "model"] = "profile"
    now: bool = False
    gated: bool = False
    memory: float = 100.0
    prior: float = 20.0


RULES = (
    Rule("as designed"),
    Rule("one a model", per="model"),
    Rule("u of now", now=True),
    Rule("gated, u of now", now=True, gated=True),
)
WEAKER = tuple(
    Rule(f"gated, prior {prior:.0f}, memory {memory:.0f}", now=True, gated=True, prior=prior, memory=memory)
    for prior, memory in ((20, 400), (50, 100), (100, 100), (100, 400))
)


@dataclass
class PitMap:
    """Decayed counts of u in the bins; straight between its edges. gain: decayed sum of ln(density) that it gave to
    each u before it counted it; no map gives 0."""

    rule: Rule
    count: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(WIDTHS)))
    gain: float = 0.0

    def share(self) -> NDArray[np.float64]:
        """Probability of each bin."""
        share: NDArray[np.float64] = self.count + self.rule.prior * WIDTHS
        return share / float(share.sum())

    def edges(self) -> NDArray[np.float64]:
        """What becomes of EDGES."""
        share = self.share()
        if self.rule.gated:
            weight = 1.0 / (1.0 + np.exp(-self.gain))
            share = weight * share + (1.0 - weight) * WIDTHS
        return np.concatenate([[0.0], np.cumsum(share)])

    def tell(self, u: float, judged: float) -> None:
        """Counts u; its gain is judged by the u of the forecast that was needed."""
        keep = 1.0 - 1.0 / self.rule.memory
        i = bin_of(judged)
        self.gain = keep * self.gain + float(np.log(self.share()[i] / WIDTHS[i]))
        self.count *= keep
        self.count[bin_of(u)] += 1.0

    def alarm(self) -> None:
        left = min(1.0, LEFT / max(self.count.sum(), LEFT))
        self.count *= left
        self.gain *= left


def bin_of(u: float) -> int:
    return min(int(np.searchsorted(EDGES, u, "right")) - 1, len(WIDTHS) - 1)


@dataclass(frozen=True)
class Said:
    """quantile (n, LEVELS) of ln(seconds); p (n, DEADLINES): P(within that many times the forecast median)."""

    quantile: NDArray[np.float64]
    p: NDArray[np.float64]


def say(f: Foreseen, rule: Rule | None) -> Said:
    """What would have been said of each job, with the maps as they stood then; None = no map."""
    p = student.cdf(np.log(DEADLINES) / f.s[:, None], f.dof[:, None])
    level = np.tile(LEVELS, (len(f.y), 1))
    maps: dict[Hashable, PitMap] = {}
    for step in f.steps if rule else ():
        assert rule is not None
        if isinstance(step, Alarm):
            for key, one in maps.items():
                if rule.per == "model" or key[0] == step.resource:  # type: ignore[index]
                    one.alarm()
            continue
        k = step.k
        one = maps.setdefault(f.profile[k] if rule.per == "profile" else f.profile[k][1], PitMap(rule))
        if isinstance(step, Asked):
            edges = one.edges()
            p[k] = np.interp(p[k], EDGES, edges)
            level[k] = np.interp(LEVELS, edges, EDGES)
        else:
            one.tell((f.u_now if rule.now else f.u_then)[k], f.u_then[k])
    return Said(f.m[:, None] + f.s[:, None] * student.ppf(level, f.dof[:, None]), p)


CELLS = np.array([-2, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 6, 9])  # of ln(time left / (wait + E[service])) / s
TABLE_TAU_S = 20.0
TABLE_PRIOR = 10.0


@dataclass
class OnTimeTable:
    """Decayed on-time shares of one class in cells, read straight between them: the table of DESIGN section 7 without
    its second axis. sums: on time, settled, raw P, (3, CELLS) as of at_s."""

    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros((3, len(CELLS))))
    at_s: float = 0.0

    def tell(self, cell: float, on_time: bool, raw: float) -> None:
        for i, weight in _between(cell):
            self.sums[:, i] += weight * np.array([on_time, 1.0, raw])

    def p(self, cell: float, raw: float, now_s: float) -> float:
        self.sums *= np.exp((self.at_s - now_s) / TABLE_TAU_S)
        self.at_s = now_s
        on_time, settled, said = self.sums
        if all(settled[i] < 0.5 for i, _ in _between(cell)):
            return raw
        prior = np.where(settled > 0.0, said / np.maximum(settled, 1e-9), raw)
        value = isotonic((on_time + TABLE_PRIOR * prior) / (settled + TABLE_PRIOR), settled + TABLE_PRIOR)
        return float(sum(weight * value[i] for i, weight in _between(cell)))


def _between(cell: float) -> tuple[tuple[int, float], tuple[int, float]]:
    """The two cells that a value lies between, with their weights."""
    i = int(np.clip(np.searchsorted(CELLS, cell) - 1, 0, len(CELLS) - 2))
    share = float(np.clip((cell - CELLS[i]) / (CELLS[i + 1] - CELLS[i]), 0.0, 1.0))
    return (i, 1.0 - share), (i + 1, share)


def isotonic(value: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest values that never fall (pool adjacent violators)."""
    pools: list[tuple[float, float, int]] = []  # value, weight, cells
    for v, w in zip(value, weight, strict=True):
        pools.append((float(v), float(w), 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, wa, na), (b, wb, nb) = pools.pop(-2), pools.pop()
            pools.append(((a * wa + b * wb) / (wa + wb), wa + wb, na + nb))
    return np.repeat([v for v, _, _ in pools], [n for _, _, n in pools])
