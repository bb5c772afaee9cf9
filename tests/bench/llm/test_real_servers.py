"""The real servers, where an earlier `make llm` has left them: a prompt through each, and a conversation's cache."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from bench.llm.client import Answer, Request, ask, connect
from bench.llm.files import find, folder
from bench.llm.server import Server, llama, settings, started

FILES = find()
pytestmark = pytest.mark.skipif(FILES is None, reason=f"no llama-server in {folder()}: make llm gets it")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    assert FILES is not None
    folder = tmp_path_factory.mktemp("llm")
    with started([llama(FILES, setting, folder) for setting in settings(FILES)]) as servers:
        yield list(servers)


def asked(server: Server, messages: list[dict[str, str]], streams: bool = True) -> tuple[str, Answer]:
    async def run() -> tuple[str, Answer]:
        answer = Answer("chat", 0.0)
        async with connect(server.url) as client:
            return await ask(client, Request(messages, 8, streams, {}), answer), answer

    return asyncio.run(run())


@pytest.mark.parametrize("at", [0, 1])
def test_each_streams_an_answer_and_reads_a_conversation_once(servers: list[Server], at: int) -> None:
    messages = [{"role": "user", "content": "Write down the numbers from one to twenty: one, two, three,"}]
    text, first = asked(servers[at], messages)
    assert first.ok
    assert (first.n_tokens, first.n_cached) == (8, 0)
    assert first.first_s < first.end_s
    messages += [{"role": "assistant", "content": text}, {"role": "user", "content": "Go on."}]
    _, second = asked(servers[at], messages)
    assert second.ok
    assert first.n_prompt is not None
    assert second.n_cached is not None
    assert second.n_cached > first.n_prompt / 2  # the template ends a turn otherwise than it begins an answer


def test_an_answer_comes_whole_where_no_stream_is_asked_for(servers: list[Server]) -> None:
    text, answer = asked(servers[0], [{"role": "user", "content": "Say something."}], streams=False)
    assert answer.ok
    assert text
    assert answer.n_tokens == 8
