"""What the client reads from real streams of a server that says what the test says."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable

from bench.llm.client import Answer, play
from bench.llm.traffic import Session, Turn

Reply = Callable[[list[dict[str, str]]], bytes]


def event(**data: object) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def token(text: str) -> bytes:
    return event(choices=[{"delta": {"content": text}}])


ROLE = event(choices=[{"delta": {"role": "assistant", "content": None}}])
DONE = b"data: [DONE]\n\n"
USAGE = event(
    choices=[],
    usage={"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}},
)


def answered(body: bytes, status: str = "200 OK", kind: str = "text/event-stream") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nx-upstream: 127.0.0.1:1, 127.0.0.1:2\r\n"
    return head.encode() + b"connection: close\r\n\r\n" + body


def played(
    reply: Reply, *turns: Turn, streams: bool = True
) -> tuple[list[Answer], list[list[dict[str, str]]]]:
    """The answers to one session, and what the server was asked."""
    asked: list[list[dict[str, str]]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert "x-session-id: s" in head
        assert "x-tailwise-class: chat" in head
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        asked.append(json.loads(await reader.readexactly(length))["messages"])
        writer.write(reply(asked[-1]))
        await writer.drain()
        writer.close()

    async def run() -> list[Answer]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            url = "http://{}:{}".format(*server.sockets[0].getsockname())
            tape = [Session("s", "chat", turns)]
            return await play(url, tape, {"chat": {"x-tailwise-class": "chat"}}, {"chat": streams})

    return asyncio.run(run()), asked


def test_a_stream_is_timed_from_its_first_text_and_counted_by_its_usage() -> None:
    (answer,), _ = played(
        lambda _: answered(ROLE + token("a") + token("b") + USAGE + DONE), Turn(0.0, "hi", 1, 3)
    )
    assert answer.ok
    assert 0.0 < answer.first_s <= answer.end_s < math.inf
    assert (answer.n_tokens, answer.n_prompt, answer.n_cached) == (3, 9, 4)
    assert answer.tpot_s == (answer.end_s - answer.first_s) / 2
    assert answer.backend == "127.0.0.1:2"


def test_each_turn_extends_the_conversation_by_the_answer_before() -> None:
    def reply(messages: list[dict[str, str]]) -> bytes:
        return answered(token(f"answer {len(messages)}") + DONE)

    _, asked = played(reply, *(Turn(0.0, f"turn {i}", 1, 1) for i in range(3)))
    assert [message["content"] for message in asked[-1]] == [
        "turn 0",
        "answer 1",
        "turn 1",
        "answer 3",
        "turn 2",
    ]
    assert [message["role"] for message in asked[-1]] == ["user", "assistant"] * 2 + ["user"]
    assert asked[0] == asked[2][:1]
    assert asked[1] == asked[2][:3]


def test_a_stream_without_an_end_has_failed() -> None:
    (answer,), _ = played(lambda _: answered(token("a")), Turn(0.0, "hi", 1, 3))
    assert not answer.ok
    assert answer.tpot_s == math.inf
    assert answer.error == "the stream ended early"


def test_an_error_within_a_stream_fails_it() -> None:
    (answer,), _ = played(
        lambda _: answered(token("a") + event(error={"message": "no more"}) + DONE), Turn(0.0, "hi", 1, 3)
    )
    assert not answer.ok
    assert "no more" in answer.error


def test_a_refused_turn_is_kept_with_its_status_and_the_talk_goes_on() -> None:
    def reply(messages: list[dict[str, str]]) -> bytes:
        refused = answered(b'{"error": "late"}', "503 Service Unavailable", "application/json")
        return refused if len(messages) == 1 else answered(token("a") + DONE)

    answers, asked = played(reply, Turn(0.0, "turn 0", 1, 3), Turn(0.0, "turn 1", 1, 3))
    assert [(a.status, a.ok) for a in answers] == [(503, False), (200, True)]
    assert "late" in answers[0].error
    assert [message["role"] for message in asked[1]] == ["user", "assistant", "user"]


def test_a_connection_that_is_cut_is_a_turn_that_failed() -> None:
    (answer,), _ = played(lambda _: b"", Turn(0.0, "hi", 1, 3))
    assert not answer.ok
    assert answer.status == 0


def test_a_whole_answer_comes_at_once() -> None:
    body = json.dumps(
        {"choices": [{"message": {"content": "all"}}], "usage": {"completion_tokens": 5}}
    ).encode()
    (answer,), _ = played(
        lambda _: answered(body, kind="application/json"), Turn(0.0, "hi", 1, 5), streams=False
    )
    assert answer.ok
    assert answer.n_tokens == 5
    assert answer.first_s == answer.end_s
