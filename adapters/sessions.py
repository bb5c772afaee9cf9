"""Where each session was served last."""

from __future__ import annotations

from collections import OrderedDict
from itertools import count

import numpy as np
from numpy.typing import NDArray

from tailwise.errors import InputError
from tailwise.validate import hold_whole, is_whole, require

__all__ = ["Sessions"]


class Sessions:
    """The last lane of each session, the one longest unheard of forgotten first.

    max_sessions: kept, >= 1; some 130 bytes each, however long a name is: it is kept as Python's 64-bit hash. For one
    thread at a time. Raises ConfigError.
    """

    def __init__(self, *, max_sessions: int = 1 << 16) -> None:
        self.max_sessions = max_sessions
        hold_whole(self, "Sessions", "max_sessions", 1)
        self._marks: OrderedDict[int, int] = (
            OrderedDict()
        )  # of each session's lane; the last heard of comes last
        # a lane that is forgotten gets another mark, so that no session need be looked at
        self._mark: dict[int, int] = {}
        self._lane: dict[int, int] = {}
        self._next = count()

    def __len__(self) -> int:
        """Sessions that are kept, those of forgotten lanes among them."""
        return len(self._marks)

    def last(self, session: str) -> int | None:
        """The lane that served it last; None = it is not known."""
        mark = self._marks.get(hash(session))
        return None if mark is None else self._lane.get(mark)

    def column(
        self, session: str | None, lanes: int, out: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """As a given column: 1 where the session was served last, 0 elsewhere, shape (lanes,). None: 0 everywhere."""
        row = np.empty(lanes) if out is None else out
        row.fill(0.0)
        lane = None if session is None else self.last(session)
        if lane is not None and lane < lanes:
            row[lane] = 1.0
        return row

    def note(self, session: str, lane: int) -> None:
        """The session goes to this lane. Raises InputError. Cost: half a microsecond."""
        require(is_whole(lane, 0), "note", "lane", lane, "a lane >= 0", InputError)
        if lane not in self._mark:
            self._mark[lane] = mark = next(self._next)
            self._lane[mark] = lane
        key = hash(session)
        self._marks[key] = self._mark[lane]
        self._marks.move_to_end(key)
        if len(self._marks) > self.max_sessions:
            self._marks.popitem(last=False)

    def forget(self, lane: int) -> None:
        """The lane serves none any more: its resource restarted or was removed. Raises InputError."""
        require(is_whole(lane, 0), "forget", "lane", lane, "a lane >= 0", InputError)
        mark = self._mark.pop(lane, None)
        if mark is not None:
            del self._lane[mark]
