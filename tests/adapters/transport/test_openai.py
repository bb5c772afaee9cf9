"""OpenAI's own client over several backends, by its `http_client`: real servers, whole answers and streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import openai
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import tailwise as tw
from tailwise.adapters.httpx2 import Ask, AsyncTransport, Transport
from tailwise.adapters.journal import Journal
from tests.adapters.loopback import loopback

WORDS = ["one ", "two ", "three"]


class EventReader:
    """Counts the events that bring text; the first of OpenAI's has a role alone."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.ended: bool | None = False if headers["content-type"].startswith("text/event-stream") else None
        self.tokens: int | None = 0
        self._line = b""

    @property
    def started(self) -> bool:
        return bool(self.tokens)

    def feed(self, chunk: bytes) -> None:
        *lines, self._line = (self._line + chunk).split(b"\n")
        for line in lines:
            if line == b"data: [DONE]":
                self.ended = True
            elif line.startswith(b"data: ") and json.loads(line[6:])["choices"][0]["delta"].get("content"):
                self.tokens = (self.tokens or 0) + 1


class Served:
    """Two OpenAI-like servers and what they are told."""

    def __init__(self) -> None:
        self.engine = tw.Engine(
            [tw.Resource("a"), tw.Resource("b", offset_s=20.0)],
            [tw.Model("llm", signals=("ttft", "tpot"))],
            [tw.QoS("chat", 60.0, ttft_s=30.0, tpot_s=10.0, contract="best_effort", explore=False)],
            seed=1,
        )
        self.journal = Journal(self.engine)
        self.keys: list[str] = []
        self.broken: set[str] = set()

    def app(self, name: str) -> Starlette:
        async def events() -> AsyncIterator[bytes]:
            yield b": processing\n\n"
            for delta in [{"role": "assistant", "content": ""}, *({"content": word} for word in WORDS)]:
                choice = {"index": 0, "delta": delta, "finish_reason": None}
                told = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
                yield b"data: " + json.dumps({**told, "choices": [choice]}).encode() + b"\n\n"
            yield b"data: [DONE]\n\n"

        async def chat(request: Request) -> Response:
            self.keys.append(request.headers["authorization"])
            if name in self.broken:
                return JSONResponse({"error": {"message": "broken"}}, 500)
            if (await request.json()).get("stream"):
                return StreamingResponse(events(), media_type="text/event-stream")
            message = {"role": "assistant", "content": "".join(WORDS)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            told = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
            return JSONResponse(told)

        return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])

    def run(self, talk: Callable[[Any, bool], Any], on_asyncio: bool) -> Any:
        """talk: (client, stream) to the text of the answer."""

        async def scenario() -> list[Any]:
            async with AsyncExitStack() as stack:
                urls = {n: await stack.enter_async_context(loopback(self.app(n))) for n in ("a", "b")}
                options = {"base_url": "http://any/v1", "api_key": "k", "max_retries": 0}
                ask = Ask("llm", "chat", tokens=EventReader)
                if on_asyncio:
                    kept = httpx2.AsyncClient(transport=AsyncTransport(self.journal, urls, ask))
                    client = await stack.enter_async_context(openai.AsyncOpenAI(http_client=kept, **options))
                    return [await talk(client, stream) for stream in (False, True)]
                blocking = httpx2.Client(transport=Transport(self.journal, urls, ask))
                with openai.OpenAI(http_client=blocking, **options) as client:
                    return [await asyncio.to_thread(talk, client, stream) for stream in (False, True)]

        return asyncio.run(scenario())


REQUEST: Any = {"model": "m", "messages": [{"role": "user", "content": "count"}]}


def talk(client: openai.OpenAI, stream: bool) -> str | None:
    answer = client.chat.completions.create(**REQUEST, stream=stream)
    if stream:
        return "".join(event.choices[0].delta.content or "" for event in answer)
    text: str | None = answer.choices[0].message.content
    return text


async def talk_async(client: openai.AsyncOpenAI, stream: bool) -> str | None:
    answer = await client.chat.completions.create(**REQUEST, stream=stream)
    if stream:
        return "".join([event.choices[0].delta.content or "" async for event in answer])
    text: str | None = answer.choices[0].message.content
    return text


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def on_asyncio(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_answers_and_streams_come_through_and_both_signals_are_learned(on_asyncio: bool) -> None:
    served = Served()
    assert served.run(talk_async if on_asyncio else talk, on_asyncio) == ["one two three"] * 2
    assert served.keys == ["Bearer k"] * 2
    whole, streamed = served.journal.decisions
    assert (whole.end, whole.ttft_s) == ("completed", None)
    assert (streamed.end, streamed.tokens, streamed.on_time) == ("completed", 3, True)
    assert streamed.ttft_s is not None
    assert streamed.tpot_s is not None
    assert [served.engine.profile("a", "llm", signal=s).n for s in ("ttft", "tpot")] == [1.0, 1.0]
    assert served.engine.in_flight == 0


def test_a_backend_that_breaks_is_passed_over_unseen(on_asyncio: bool) -> None:
    served = Served()
    served.broken.add("a")
    assert served.run(talk_async if on_asyncio else talk, on_asyncio) == ["one two three"] * 2
    assert [(d.resource, d.end) for d in served.journal.decisions][:2] == [
        ("a", "failed"),
        ("b", "completed"),
    ]


def test_a_refusal_is_the_clients_own_error(on_asyncio: bool) -> None:
    served = Served()
    for name in ("a", "b"):
        served.engine.drain(name)
    with pytest.raises(openai.InternalServerError, match="no_resource"):
        served.run(talk_async if on_asyncio else talk, on_asyncio)
    assert served.keys == []
