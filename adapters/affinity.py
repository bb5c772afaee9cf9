"""The rows of Z that tell of a request's own past: what of its prompt each lane has read, and who served it last."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tailwise.adapters.prefix import Chain, PrefixMemory
from tailwise.adapters.sessions import Sessions

__all__ = ["fill_given"]


def fill_given(
    Z: NDArray[np.float64],
    given: Sequence[str],
    *,
    prefixes: PrefixMemory | None = None,
    chain: Chain | None = None,
    n_tokens: float = math.nan,
    sessions: Sessions | None = None,
    session: str | None = None,
) -> NDArray[np.float64]:
    """Fills the rows of a route's buffer that are named "uncached" and "session", and gives it back.

    Z: `route.buffer()`, shape (n_given, lanes). given: names of its rows, `route.model.given`; other rows are left as
    they are. "uncached": tokens of this prompt that a lane must still read; NaN (unknown) without prefixes, chain or
    n_tokens. "session": 1 where the session was served last, else 0; NaN without sessions. Raises InputError.

    Once the job has its ticket: `prefixes.note(chain, ticket.lane)`, `sessions.note(session, ticket.lane)`. Once a
    resource restarts or leaves: `forget(lane)` of both.
    """
    for row, name in zip(Z, given, strict=True):
        if name == "uncached":
            if prefixes is None or chain is None:
                row.fill(math.nan)
            else:
                prefixes.uncached(chain, n_tokens, len(row), row)
        elif name == "session":
            if sessions is None:
                row.fill(math.nan)
            else:
                sessions.column(session, len(row), row)
    return Z
