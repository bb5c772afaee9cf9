"""The present mix of jobs on the resources that there are: what each takes where, and how much of it they bear."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tailwise._core.core import Core
from tailwise.loaded import Jobs, bearable, outlook
from tailwise.qos import QoS
from tailwise.saturation import largest_factor, lost_share, place
from tailwise.types import Resource

__all__ = ["Mix", "Place"]

Array = NDArray[np.float64]

LIKELY = 0.5  #: P(on time) without a wait from which on a job is sent somewhere
UNKNOWN = 0.05  #: share of the jobs that count of which nobody need know how long they take
LEAST_SLOTS = 1e-3  #: of a resource that is full of others' jobs


@dataclass(frozen=True, slots=True)
class Place:
    """A resource that takes jobs: how many at once, others' taken off."""

    lane: int
    slots: float

    @classmethod
    def of(cls, core: Core, kinds: Sequence[Jobs], lane: int, resource: Resource) -> Place:
        if resource.max_running is None:
            others = core.foreign(lane)["running"]
            return cls(lane, max(resource.slots - others, LEAST_SLOTS))
        mine = [jobs for jobs in kinds if lane in core.candidates(jobs.index)]
        most = float(resource.max_running)
        if resource.kv_tokens is not None and mine:
            most = min(most, max(1.0, resource.kv_tokens / max(max(j.held for j in mine), 1.0)))
        return cls(lane, bearable(core, mine, lane, most))


@dataclass(frozen=True)
class Mix:
    """J jobs that stand for those to come, on K resources.

    rate (J,): jobs a second that each stands for. seconds (J, K): expected from start to end, inf where it cannot run
    or is not sent. on_time (J, K): P(on time) without a wait. left_s (J,): to its deadline. known (J,): whether
    anybody knows how long it takes. slots (K,): jobs at once.
    """

    qos: tuple[QoS, ...]
    rate: Array
    seconds: Array
    on_time: Array
    left_s: Array
    known: NDArray[np.bool_]
    slots: Array

    @classmethod
    def of(cls, core: Core, kinds: Sequence[Jobs], rates: Sequence[float], places: Sequence[Place]) -> Mix:
        seconds, on_time, known = [], [], []
        for jobs in kinds:
            n, k = len(jobs.x), len(places)
            s, p, seen = np.full((n, k), math.inf), np.zeros((n, k)), False
            for i, spot in enumerate(places):
                if spot.lane in core.candidates(jobs.index):
                    look = outlook(core, jobs, spot.lane, max(spot.slots - 1.0, 0.0))
                    s[:, i], p[:, i] = look.seconds, look.on_time
                    seen = seen or (look.known and jobs.tokens is None)
            s[(p < LIKELY) & (p < p.max(axis=1, keepdims=True))] = math.inf
            seconds.append(s)
            on_time.append(p)
            known.append(np.full(n, seen or not np.isfinite(s).any()))  # of what nobody runs all is known
        return cls(
            qos=tuple(jobs.qos for jobs in kinds for _ in jobs.x),
            rate=np.concatenate([np.full(len(j.x), r / len(j.x)) for j, r in zip(kinds, rates, strict=True)]),
            seconds=np.concatenate(seconds),
            on_time=np.concatenate(on_time),
            left_s=np.concatenate([jobs.left_s for jobs in kinds]),
            known=np.concatenate(known),
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
        patience = self.left_s[mine][:, None] - np.where(
            np.isfinite(self.seconds[mine]), self.seconds[mine], 0.0
        )
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
