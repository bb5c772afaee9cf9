"""Requests through a gateway: the whole way from OpenAI's own client to a backend and back."""

from __future__ import annotations

import asyncio
import json

from tests.adapters.gateway.world import World, play

HELLO = [{"role": "user", "content": "say it, please"}]


def test_openais_client_gets_a_whole_answer() -> None:
    async def scenario(w: World) -> None:
        answer = await w.openai.chat.completions.create(model="llama", messages=HELLO)  # type: ignore[arg-type]
        assert answer.choices[0].message.content == "one two three"
        decision = w.decisions[-1]
        assert (decision.end, decision.on_time) == ("completed", True)
        assert (decision.model, decision.qos) == ("llama (whole)", "chat (whole)")
        assert decision.resource is not None
        assert w.fleet.engine.profile(decision.resource, "llama (whole)").n == 1.0

    play(scenario)


def test_openais_client_gets_a_streamed_answer_and_its_signals_are_learned() -> None:
    async def scenario(w: World) -> None:
        stream = await w.openai.chat.completions.create(model="llama", messages=HELLO, stream=True)  # type: ignore[call-overload]
        words = [chunk.choices[0].delta.content async for chunk in stream]
        assert "".join(word or "" for word in words) == "one two three"
        decision = w.decisions[-1]
        assert (decision.end, decision.tokens, decision.on_time) == ("completed", 3, True)
        assert decision.ttft_s is not None
        assert decision.resource is not None
        for signal in ("ttft", "tpot"):
            assert w.fleet.engine.profile(decision.resource, "llama", signal=signal).n > 0

    play(scenario)


def test_the_client_has_the_first_event_before_the_backend_sends_its_last() -> None:
    async def scenario(w: World) -> None:
        gate = asyncio.Event()
        for backend in w.backends:
            backend.gate = gate
        body = {"model": "llama", "messages": HELLO, "stream": True}
        async with w.http.stream("POST", "/v1/chat/completions", json=body) as response:
            lines = response.aiter_lines()
            seen = []
            async for line in lines:
                if line.startswith("data:"):
                    seen.append(json.loads(line[5:])["choices"][0]["delta"].get("content"))
                if len(seen) == 3:
                    break
            assert seen == ["", "one", " two"]  # and the third waits for the gate
            gate.set()
            rest = [line async for line in lines if line.startswith("data:")]
            assert rest[-1] == "data: [DONE]"

    play(scenario)


def test_events_arrive_as_they_were_sent() -> None:
    async def scenario(w: World) -> None:
        direct = await w.http.post(
            f"{w.backends[0].url}/v1/chat/completions",
            json={"model": "llama", "messages": HELLO, "stream": True},
        )
        through = await w.chat(stream=True, messages=HELLO)
        assert through.content == direct.content

    play(scenario)
