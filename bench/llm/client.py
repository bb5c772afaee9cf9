"""Plays sessions against one URL, as they are due, and times what comes back from the stream itself."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from bench.llm.traffic import Session, Turn

__all__ = ["MODEL", "Answer", "Reader", "Request", "ask", "connect", "play"]

MODEL = "gemma"
#: A turn without an answer by then has failed.
GIVE_UP_S = 60.0


@dataclass(slots=True)
class Answer:
    """One turn's. Times in seconds since it was sent, inf = never. late_s: how long after it was due it was sent.

    n_prompt, n_cached: as the server counted, None = it did not say.
    """

    kind: str
    due_s: float
    late_s: float = 0.0
    first_s: float = math.inf
    end_s: float = math.inf
    n_tokens: int = 0
    n_prompt: int | None = None
    n_cached: int | None = None
    status: int = 0
    error: str = ""
    backend: str = ""
    streams: bool = True

    @property
    def ok(self) -> bool:
        return self.status == 200 and not self.error and self.end_s < math.inf

    @property
    def tpot_s(self) -> float:
        """Seconds per token after the first; 0 for an answer of one token, inf without a whole answer."""
        if not self.ok:
            return math.inf
        return (self.end_s - self.first_s) / (self.n_tokens - 1) if self.n_tokens > 1 else 0.0


@dataclass(slots=True)
class Reader:
    """Reads the lines of a stream: text, usage, an error that comes in the middle, and whether it was ended."""

    text: list[str] = field(default_factory=list)
    n_tokens: int = 0
    usage: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    done: bool = False

    def line(self, line: str) -> bool:
        """Whether it brought text."""
        if not line.startswith("data:"):
            return False
        data = line[5:].strip()
        if data == "[DONE]":
            self.done = True
            return False
        event = json.loads(data)
        if "error" in event:
            self.error = str(event["error"])
            return False
        self.usage = event.get("usage") or self.usage
        pieces = [c["delta"].get("content") for c in event.get("choices", ()) if "delta" in c]
        fresh = [piece for piece in pieces if piece]
        self.text += fresh
        self.n_tokens += len(fresh)
        return bool(fresh)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a URL's chat completions. headers: those of the class, of the session."""

    messages: list[dict[str, str]]
    n_answer: int
    streams: bool
    headers: Mapping[str, str]

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": MODEL,
            "messages": self.messages,
            "max_tokens": self.n_answer,
            "temperature": 0,
            "ignore_eos": True,  # every policy's answers are equally long
            "stream": self.streams,
        }
        return {**body, "stream_options": {"include_usage": True}} if self.streams else body


def connect(url: str) -> httpx2.AsyncClient:
    """A connection for each request: llama-server closes one after a stream without saying so beforehand, and who is
    quick to use it again is told "disconnected"."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx2.AsyncClient(base_url=url, limits=limits, timeout=None)


async def ask(client: httpx2.AsyncClient, request: Request, answer: Answer) -> str:
    """Fills in `answer`; the text, "" where it failed."""
    sent_s = time.monotonic()
    reader = Reader()
    try:
        async with asyncio.timeout(GIVE_UP_S):
            stream = client.stream(
                "POST", "/v1/chat/completions", json=request.body(), headers=dict(request.headers)
            )
            async with stream as response:
                answer.status = response.status_code
                answer.backend = _backend(response.headers)
                if response.status_code != 200:
                    answer.error = (await response.aread()).decode(errors="replace")[:300]
                elif request.streams:
                    async for line in response.aiter_lines():
                        if reader.line(line) and answer.first_s == math.inf:
                            answer.first_s = time.monotonic() - sent_s
                else:
                    _whole(json.loads(await response.aread()), reader)
                answer.end_s = time.monotonic() - sent_s
    except (httpx2.HTTPError, TimeoutError, ValueError) as error:
        answer.error = f"{type(error).__name__}: {error}"
        return ""
    answer.error = answer.error or reader.error or ("" if reader.done else "the stream ended early")
    answer.first_s = min(answer.first_s, answer.end_s)
    answer.n_tokens = int(reader.usage.get("completion_tokens", reader.n_tokens))
    answer.n_prompt = reader.usage.get("prompt_tokens")
    answer.n_cached = (reader.usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    return "" if answer.error else "".join(reader.text)


def _whole(event: dict[str, Any], reader: Reader) -> None:
    reader.text.append(event["choices"][0]["message"]["content"])
    reader.usage, reader.done = event.get("usage") or {}, True


async def play(
    url: str, tape: Sequence[Session], headers: Mapping[str, Mapping[str, str]], streams: Mapping[str, bool]
) -> list[Answer]:
    """Every turn of every session, in no order. headers, streams: by class."""
    async with connect(url) as client:
        began_s = time.monotonic()
        lists = await asyncio.gather(
            *(_converse(client, session, began_s, headers, streams) for session in tape)
        )
    return [answer for answers in lists for answer in answers]


async def _converse(
    client: httpx2.AsyncClient,
    session: Session,
    began_s: float,
    headers: Mapping[str, Mapping[str, str]],
    streams: Mapping[str, bool],
) -> list[Answer]:
    """A turn is sent when it is due and the one before has its answer, or none: then the talk goes on without it."""
    messages: list[dict[str, str]] = []
    answers: list[Answer] = []
    for turn in session.turns:
        await asyncio.sleep(max(0.0, began_s + turn.due_s - time.monotonic()))
        messages.append({"role": "user", "content": turn.text})
        answer = Answer(session.kind, turn.due_s, time.monotonic() - began_s - turn.due_s)
        answer.streams = streams[session.kind]
        request = Request(list(messages), turn.n_answer, answer.streams, _headers(session, headers))
        text = await ask(client, request, answer)
        messages.append({"role": "assistant", "content": text or _unanswered(turn)})
        answers.append(answer)
    return answers


def _headers(session: Session, headers: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {**headers[session.kind], "x-session-id": session.name}


def _unanswered(turn: Turn) -> str:
    return turn.text[: turn.n_answer]


def _backend(headers: Mapping[str, str]) -> str:
    """As the gateway names it, or by the address that nginx tried last."""
    tried = headers.get("x-upstream", "").split(",")[-1].strip()
    return headers.get("x-tailwise-backend") or tried
