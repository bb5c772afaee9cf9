"""The running jobs of all slots by the time of their end: a binary heap in an array of the loop."""

from __future__ import annotations

import numpy as np

from bench.replay.compiled import compiled

__all__ = ["ENTRY", "heapify", "pop", "push"]

ENTRY = np.dtype([("at_s", np.float64), ("slot", np.int64)])


@compiled
def _sink(heap, size, i, at_s, slot):  # type: ignore[no-untyped-def]
    """Puts an entry at i or below."""
    while True:
        down = 2 * i + 1
        if down >= size:
            break
        if down + 1 < size and heap[down + 1].at_s < heap[down].at_s:
            down += 1
        if heap[down].at_s >= at_s:
            break
        heap[i] = heap[down]
        i = down
    heap[i].at_s, heap[i].slot = at_s, slot


@compiled
def push(heap, size, at_s, slot):  # type: ignore[no-untyped-def]
    """Adds an entry to a heap of `size`."""
    i = size
    while i > 0:
        up = (i - 1) >> 1
        if heap[up].at_s <= at_s:
            break
        heap[i] = heap[up]
        i = up
    heap[i].at_s, heap[i].slot = at_s, slot


@compiled
def pop(heap, size):  # type: ignore[no-untyped-def]
    """Takes the first of `size` > 0 entries out; returns its slot."""
    first = heap[0].slot
    _sink(heap, size - 1, 0, heap[size - 1].at_s, heap[size - 1].slot)
    return first


@compiled
def heapify(heap, size):  # type: ignore[no-untyped-def]
    """Restores the order after keys were changed."""
    for i in range(size // 2 - 1, -1, -1):
        _sink(heap, size, i, heap[i].at_s, heap[i].slot)
