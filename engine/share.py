"""Bounded starvation: which class is owed the next start of a resource."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Shares"]

#: Twenty times .05 in floating point may fall short of 1 by a rounding.
_ROUNDING = 1e-9


class Shares:
    """Credit by lane and group: a group earns its share of a start with every start of the lane while it waits,
    and pays 1 for each of its own. One whose credit would reach 1 with the next start is owed that start.

    So of any n starts in a row of a lane throughout which a group waits, it gets at least floor(share n) when it
    is the only one with a share; among G groups whose shares add up to at most 1, at most G - 1 fewer.
    Group 0 is everybody else: no share, no credit. A start costs O(G).
    """

    def __init__(self, shares: Sequence[float]) -> None:
        """shares: by group, from group 1 on, each in (0, 1)."""
        self._share = [0.0, *shares]
        self._credit: list[list[float]] = []

    def add_lane(self) -> None:
        self._credit.append([0.0] * len(self._share))

    def owed(self, lane: int, waits: Sequence[bool]) -> int:
        """The group that gets the lane's next start whatever its priority; 0 = none. waits: by group."""
        chosen, most = 0, 1.0 - _ROUNDING
        for group in range(1, len(self._share)):
            credit = self._credit[lane][group] + self._share[group]
            if waits[group] and credit >= most:
                chosen, most = group, credit + _ROUNDING
        return chosen

    def started(self, lane: int, group: int, waits: Sequence[bool]) -> None:
        """A job of `group` starts on the lane. waits: by group, this job included."""
        credit = self._credit[lane]
        for other in range(1, len(self._share)):
            if waits[other]:
                credit[other] += self._share[other]
        if group:
            credit[group] = max(credit[group] - 1.0, 0.0)
