"""Whom a profile borrows from, and which profiles without a result hear of it at once."""

from __future__ import annotations

from collections.abc import Sequence

N_POOLED = 64  # lanes that one rebuild reads, and of those without a result looks at


def join_pool(pool: tuple[int, ...], lane: int) -> tuple[int, ...]:
    """Lanes that reported last, by when they came in; a newcomer takes the place of the first of N_POOLED."""
    return pool if lane in pool else (*pool[1 - N_POOLED :], lane)


def next_cold(seen: Sequence[bool], first: int) -> int | None:
    """The first group of 64 lanes, from group `first` on in a circle, with one that has no result; None = there is
    none. seen: by lane, whether it has one."""
    n = -(-len(seen) // N_POOLED)
    groups = [g % n for g in range(first, first + n)]
    return next((g for g in groups if not all(seen[N_POOLED * g : N_POOLED * (g + 1)])), None)
