"""How close a decision was to another one: the least distance of any two numbers that it compares.

Versions of the kernels differ in the last bits of float32 (ranks by 3e-7 at the 99th percentile and 2e-6 at most
between plain and AVX2 of gcc 12, on these lives), and only where two numbers are as close as that may a choice
differ. Compared are ranks and scores with the limit of a tie, 1e-4 above the least (within it the generator draws,
which no rounding changes); the wait and twice the median with the time left, beyond which a rank counts ten times;
P(on time) with what the class asks for; where nobody has that, the likeliest with the next one; and what a bound of
the class compares.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.golden.lives import N_OBSERVED, Asked, Life, live

__all__ = ["closeness"]

TIE = 1e-4
KEPT_BACK = 1e-4  # of a bound

Rows = Sequence[Mapping[str, Any]]


def closeness(seed: int, at: int) -> float:
    """Of decision `at` of a life; relative, of probabilities absolute. Real decisions draw one after another from one
    generator: a close one before it counts, too, since it may have drawn once more. Cost: a life."""
    found = [math.inf]
    first = min(at, N_OBSERVED)

    def watch(i: int, asked: Asked, life: Life) -> None:
        if not first <= i <= at:
            return
        found.extend(_distances(asked, life))
        if i == at:
            life.stand_still()  # as a decision draws the lines that have run out; the rest of this life is no matter
            found.extend(_distances(asked, life))

    live(seed, watch)
    return min(found)


def _distances(asked: Asked, life: Life) -> Iterator[float]:
    if asked.route.qos.policy == "thompson":
        yield 0.0  # ranked by draws that nobody tells
    rows = asked.route._forecasts(asked.x, asked.Z, **asked.options)
    yield from _of_ranks(rows)
    yield from _of_ranks([row for row in rows if row["excluded"] is None])
    left_s = _left_s(asked, life)
    yield from (abs((row["wait_s"] + 2.0 * math.exp(row["ln_service"])) / left_s - 1.0) for row in rows)
    yield from _of_chances(asked, rows)
    yield from _of_bounds(asked, life, rows)


def _left_s(asked: Asked, life: Life) -> float:
    qos = asked.route.qos
    bound_s = asked.options.get("deadline_s", min(qos.ttft_s, qos.deadline_s))
    now_s = life.engine._core.now_s()
    left_s: float = bound_s - now_s + asked.options.get("arrival_s", now_s)
    return left_s


def _of_ranks(rows: Rows) -> Iterator[float]:
    for name in ("rank_s", "score"):
        values = [abs(row[name]) for row in rows if math.isfinite(row[name])]
        limit = (1.0 + TIE) * min(values, default=0.0)
        if limit > 0.0:
            yield from (abs(value / limit - 1.0) for value in values)


def _of_chances(asked: Asked, rows: Rows) -> Iterator[float]:
    qos = asked.route.qos
    for name in ("p_raw", "p_on_time"):
        chances = sorted(row[name] for row in rows)
        for bound in (qos.on_time, qos.on_time - TIE, qos.reject_below or math.inf):
            yield from (abs(p - bound) for p in chances)
        if (
            chances
            and chances[-1] < qos.on_time
            and (qos.contract == "guaranteed" or qos.objective not in ("completion", "shared"))
        ):
            yield from (chances[-1] - p for p in chances[-2:-1])


def _of_bounds(asked: Asked, life: Life, rows: Rows) -> Iterator[float]:
    qos = asked.route.qos
    for row in rows:
        cost = row.get("busy_s", row["service_s"]) * life.resources[row["lane"]].cost_per_s
        yield abs(cost / ((1.0 - KEPT_BACK) * qos.max_cost) - 1.0)
        if qos.min_throughput > 0.0:
            yield abs(row["throughput_per_s"] / ((1.0 + KEPT_BACK) * qos.min_throughput) - 1.0)
