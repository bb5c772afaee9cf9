"""What is asked of the pool: chats of several turns, some of them about a long document. All drawn
beforehand.

Sizes are of the order of the conversations in the Azure LLM trace 2023 (median answer 129 tokens), and such
that the pool is as full as DESIGN.md's first simulator had it: fewest jobs in flight, bare, keeps both bounds
of .91/.77/.64/.41 of the jobs at 16/24/30/36 sessions a second (.86/.81/.65/.41 there); nothing else was
looked at. A turn arrives at a drawn moment whatever became of the one before it: `NOMINAL_S` seconds and a
think time later. So every policy is offered the same jobs at the same times (paired), and an overload is not
throttled by those who wait."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Traffic", "draw_traffic"]

TURNS = 2.0  # of a session, geometric
THINK_S = 8.0  # mean pause between an answer and the next turn, exponential
NEW_TOKENS = (150.0, 0.9)  # of a turn: median, sd in ln
DOCUMENT_SHARE = 0.12
DOCUMENT_TOKENS = (3000.0, 0.3, 4000.0)  # read with the first turn: median, sd in ln, at most
ANSWER_TOKENS = (105.0, 0.7, 800.0)
NOMINAL_S = (0.25, 0.022)  # to the first token, per token after it: an answer well within the bounds


@dataclass(frozen=True, slots=True)
class Traffic:
    """n jobs in order of arrival, a job is one turn of a session."""

    arrival_s: NDArray[np.float64]  #: (n,) sorted, from 0
    session: NDArray[np.int64]  #: (n,)
    prompt: NDArray[np.int64]  #: (n,) tokens, the session's history included
    history: NDArray[np.int64]  #: (n,) of them, those of the turns before: what a cache may hold
    answer: NDArray[np.int64]  #: (n,) tokens, at least 2
    horizon_s: float  #: sessions start until then, and no turn comes later

    @property
    def n_sessions(self) -> int:
        return int(self.session.max(initial=-1)) + 1

    def __len__(self) -> int:
        return len(self.arrival_s)


def draw_traffic(sessions_per_s: float, seed: int, horizon_s: float) -> Traffic:
    """Sessions start as a Poisson stream; each is drawn by itself. Same arguments, same traffic."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[float, int, int, int, int]] = []
    starts_s = np.cumsum(rng.exponential(1.0 / sessions_per_s, int(sessions_per_s * horizon_s * 1.2) + 100))
    for session, start_s in enumerate(starts_s[starts_s < horizon_s]):
        at_s, history = float(start_s), 0
        document = _tokens(rng, *DOCUMENT_TOKENS) if rng.random() < DOCUMENT_SHARE else 0
        for turn in range(int(rng.geometric(1.0 / TURNS))):
            prompt = history + _tokens(rng, *NEW_TOKENS, 2000.0) + (document if turn == 0 else 0)
            answer = max(2, _tokens(rng, *ANSWER_TOKENS))
            rows.append((at_s, session, prompt, history, answer))
            history = prompt + answer
            at_s += NOMINAL_S[0] + NOMINAL_S[1] * answer + float(rng.exponential(THINK_S))
    rows = sorted(row for row in rows if row[0] < horizon_s)
    arrival_s, session, prompt, history, answer = (np.array(column) for column in zip(*rows, strict=True))
    return Traffic(arrival_s, session, prompt, history, answer, horizon_s)


def _tokens(rng: np.random.Generator, median: float, spread: float, most: float) -> int:
    return int(np.ceil(min(median * np.exp(rng.normal(0.0, spread)), most)))
