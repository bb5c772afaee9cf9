"""What is read of requests and answers in OpenAI's shape, whatever comes."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailwise.adapters.gateway.answers import StreamReader, WholeReader, reader_for
from tailwise.adapters.gateway.openai import PART_TOKENS, Asked, Ratio, parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
KEYS = (
    "messages",
    "prompt",
    "input",
    "tools",
    "max_tokens",
    "n",
    "stream",
    "instructions",
    "max_completion_tokens",
)


def asked(**body: Any) -> Asked:
    read = parse(json.dumps({"model": "m"} | body).encode())
    assert isinstance(read, Asked), read
    return read


@pytest.mark.parametrize(
    ("body", "characters", "tokens"),
    [
        ({"messages": [{"role": "user", "content": "12345"}, {"role": "assistant", "content": "678"}]}, 8, 0),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "12"}, {"type": "image_url"}]}
                ]
            },
            2,
            PART_TOKENS,
        ),
        ({"messages": [{"role": "assistant", "content": None, "tool_calls": [1]}]}, 3, 0),
        ({"prompt": "123"}, 3, 0),
        ({"prompt": ["12", "345"]}, 5, 0),
        ({"prompt": [5, 6, 7]}, 0, 3),
        ({"prompt": [[5, 6], [7]]}, 0, 3),
        ({"input": "1234", "instructions": "56"}, 6, 0),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "abc"}]}]}, 3, 0),
        ({"system": "12", "messages": [{"role": "user", "content": "345"}]}, 5, 0),
        ({"messages": "junk", "prompt": 7, "tools": {}}, 0, 0),
    ],
)
def test_the_prompt_is_measured(body: dict[str, Any], characters: int, tokens: float) -> None:
    read = asked(**body)
    assert (read.characters, read.tokens) == (characters, tokens)


@pytest.mark.parametrize(
    ("body", "most"),
    [
        ({}, None),
        ({"max_tokens": 9}, 9),
        ({"max_completion_tokens": 7, "max_tokens": 9}, 7),
        ({"max_output_tokens": 7}, 7),
        ({"max_tokens": 9, "n": 3}, 27),
        ({"max_tokens": True}, None),
        ({"max_tokens": -1}, None),
        ({"max_tokens": 1e9}, None),
    ],
)
def test_the_longest_answer_is_read(body: dict[str, Any], most: int | None) -> None:
    assert asked(**body).max_tokens == most


def test_the_prompt_of_the_next_turn_begins_with_that_of_this_one() -> None:
    turn = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "hello"}]},
    ]
    more = [*turn, {"role": "assistant", "content": "hi"}, {"role": "user", "content": "bye"}]
    tools = [{"type": "function"}]
    assert asked(messages=more, tools=tools).prompt.startswith(asked(messages=turn, tools=tools).prompt)
    other = {"type": "image_url", "image_url": {"url": "data:2"}}
    first = {"type": "image_url", "image_url": {"url": "data:1"}}
    assert asked(prompt=[first]).prompt != asked(prompt=[other]).prompt


@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_nothing_in_a_body_is_too_odd_to_be_read(body: dict[str, Any]) -> None:
    read = asked(**body)
    assert math.isfinite(read.tokens)
    assert 1.0 <= Ratio().tokens(read) < math.inf
    read.prompt.encode("utf-8", "surrogatepass")


@given(st.binary(max_size=200))
def test_whatever_bytes_come_a_body_is_read_or_told_what_is_wrong(body: bytes) -> None:
    assert isinstance(parse(body), Asked | str)


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"model": "m", "tools": ' + b"[" * 900 + b"]" * 900 + b"}"]
)
def test_a_body_that_is_nested_deeply_raises_nothing(body: bytes) -> None:
    assert isinstance(parse(body), Asked | str)


def test_a_ratio_converges_to_what_backends_count_and_stays_bounded() -> None:
    ratio, prompt = Ratio(), asked(prompt="x" * 1000)
    for _ in range(100):
        ratio.learn(prompt, 400)
    assert ratio.tokens(prompt) == pytest.approx(400, rel=0.01)
    for odd in (0, -5, math.nan, math.inf):
        ratio.learn(prompt, odd)
    assert ratio.tokens(prompt) == pytest.approx(400, rel=0.01)
    for _ in range(500):
        ratio.learn(prompt, 10**9)
    assert ratio.value <= Ratio.MOST
    assert ratio.tokens(asked(prompt="")) == 1.0


def stream(*events: Any, done: bool = True) -> bytes:
    text = "".join(f"data: {json.dumps(e)}\n\n" for e in events)
    return (text + ("data: [DONE]\n\n" if done else "")).encode()


def delta(**said: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": said}]}


@given(st.data())
def test_a_stream_is_read_alike_however_it_is_cut(data: st.DataObject) -> None:
    body = b": hello\n\n" + stream(
        delta(role="assistant", content=""),
        delta(content="a"),
        delta(content="é☃"),
        delta(tool_calls=[{}]),
        delta(function_call={"name": "f"}),
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5}},
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    reader = StreamReader()
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        reader.feed(body[start:end])
    assert (reader.started, reader.ended, reader.tokens, reader.prompt_tokens) == (True, True, 5, 9)


def test_a_stream_starts_with_its_first_token_and_not_before() -> None:
    reader = StreamReader()
    reader.feed(
        b": ping\n\nevent: x\nid: 3\n\n" + stream(delta(role="assistant"), {"error": {}}, 7, done=False)
    )
    assert (reader.started, reader.ended, reader.tokens) == (False, False, None)
    reader.feed(b"data: {broken\n\ndata:\n\n" + stream(delta(content="a"), done=False))
    assert (reader.started, reader.ended, reader.tokens) == (True, False, 1)


def test_completions_and_responses_are_read_too() -> None:
    reader = StreamReader()
    reader.feed(stream({"choices": [{"text": "a"}]}, {"choices": [{"text": ""}]}))
    assert (reader.tokens, reader.ended) == (1, True)
    reader = StreamReader()
    reader.feed(
        stream(
            {"type": "response.created", "response": {"usage": None}},
            {"type": "response.output_text.delta", "delta": "a"},
            {"type": "response.completed", "response": {"usage": {"input_tokens": 5, "output_tokens": 3}}},
            done=False,
        )
    )
    assert (reader.tokens, reader.prompt_tokens, reader.ended) == (3, 5, True)


def test_anthropics_messages_are_read_too() -> None:
    events = (
        {"type": "message_start", "message": {"usage": {"input_tokens": 25, "output_tokens": 1}}},
        {"type": "content_block_start", "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_stop"},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 15}},
    )
    reader = StreamReader()
    reader.feed(stream(*events[:3], done=False))
    assert (reader.started, reader.ended) == (False, False)
    reader.feed(stream(*events[3:], done=False))
    assert (reader.started, reader.ended) == (True, False)
    reader.feed(stream({"type": "message_stop"}, done=False))
    assert (reader.tokens, reader.prompt_tokens, reader.ended) == (15, 25, True)


def test_a_stream_whose_last_event_is_not_known_is_not_taken_for_one_that_was_cut_off() -> None:
    reader = StreamReader()
    reader.feed(
        stream(
            {"type": "transcript.text.delta", "delta": "a"},
            {"type": "transcript.text.done", "text": "a"},
            done=False,
        )
    )
    assert (reader.tokens, reader.ended) == (1, None)
    finished = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    reader = StreamReader()
    reader.feed(stream(delta(content="a"), done=False))
    assert reader.ended is False
    reader.feed(stream(finished, {"choices": [], "usage": {"completion_tokens": 4}}, done=False))
    assert (reader.tokens, reader.ended) == (4, None)
    reader.feed(b"data: [DONE]\n\n")
    assert reader.ended is True


def test_the_end_of_a_stream_needs_no_line_end() -> None:
    reader = StreamReader()
    reader.feed(stream(delta(content="a"), done=False) + b"data: [DO")
    assert reader.ended is False
    reader.feed(b"NE]")
    assert (reader.tokens, reader.ended) == (1, True)
    reader = StreamReader()
    reader.feed(b'data: {"choices": [{"delta": {"content": "[DONE]')
    assert reader.ended is None
    reader.feed(b'"}}]}\n')
    assert (reader.tokens, reader.ended) == (1, False)


@pytest.mark.parametrize(
    "broken",
    [
        ({"error": {"message": "out of memory"}},),
        ({"type": "response.failed", "response": {"usage": None}},),
        ({"type": "error", "message": "out of memory"},),
    ],
)
def test_an_error_inside_of_a_stream_is_no_good_end_of_it(broken: tuple[Any, ...]) -> None:
    reader = StreamReader()
    reader.feed(stream(delta(content="a"), *broken))
    assert reader.ended is False


@given(
    st.lists(
        st.binary(max_size=100) | st.sampled_from([b"data: ", b"\n", b"[DONE]", b"{}", b'{"choices":[1]}'])
    )
)
def test_no_stream_is_too_odd_to_be_passed_on(chunks: list[bytes]) -> None:
    for reader in (StreamReader(), WholeReader()):
        for chunk in chunks:
            reader.feed(chunk)
        assert reader.tokens is None or reader.tokens >= 0


def test_an_event_without_end_is_not_kept() -> None:
    reader = StreamReader()
    for _ in range(40):
        reader.feed(b"data: " + b"x" * 65536)
    assert len(reader._rest) <= 1 << 20


def test_a_whole_answer_is_known_by_its_usage() -> None:
    body = {
        "choices": [{"message": {"content": '"usage": {"completion_tokens": 99}' * 500}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4},
        "timings": {"usage_of": 1},
    }
    text = json.dumps(body).encode()
    reader = WholeReader()
    for i in range(0, len(text), 1000):
        reader.feed(text[i : i + 1000])
    assert (reader.tokens, reader.prompt_tokens, reader.started) == (4, 9, False)


def test_the_reader_is_chosen_by_the_answers_type() -> None:
    assert isinstance(reader_for({"content-type": "text/event-stream; charset=utf-8"}), StreamReader)
    assert isinstance(reader_for({"content-type": "application/json"}), WholeReader)
    assert reader_for({"content-type": "audio/mpeg"}) is None
    assert reader_for({}) is None
