"""Who asks what, when."""

from __future__ import annotations

import numpy as np
import pytest

from bench.llm.text import CHARS_PER_TOKEN, Text
from bench.llm.traffic import CLASSES, TURN_TOKENS, Session, Turn, sessions, work


def drawn(seed: int, rate_per_s: float = 2.0, seconds: float = 200.0) -> list:
    return sessions(np.random.default_rng(seed), rate_per_s, seconds)


def test_a_seed_says_everything() -> None:
    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_turns_are_due_in_their_order_and_within_the_time() -> None:
    for session in drawn(3):
        dues = [turn.due_s for turn in session.turns]
        assert dues == sorted(dues)
        assert 0.0 <= dues[0] <= dues[-1] < 200.0


def test_as_many_sessions_arrive_of_each_class_as_are_asked_for() -> None:
    """400 are expected; five standard deviations of a Poisson count are 100, of a thinned one less."""
    tape = drawn(4)
    assert abs(len(tape) - 400) < 100
    for name, kind in CLASSES.items():
        n = sum(session.kind == name for session in tape)
        assert abs(n - 400 * kind.share) < 5 * (400 * kind.share) ** 0.5
        answers = [turn.n_answer for s in tape if s.kind == name for turn in s.turns]
        assert kind.answer[0] <= min(answers) <= max(answers) <= kind.answer[1]


def test_no_two_sessions_share_a_name_or_a_prompt() -> None:
    """Or one would find the other's prompt in a cache."""
    tape = drawn(5)
    assert len({session.name for session in tape}) == len(tape)
    assert len({session.turns[0].text for session in tape}) == len(tape)


def test_a_passage_is_as_long_as_asked() -> None:
    text, rng = Text(), np.random.default_rng(6)
    assert {len(text.passage(rng, 100)) for _ in range(50)} == {round(100 * CHARS_PER_TOKEN)}


def test_work_counts_what_each_turn_brings_and_the_answer_before_it() -> None:
    turns = (Turn(0.0, "", 20, 7), Turn(1.0, "", 10, 5))
    assert work([Session("s", "chat", turns)] * 2) == (2 * (20 + 10 + 7 + 2 * TURN_TOKENS), 2 * 12)
    assert work([]) == (0, 0)


@pytest.mark.parametrize("name", CLASSES)
def test_the_longest_conversation_fits_a_slot(name: str) -> None:
    """2048 tokens, of text that may have half as many characters a token as it has on average."""
    kind = CLASSES[name]
    n = kind.first[1] + (kind.turns[1] - 1) * kind.more[1] + kind.turns[1] * kind.answer[1]
    assert 2 * n < 2048
