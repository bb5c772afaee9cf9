"""What an event did to a run: jobs sent to a dead resource, seconds until all was well, and back in use."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.replay.outcome import Outcome
from bench.replay.world import Event, World

__all__ = ["BIN_S", "bins_of", "event_figures"]

BIN_S = 0.5
#: How near to the run's own level counts as recovered, in share on time.
_NEAR = 0.02
#: A run with a lower level has nothing to recover to.
_WELL = 0.5
#: Bins that must be well in a row: a second, so that one lucky bin is no recovery.
_N_WELL = 2
#: A fall that begins later than this after an event is another one's, or chance.
_FALLS_WITHIN_S = 2.0
#: Part of its former share that a resource must carry to be in use again.
_IN_USE = 0.8


def bins_of(world: World) -> tuple[NDArray[np.int64], int]:
    """(n,) index of the bin in which each job arrived, and how many bins there are."""
    index = (world.arrival_s / BIN_S).astype(np.int64)
    return index, int(index[-1]) + 1


def event_figures(world: World, outcome: Outcome) -> dict[str, float]:
    """Means over the events of the run; NaN where it has none of the kind.

    dead_share: of the jobs that arrived while a resource failed or hung and were sent anywhere, those whose last
        place was that resource.
    recovery_s: from the start of an event until the share on time has been back for a second within 2 points (or
        two standard errors of a bin, where that is more) of the run's own level, its median share on time in bins
        without any event; 0 if it did not fall within the first 2 s.
    return_s: from the end of an event until the resource has carried for a second 80% (less two standard errors) of
        its former share of the jobs that were sent anywhere: its median in bins without any event.

    Both at most until the next event starts or the run ends: a run that never recovers counts with that. A run whose
    level is below a half was never well, and a resource whose former share is within the noise of a bin was hardly
    used: NaN.
    """
    dead = [_dead_share(world, outcome, e) for e in world.events if e.kind in ("fails", "hangs")]
    series = _Series.of(world, outcome)
    hurts = [e for e in world.events if e.start_s > 0 and e.kind != "absent"]
    ends = [e for e in world.events if e.end_s < world.arrival_s[-1]]
    return {
        "dead_share": _mean(dead),
        "recovery_s": _mean([series.recovery_s(e) for e in hurts]),
        "return_s": _mean([series.return_s(e) for e in ends]),
    }


def _dead_share(world: World, outcome: Outcome, event: Event) -> float:
    during = (world.arrival_s >= event.start_s) & (world.arrival_s < event.end_s) & (outcome.lane >= 0)
    return float(np.mean(outcome.lane[during] == event.lane)) if during.any() else math.nan


@dataclass(frozen=True, slots=True)
class _Series:
    """Counts in bins of arrival, shape (n_bins,), and by lane, shape (n_bins, K)."""

    offered: NDArray[np.int64]
    on_time: NDArray[np.int64]
    sent: NDArray[np.int64]
    calm: NDArray[np.bool_]  #: no event touches the bin
    starts_s: tuple[float, ...]  #: of events, and the end of the run

    @classmethod
    def of(cls, world: World, outcome: Outcome) -> _Series:
        index, n_bins = bins_of(world)
        n_lanes, sent = len(world.resources), outcome.lane >= 0
        cells = index[sent] * n_lanes + outcome.lane[sent]
        edges_s = BIN_S * np.arange(n_bins)
        calm = np.ones(n_bins, dtype=bool)
        for e in world.events:
            calm &= (edges_s + BIN_S <= e.start_s) | (edges_s >= e.end_s)
        return cls(
            offered=np.bincount(index, minlength=n_bins),
            on_time=np.bincount(index[outcome.on_time(world)], minlength=n_bins),
            sent=np.bincount(cells, minlength=n_bins * n_lanes).reshape(n_bins, n_lanes),
            calm=calm,
            starts_s=(*(e.start_s for e in world.events), BIN_S * n_bins),
        )

    def recovery_s(self, event: Event) -> float:
        """See event_figures."""
        if not self._level(self.on_time, self.offered) >= _WELL:
            return math.nan
        well, first, stop = self._near(self.on_time, self.offered, _NEAR), *self._span(event.start_s)
        ill = np.flatnonzero(~well[first : min(stop, first + int(_FALLS_WITHIN_S / BIN_S))])
        return _until_well(well, first + int(ill[0]), stop, event.start_s) if len(ill) else 0.0

    def return_s(self, event: Event) -> float:
        """See event_figures."""
        own, sent = self.sent[:, event.lane], self.sent.sum(axis=1)
        first, stop = self._span(event.end_s)
        former = self._level(own, sent)
        if not _IN_USE * former > 2.0 * math.sqrt(former / max(1.0, float(np.median(sent)))):
            return math.nan
        return _until_well(self._near(own, sent, (1.0 - _IN_USE) * former), first, stop, event.end_s)

    def _level(self, part: NDArray[np.int64], whole: NDArray[np.int64]) -> float:
        """Of a share: its median over the calm bins, since some of them hold an event's aftermath."""
        of = self.calm & (whole > 0)
        return float(np.median(part[of] / whole[of])) if of.any() else math.nan

    def _near(self, part: NDArray[np.int64], whole: NDArray[np.int64], margin: float) -> NDArray[np.bool_]:
        """(n_bins,) whether a share is at most `margin` below its level, or two standard errors of the bin."""
        level, n = self._level(part, whole), np.maximum(whole, 1)
        return part / n >= level - np.maximum(margin, 2.0 * np.sqrt(level * (1.0 - level) / n))

    def _span(self, at_s: float) -> tuple[int, int]:
        """Bins from a time until the next event starts, or the run ends."""
        stop_s = min((s for s in self.starts_s if s > at_s), default=at_s)
        return math.ceil(at_s / BIN_S), int(stop_s / BIN_S)


def _until_well(well: NDArray[np.bool_], first: int, stop: int, since_s: float) -> float:
    """Seconds until the first of a second's worth of bins in [first, stop) that are all well; at most all of them."""
    for b in range(first, stop - _N_WELL + 1):
        if well[b : b + _N_WELL].all():
            return b * BIN_S - since_s
    return stop * BIN_S - since_s


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
