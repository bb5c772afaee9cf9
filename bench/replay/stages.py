"""A recorded load test on one clock, and the load that each of its requests met."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bench.replay.traces import LoadTest

__all__ = ["load_at", "on_one_clock"]

Floats = NDArray[np.float64]


def on_one_clock(test: LoadTest) -> Floats:
    """(5, n) in order of launch: launch, first token, end in seconds, prompt and output tokens; a minute of quiet
    between the end of a stage's last request and the next stage."""
    stage = list(zip(test.workload, test.rate_per_s, strict=True))
    bounds = [k for k in range(1, len(stage)) if stage[k] != stage[k - 1]]
    launch, first, end = (np.empty(len(stage)) for _ in range(3))
    start_s = 0.0
    for begin, stop in pairwise([0, *bounds, len(stage)]):
        here = slice(begin, stop)
        launch[here] = start_s + test.launch_s[here]
        first[here] = launch[here] + test.first_s[here]
        end[here] = first[here] + test.rest_s[here]
        start_s = float(np.max(end[here])) + 60.0
    return np.array([launch, first, end, test.prompt_tokens, test.output_tokens])


def load_at(
    at: Floats,
    first: Floats,
    end: Floats,
    prompt: Floats,
) -> tuple[Floats, Floats]:
    """(n,) requests in service at each launch, and prompt tokens not yet read, its own among them."""
    by_first = np.argsort(first, kind="stable")
    sent = np.concatenate([[0.0], np.cumsum(prompt)])
    read = np.concatenate([[0.0], np.cumsum(prompt[by_first])])
    begun = np.searchsorted(at, at, "left")
    busy = begun - np.searchsorted(np.sort(end), at, "right")
    ahead = sent[begun] - read[np.searchsorted(first[by_first], at, "right")] + prompt
    return np.maximum(busy, 0.0), np.maximum(ahead, 0.0)
