"""Counts of one class of service: since the start, and of the last minute."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["ClassTally", "Recent"]

#: Seconds that `recent` looks back: long enough for a share at a job a second, short enough to show an incident.
WINDOW_S = 60


class Recent:
    """Jobs of the last minute by the second: a ring, so that adding one costs no search."""

    __slots__ = ("_counts", "_seconds")

    def __init__(self) -> None:
        self._seconds = [-1] * WINDOW_S
        self._counts = [[0, 0, 0, 0] for _ in range(WINDOW_S)]

    def add(
        self, second: int, *, offered: int = 0, refused: int = 0, known: int = 0, on_time: int = 0
    ) -> None:
        """second: of any clock that does not go back by a minute."""
        place = second % WINDOW_S
        counts = self._counts[place]
        if self._seconds[place] != second:
            self._seconds[place] = second
            counts[:] = (0, 0, 0, 0)
        counts[0] += offered
        counts[1] += refused
        counts[2] += known
        counts[3] += on_time

    def total(self, second: int) -> tuple[int, int, int, int]:
        """(offered, refused, known, on time) in the minute that ends with `second`."""
        offered, refused, known, on_time = map(sum, zip(*self.by_second(second), strict=True))
        return offered, refused, known, on_time

    def by_second(self, second: int) -> list[tuple[int, int, int, int]]:
        """The same of each second of that minute, the latest last."""
        return [self._at(second - ago) for ago in reversed(range(WINDOW_S))]

    def _at(self, second: int) -> tuple[int, int, int, int]:
        place = second % WINDOW_S
        if self._seconds[place] != second:
            return 0, 0, 0, 0
        offered, refused, known, on_time = self._counts[place]
        return offered, refused, known, on_time


@dataclass(slots=True)
class ClassTally:
    """Jobs of one class since the start. A job counts once, however many tickets it had: a copy or a retry is another
    decision of the same job.

    offered = admitted + refused. known: refused jobs and those that ended with a verdict: all but the cancelled ones,
    and answers of which nobody said what tells (`Certificate`). on_time: of the known ones.
    """

    qos: str
    offered: int = 0
    admitted: int = 0
    known: int = 0
    on_time: int = 0
    retries: int = 0
    copies: int = 0
    probes: int = 0
    refused: Counter[str] = field(default_factory=Counter)  #: by the stable reason id
    ended: Counter[str] = field(default_factory=Counter)  #: completed, failed, timed_out, cancelled
    recent: Recent = field(default_factory=Recent)

    @property
    def open(self) -> int:
        """Admitted jobs that have not ended."""
        return self.admitted - self.ended.total()

    @property
    def attainment(self) -> float | None:
        """On-time jobs over those of which it is known, refused ones among them; None while there are none."""
        return self.on_time / self.known if self.known else None
