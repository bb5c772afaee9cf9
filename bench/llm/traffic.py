"""Who asks what, when: sessions that arrive as a Poisson process, each a conversation of several turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.llm.text import Text

__all__ = ["CLASSES", "TURN_TOKENS", "Kind", "Session", "Turn", "sessions", "work"]

#: Seconds that a reader takes for a token, so that the next turn is due no sooner.
READ_S = 0.05
#: What the model's template adds to a turn and its answer.
TURN_TOKENS = 12


@dataclass(frozen=True, slots=True)
class Kind:
    """How sessions of one class are drawn. Pairs are the least and the most, drawn evenly between them.

    share: of the sessions. first, more: prompt tokens that the first turn and each later one bring. answer: tokens.
    think_s: mean seconds from one turn to the next beyond the time that an answer may take.
    """

    share: float
    turns: tuple[int, int]
    first: tuple[int, int]
    more: tuple[int, int]
    answer: tuple[int, int]
    think_s: float
    streams: bool


#: chat: short questions, answered quickly and quickly read. assistant: questions about a document. batch: a summary
#: of a long document, wanted whole and some time.
CLASSES = {
    "chat": Kind(0.6, (2, 5), (30, 90), (10, 40), (10, 28), 3.0, streams=True),
    "assistant": Kind(0.3, (1, 4), (120, 260), (15, 45), (16, 40), 5.0, streams=True),
    "batch": Kind(0.1, (1, 1), (300, 500), (0, 0), (12, 24), 0.0, streams=False),
}


@dataclass(frozen=True, slots=True)
class Turn:
    """due_s: from the begin of the play, unless the answer before it comes later. n_new: prompt tokens, about."""

    due_s: float
    text: str
    n_new: int
    n_answer: int


@dataclass(frozen=True, slots=True)
class Session:
    name: str
    kind: str
    turns: tuple[Turn, ...]


def sessions(
    rng: np.random.Generator, rate_per_s: float, seconds: float, kinds: dict[str, Kind] = CLASSES
) -> list[Session]:
    """Those that arrive within `seconds`, in their order, without the turns that are due later."""
    text, names = Text(), list(kinds)
    shares = np.array([kind.share for kind in kinds.values()])
    starts = np.sort(rng.uniform(0.0, seconds, size=rng.poisson(rate_per_s * seconds)))
    drawn = rng.choice(names, size=len(starts), p=shares / shares.sum())
    tag = f"{rng.integers(1 << 32):08x}"
    return [
        Session(f"{tag}-{i}", str(name), _turns(rng, text, kinds[str(name)], float(at), seconds))
        for i, (at, name) in enumerate(zip(starts, drawn, strict=True))
    ]


def _turns(
    rng: np.random.Generator, text: Text, kind: Kind, start_s: float, end_s: float
) -> tuple[Turn, ...]:
    turns, due_s = [], start_s
    for i in range(int(rng.integers(kind.turns[0], kind.turns[1] + 1))):
        low, high = kind.more if i else kind.first
        n_new = int(rng.integers(low, high + 1))
        n_answer = int(rng.integers(kind.answer[0], kind.answer[1] + 1))
        turns.append(Turn(due_s, text.passage(rng, n_new), n_new, n_answer))
        due_s += n_answer * READ_S + float(rng.exponential(kind.think_s))
    return tuple(turn for turn in turns if turn.due_s < end_s)


def work(tape: Sequence[Session]) -> tuple[int, int]:
    """(prompt tokens that must be read, answer tokens) of all turns where a conversation stays in one cache.

    That holds prompts, not answers: an answer is read when the next turn brings it.
    """
    n_prompt = sum(turn.n_new + TURN_TOKENS for session in tape for turn in session.turns)
    n_prompt += sum(turn.n_answer for session in tape for turn in session.turns[:-1])
    return n_prompt, sum(turn.n_answer for session in tape for turn in session.turns)
