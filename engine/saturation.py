"""How much a fleet bears: where jobs go as the load grows, and which share of a class then comes too late."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["delay_probability", "largest_factor", "lost_share", "place"]

Array = NDArray[np.float64]

#: How sharply a job prefers the cheaper of two resources as `place` sees it: one that is 10% dearer gets 18% of the
#: jobs, one of twice the price none. Sharper packs fuller than decisions one by one do: at 32 predictions in replays
#: (seeds 1 to 5) are 1 to 2% higher, and so further off; at 8 4 to 5% lower, and in the lowest class further off.
SHARPNESS = 16.0
ROUNDS = 80
LARGEST = 64.0  #: factors beyond it are all the same


def place(rate: Array, seconds: Array, slots: Array) -> tuple[float, Array]:
    """The factor on all rates at which every slot is busy, and where jobs then go: shares (J, K) of each kind of job.

    rate (J,): jobs a second, > 0. seconds (J, K): slots x seconds that one takes, inf = cannot go there; each can go
    somewhere. slots (K,): > 0. Every resource gets a price, every job goes where its seconds cost least (shared
    between nearly equal ones), and the prices move until the loads are equal, or lower only where a price fell to
    nothing: the dual of the linear program that packs the jobs best, which it misses by 1 to 3%. Cost: O(80 J K).
    """
    ln_cost = np.log(seconds).astype(np.float32).T  # by resource, so that sums over jobs run along memory
    work = (np.where(np.isfinite(seconds), seconds, 0.0) * rate[:, None]).astype(np.float32).T / slots[
        :, None
    ]
    ln_price, least, shares = np.zeros((len(slots), 1), np.float32), math.inf, np.zeros_like(ln_cost)
    tried = np.empty_like(ln_cost)
    for _ in range(ROUNDS):
        np.add(ln_cost, ln_price, out=tried)
        tried -= tried.min(axis=0)
        tried *= -SHARPNESS
        np.exp(tried, out=tried)
        tried /= tried.sum(axis=0)
        load = np.einsum("kj,kj->k", work, tried)
        most = float(load.max())
        if most < least:
            least, shares = most, tried.copy()
        ln_price += (np.log(np.maximum(load / most, 1e-3)) / SHARPNESS)[:, None].astype(np.float32)
    return 1.0 / least, shares.T.astype(np.float64)


def delay_probability(servers: int, load: float) -> float:
    """Erlang's C: the share of Poisson arrivals that find all servers busy. load: of all, >= 0; from 1 on, where all
    wait, its analytic continuation above 1."""
    blocked = 1.0  # Erlang's B, by its recursion in the number of servers
    for n in range(1, servers + 1):
        blocked = load * servers * blocked / (n + load * servers * blocked)
    return blocked / (1.0 - load * (1.0 - blocked))


def lost_share(
    ahead: float, with_own: float, all_classes: float, *, servers: int, per_s: float, patience_s: float
) -> float:
    """Share of a class's jobs that cannot start within patience_s.

    ahead, with_own, all_classes: load by the classes before it; by its own level, too; by all. per_s: starts a second
    while all servers are busy. Non-preemptive priorities: the wait of those who wait is exponential of rate
    (1 - ahead) (1 - with_own) per_s (Kleinrock 1976, 3.4, for equal means). What cannot start in time is lost and
    loads nobody: (1 - rho) P(W > t) / (1 - rho P(W > t)), rho the class's load of what those ahead leave it (Boots,
    Tijms 1999; exact for M/M/k, above a load of 1 as well, and where there is always somebody behind to serve).
    """
    if ahead >= 1.0:
        return 1.0
    last = all_classes <= with_own * (1.0 + 1e-9)  # else those behind fill what the class leaves
    if abs(with_own - 1.0) < 1e-6:  # 0 / 0 there, and smooth on both sides
        with_own = 1.0 - 1e-6
    rho = (with_own - ahead) / (1.0 - ahead)
    waits = delay_probability(servers, with_own if last else min(all_classes, 1.0 - 1e-9))
    exponent = (1.0 - ahead) * (1.0 - with_own) * per_s * patience_s
    if exponent < -100.0:
        return 1.0 - 1.0 / rho
    beyond = waits * math.exp(-exponent)
    return min(1.0, max(0.0, (1.0 - rho) * beyond / (1.0 - rho * beyond)))


def largest_factor(attained: Callable[[float], float], target: float) -> float:
    """The largest factor on the load with attained(factor) >= target, by bisection; 0 = none. attained falls."""
    low, high = 0.0, LARGEST
    for _ in range(30):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if attained(middle) >= target else (low, middle)
    return low
