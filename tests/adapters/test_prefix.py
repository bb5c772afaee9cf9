"""What lanes have read of prompts, against a plain list of whole prefixes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailwise.adapters.prefix import Chain, PrefixMemory, conversation
from tailwise.errors import ConfigError, InputError

LANES = 5


class Reference:
    """Prefixes as they are, with the lanes that have them; the last given at the end."""

    def __init__(self, max_blocks: int, block: int) -> None:
        self.max_blocks, self.block = max_blocks, block
        self.kept: list[tuple[str, str, set[int]]] = []

    def prefixes(self, prompt: str) -> list[str]:
        return [prompt[:end] for end in range(self.block, len(prompt) + 1, self.block)]

    def lanes(self, salt: str, prefix: str) -> set[int]:
        return next((lanes for s, p, lanes in self.kept if (s, p) == (salt, prefix)), set())

    def note(self, prompt: str, salt: str, lane: int) -> None:
        for prefix in reversed(self.prefixes(prompt)[: self.max_blocks]):
            lanes = self.lanes(salt, prefix) | {lane}
            self.kept = [entry for entry in self.kept if entry[:2] != (salt, prefix)]
            self.kept.append((salt, prefix, lanes))
        self.kept = self.kept[-self.max_blocks :]

    def forget(self, lane: int) -> None:
        self.kept = [(salt, prefix, lanes - {lane}) for salt, prefix, lanes in self.kept]

    def uncached(self, prompt: str, salt: str, n_tokens: float) -> list[float]:
        left = []
        for lane in range(LANES):
            read = 0
            for prefix in self.prefixes(prompt):
                if lane not in self.lanes(salt, prefix):
                    break
                read = len(prefix)
            left.append(n_tokens * (1.0 - read / len(prompt)) if read else n_tokens)
        return left


PROMPT = st.text("ab", max_size=12)
SALT = st.sampled_from(["", "m"])
ACTION = st.one_of(
    st.tuples(st.just("note"), PROMPT, SALT, st.integers(0, LANES - 1)),
    st.tuples(st.just("forget"), PROMPT, SALT, st.integers(0, LANES - 1)),
    st.tuples(st.just("look"), PROMPT, SALT, st.integers(0, 10_000)),
)


@given(st.integers(1, 12), st.integers(1, 3), st.lists(ACTION, max_size=60))
def test_a_memory_says_what_a_list_of_whole_prefixes_says(
    max_blocks: int, block: int, actions: list[tuple[str, str, str, int]]
) -> None:
    """Any history over two letters, where prompts share prefixes all the time."""
    memory, plain = PrefixMemory(max_blocks=max_blocks, block=block), Reference(max_blocks, block)
    for action, prompt, salt, n in actions:
        chain = memory.chain(prompt, salt)
        if action == "note":
            memory.note(chain, n)
            plain.note(prompt, salt, n)
        elif action == "forget":
            memory.forget(n)
            plain.forget(n)
        assert memory.uncached(chain, n, LANES).tolist() == plain.uncached(prompt, salt, n)
        assert len(memory) == len(plain.kept) <= max_blocks


def test_a_lane_that_restarts_for_ever_takes_no_more_room() -> None:
    """Masks stay as narrow as the lanes and those that restarted within one turnover."""
    memory = PrefixMemory(max_blocks=8, block=1)
    for i in range(500):
        memory.note(memory.chain(f"{i % 10}{i % 7}{i}"), i % 3)
        memory.forget(i % 3)
    assert max(memory._had.values()).bit_length() <= 3 + 8


def test_what_a_lane_had_before_it_restarted_is_no_other_lanes_ever() -> None:
    """A prefix that others keep in use all the while, until the bit that the lane had is used again."""
    memory = PrefixMemory(max_blocks=4, block=1)
    hot = memory.chain("a")
    memory.note(hot, 0)
    memory.forget(0)
    for letter in "bcdef":
        memory.note(memory.chain(letter), 1)
        memory.note(hot, 1)
    memory.note(memory.chain("z"), 2)
    assert memory.uncached(hot, 1, 3).tolist() == [1.0, 0.0, 1.0]


def test_a_lane_that_never_saw_anything_alike_must_read_all() -> None:
    memory = PrefixMemory(block=4)
    assert memory.uncached(memory.chain("hello world"), 3, 2).tolist() == [3.0, 3.0]
    assert memory.uncached(memory.chain(""), 0, 2).tolist() == [0.0, 0.0]


def test_a_prompt_of_whole_blocks_that_was_read_leaves_nothing() -> None:
    memory = PrefixMemory(block=256)
    chain = memory.chain("x" * 768)
    memory.note(chain, 1)
    assert memory.uncached(chain, 7, 3).tolist() == [7.0, 0.0, 7.0]


def test_bytes_and_text_of_the_same_letters_count_alike() -> None:
    memory = PrefixMemory(block=2)
    memory.note(memory.chain(b"abcd"), 0)
    assert memory.uncached(memory.chain(b"abcdef"), 3, 1).tolist() == [1.0]


def test_a_prompt_beyond_all_bounds_is_looked_at_only_so_far() -> None:
    memory = PrefixMemory(block=1)
    chain = memory.chain("a" * 100_000)
    assert (len(chain.hashes), chain.size) == (4096, 100_000)
    memory.note(chain, 0)
    assert memory.uncached(chain, 100_000, 1).tolist() == [100_000 - 4096]


def test_the_beginning_of_a_prompt_outlives_its_end() -> None:
    """Else the end would be kept and never found."""
    memory = PrefixMemory(max_blocks=4, block=1)
    memory.note(memory.chain("abcd"), 0)
    memory.note(memory.chain("xy"), 1)
    assert memory.uncached(memory.chain("abcd"), 4, 2).tolist() == [2.0, 4.0]
    assert memory.uncached(memory.chain("xy"), 2, 2).tolist() == [2.0, 0.0]


def test_an_array_that_is_given_is_written_and_an_unknown_length_stays_unknown() -> None:
    memory = PrefixMemory(block=1)
    chain = memory.chain("ab")
    memory.note(chain, 0)
    row = np.full(2, -1.0)
    assert memory.uncached(chain, 5, 2, row) is row
    assert row.tolist() == [0.0, 5.0]
    assert np.isnan(memory.uncached(chain, math.nan, 2)).all()


def test_what_is_no_number_of_tokens_and_no_lane_is_refused() -> None:
    memory = PrefixMemory(block=1)
    chain = memory.chain("ab")
    for wrong in (-1, math.inf, "3", True):
        with pytest.raises(InputError, match="n_tokens"):
            memory.uncached(chain, wrong, 2)  # type: ignore[arg-type]
    for lane in (-1, 1.5):
        with pytest.raises(InputError, match="lane"):
            memory.note(chain, lane)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="lane"):
            memory.forget(lane)  # type: ignore[arg-type]
    assert len(memory) == 0
    for name in ("max_blocks", "block"):
        with pytest.raises(ConfigError, match=f"{name}=0"):
            PrefixMemory(**{name: 0})


TEXT = st.text(max_size=8)
MESSAGE = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": TEXT}),
    st.fixed_dictionaries(
        {
            "role": st.just("user"),
            "content": st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}), max_size=2),
        }
    ),
    st.fixed_dictionaries(
        {"role": st.just("assistant"), "content": st.none(), "tool_calls": st.lists(TEXT, max_size=2)}
    ),
)
TOOLS = st.one_of(st.none(), st.lists(st.dictionaries(TEXT, TEXT, max_size=2), max_size=2))


@given(st.lists(MESSAGE, max_size=4), st.lists(MESSAGE, max_size=3), TOOLS)
def test_the_next_turn_of_a_conversation_begins_with_the_last(
    turn: list[dict[str, object]], more: list[dict[str, object]], tools: object
) -> None:
    assert conversation([*turn, *more], tools).startswith(conversation(turn, tools))


def test_the_next_turn_need_read_only_what_is_new() -> None:
    memory = PrefixMemory(block=16)
    turn = [
        {"role": "system", "content": "Be brief. " * 20},
        {"role": "user", "content": "Why is the sky blue?"},
    ]
    memory.note(memory.chain(conversation(turn)), 1)
    turn += [{"role": "assistant", "content": "Scattering."}, {"role": "user", "content": "And at dusk?"}]
    chain = memory.chain(conversation(turn))
    left = memory.uncached(chain, 100, 2)
    assert left[0] == 100.0
    assert left[1] < 30.0
    other = memory.chain(conversation(turn, tools=[{"name": "look"}]))
    assert memory.uncached(other, 100, 2).tolist() == [100.0, 100.0]


def test_messages_that_differ_are_other_conversations() -> None:
    turns = [
        [{"role": "user", "content": "a"}],
        [{"role": "system", "content": "a"}],
        [{"role": "user", "content": "a"}, {"role": "user", "content": "a"}],
        [{"role": "user", "content": "a", "name": "b"}],
        [{"role": "user", "content": [{"type": "text", "text": "a"}]}],
        [{"role": "user", "content": None}],
        [{}],
        [],
    ]
    assert len({conversation(turn) for turn in turns}) == len(turns)
    assert conversation([{"content": "a", "role": "user", "name": "b"}]) == conversation(turns[3])


def test_a_chain_is_a_pair_that_can_be_kept() -> None:
    memory = PrefixMemory(block=1)
    assert memory.chain("ab") == Chain(memory.chain("ab").hashes, 2)
    assert memory.chain("ab", "m").hashes != memory.chain("ab").hashes
