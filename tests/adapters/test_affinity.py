"""A request's own past, as rows of Z that an engine decides by."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tailwise as tw
from tailwise.adapters.affinity import fill_given
from tailwise.adapters.prefix import PrefixMemory, conversation
from tailwise.adapters.sessions import Sessions


def test_rows_are_found_by_name_and_others_left_alone() -> None:
    prefixes, sessions = PrefixMemory(block=1), Sessions()
    chain = prefixes.chain("ab")
    prefixes.note(chain, 1)
    sessions.note("s", 0)
    Z = np.full((3, 2), 9.0)
    known = {"prefixes": prefixes, "chain": chain, "n_tokens": 6.0, "sessions": sessions, "session": "s"}
    assert fill_given(Z, ("session", "adapter", "uncached"), **known) is Z
    assert Z.tolist() == [[1.0, 0.0], [9.0, 9.0], [6.0, 0.0]]


@pytest.mark.parametrize("lacking", ["prefixes", "chain", "n_tokens", "sessions"])
def test_what_is_not_known_is_unknown(lacking: str) -> None:
    """In a buffer that has the last request's numbers still."""
    prefixes = PrefixMemory(block=1)
    known = {"prefixes": prefixes, "chain": prefixes.chain("ab"), "n_tokens": 6.0, "sessions": Sessions()}
    known.pop(lacking)
    Z = np.full((2, 2), 9.0)
    fill_given(Z, ("session", "uncached"), **known)
    row = 0 if lacking == "sessions" else 1
    assert np.isnan(Z[row]).all()
    assert not np.isnan(Z[1 - row]).any()


def test_names_that_are_not_the_buffers_are_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        fill_given(np.zeros((2, 2)), ("uncached",))


def test_a_conversation_goes_back_to_where_it_was_read() -> None:
    """Two equal replicas on which the time to the first token goes with what must be read."""
    model = tw.Model(
        "llm",
        features=(tw.Feature("prompt_tokens", typical=256),),
        columns=(tw.Column("ahead", tracked="prefill_tokens", plus="uncached", scale=64),),
        signals=("ttft", "tpot"),
    )
    e = tw.Engine(
        [tw.Resource(f"r{i}", max_running=8) for i in range(2)],
        [model],
        [tw.QoS("chat", ttft_s=10.0, tpot_s=1.0, contract="best_effort")],
        clock=tw.ManualClock(),
        seed=1,
    )
    route, prefixes = e.route("llm", "chat"), PrefixMemory(block=16)
    rng = np.random.default_rng(1)
    went: dict[int, list[int]] = {}
    for turn in range(40):
        for user in range(6):
            turns = [{"role": "user", "content": f"{user} asks {n} " * 30} for n in range(turn % 4 + 1)]
            text = f"{turn // 4}" + conversation(turns)
            chain, n_tokens = prefixes.chain(text), len(text) / 4
            Z = fill_given(route.buffer(), model.given, prefixes=prefixes, chain=chain, n_tokens=n_tokens)
            ticket = route.select((n_tokens,), Z)
            left = Z[0, ticket.lane]
            assert not math.isnan(left)
            prefixes.note(chain, ticket.lane)
            e.clock.advance((0.02 + 0.001 * left) * math.exp(0.05 * rng.normal()))  # type: ignore[attr-defined]
            ticket.first()
            e.clock.advance(0.05)  # type: ignore[attr-defined]
            ticket.complete(tokens=6)
            if turn >= 20:
                went.setdefault(10 * (turn // 4) + user, []).append(ticket.lane)
    stayed = [len(set(lanes)) == 1 for lanes in went.values()]
    assert sum(stayed) > 0.9 * len(stayed)
    assert len({lane for lanes in went.values() for lane in lanes}) == 2
