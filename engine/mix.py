"""The present mix of jobs on the resources that there are: what each takes where, and how much of it they bear."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tailwise.loaded import Jobs
from tailwise.places import Place
from tailwise.qos import QoS
from tailwise.saturation import largest_factor, lost_share, place

__all__ = ["Mix"]

Array = NDArray[np.float64]

LIKELY = 0.5  #: P(on time) without a wait from which on a job is sent somewhere
UNKNOWN = 0.05  #: share of the jobs that count of which nobody need know how long they take


@dataclass(frozen=True)
class Mix:
    """J jobs that stand for those to come, on K resources.

    rate (J,): jobs a second that each stands for. seconds (J, K): expected from start to end, inf where it cannot run
    or is not sent; first_s (J, K): to what left_s bounds. on_time (J, K): P(on time) without a wait. left_s (J,): to
    its deadline. known (J,): whether anybody knows how long it takes. slots (K,): jobs at once.
    """

    qos: tuple[QoS, ...]
    rate: Array
    seconds: Array
    first_s: Array
    on_time: Array
    left_s: Array
    known: NDArray[np.bool_]
    slots: Array

    @classmethod
    def of(cls, kinds: Sequence[Jobs], places: Sequence[Place]) -> Mix:
        n, k = sum(len(jobs.x) for jobs in kinds), len(places)
        seconds, first_s, on_time = np.full((n, k), math.inf), np.zeros((n, k)), np.zeros((n, k))
        known, at = np.zeros(n, dtype=np.bool_), 0
        for kind, jobs in enumerate(kinds):
            rows = slice(at, at + len(jobs.x))
            at = rows.stop
            for lane, spot in enumerate(places):
                belief = spot.beliefs.get(kind)
                if belief is not None:
                    look = belief.outlook(spot.fill)
                    seconds[rows, lane], first_s[rows, lane] = look.seconds, look.first_s
                    on_time[rows, lane] = look.on_time
                    known[rows] |= belief.known
        seconds[(on_time < LIKELY) & (on_time < on_time.max(axis=1, keepdims=True))] = math.inf
        known |= ~np.isfinite(seconds).any(axis=1)  # of what nobody runs all is known
        return cls(
            qos=tuple(jobs.qos for jobs in kinds for _ in jobs.x),
            rate=np.concatenate([np.full(len(jobs.x), jobs.rate / len(jobs.x)) for jobs in kinds]),
            seconds=seconds,
            first_s=first_s,
            on_time=on_time,
            left_s=np.concatenate([jobs.left_s for jobs in kinds]),
            known=known,
            slots=np.array([spot.slots for spot in places]),
        )

    def headroom(self, qos: str) -> float | None:
        """Of a class that has jobs; see `Headroom`."""
        (promise,) = {q.name: q for q in self.qos if q.name == qos}.values()
        heeded = self.rate * np.array([q.priority <= promise.priority for q in self.qos])
        if heeded[~self.known].sum() > UNKNOWN * heeded.sum() or not self.known[self._of(qos)].any():
            return None
        return largest_factor(lambda factor: self.attained(promise, factor), promise.on_time) - 1.0

    def attained(self, qos: QoS, factor: float) -> float:
        """The class's on-time share if all rates were `factor` times as high."""
        full, shares = self._packed[qos.priority]
        before = [p for p in self._packed if p < qos.priority]
        ahead = factor / self._packed[max(before)][0] if before else 0.0
        mine = self._of(qos.name)
        own_rate = self.rate[mine]
        by_place = shares[mine] * own_rate[:, None] / own_rate.sum()
        patience = self.left_s[mine][:, None] - self.first_s[mine]
        lost = lost_share(
            ahead,
            factor / full,
            factor / self._packed[max(self._packed)][0],
            servers=max(1, round(float(self.slots.sum()))),
            per_s=self._starts_per_s,
            patience_s=float((by_place * np.maximum(patience, 0.0)).sum()),
        )
        return float((by_place * self.on_time[mine]).sum()) * (1.0 - lost)

    def _of(self, qos: str) -> NDArray[np.bool_]:
        return np.array([q.name == qos for q in self.qos])

    @cached_property
    def _packed(self) -> dict[int, tuple[float, Array]]:
        """By priority: the factor at which it and those before it fill the resources, and where they then are."""
        priority, packed = np.array([q.priority for q in self.qos]), {}
        for level in sorted(set(priority.tolist())):
            shares = np.zeros_like(self.seconds)
            these = (priority <= level) & np.isfinite(self.seconds).any(axis=1)
            full, shares[these] = place(self.rate[these], self.seconds[these], self.slots)
            packed[level] = full, shares
        return packed

    @cached_property
    def _starts_per_s(self) -> float:
        """While all slots are busy, less where services vary (Lee, Longton 1959: the wait grows by (1 + c^2) / 2)."""
        _, shares = self._packed[max(self._packed)]
        seconds = np.where(shares > 0.0, self.seconds, 0.0)
        jobs = shares * self.rate[:, None]
        n, work, square = (np.maximum((jobs * seconds**k).sum(axis=0), 1e-300) for k in range(3))
        varied = float(
            (square * n / work).sum() / work.sum()
        )  # E[S^2] / E[S]^2 of each resource, by its work
        return float((self.slots * n / work).sum()) * 2.0 / varied
