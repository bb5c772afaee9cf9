"""What a request in OpenAI's shape tells before it runs: model, prompt, length of the answer at most."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["Asked", "Ratio", "parse"]

#: Tokens for what is no text (an image, audio): about what one low-detail picture costs in OpenAI's own count.
PART_TOKENS = 85.0


@dataclass(slots=True)
class Asked:
    """model: as the client said it. prompt: all that a backend reads, in its order, of which that of the next turn is
    a longer one. characters: of its texts. tokens: of what came as token ids, or is no text. max_tokens: of all
    answers together; None = not said. data: the whole body."""

    model: str
    stream: bool
    prompt: str
    characters: int
    tokens: float
    max_tokens: int | None
    data: dict[str, Any]


class Part(NamedTuple):
    """What is no text: token ids, or an image, as it came."""

    value: Any
    tokens: float


class Ratio:
    """Tokens per character of a model's prompts, learned from what backends count: a bounded moving average.

    Starts at 1/4, as English is in byte-pair vocabularies, and that counts as one prompt; one character is at least
    1/16 token, and at most 2 (CJK text in vocabularies of English is near 1.5). Cost: O(1).
    """

    __slots__ = ("_n", "value")

    LEAST, MOST, WEIGHT = 1 / 16, 2.0, 0.05

    def __init__(self) -> None:
        self.value = 0.25
        self._n = 1

    def tokens(self, asked: Asked) -> float:
        """The prompt's tokens, at least 1."""
        return max(1.0, asked.tokens + self.value * asked.characters)

    def learn(self, asked: Asked, prompt_tokens: float) -> None:
        """prompt_tokens: as the backend counted them, > 0; what is not, teaches nothing."""
        n = asked.characters
        if n < 16 or not 0.0 < prompt_tokens < math.inf:
            return  # the template's own tokens outweigh so short a prompt
        seen = min(max((prompt_tokens - asked.tokens) / n, self.LEAST), self.MOST)
        self._n += 1
        self.value += max(self.WEIGHT, 1.0 / self._n) * (seen - self.value)


def parse(body: bytes) -> Asked | str:
    """A request's body, or what is wrong with it. Never raises."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return "the body is not JSON"
    if not isinstance(data, dict):
        return "the body is not a JSON object"
    model = data.get("model")
    if not isinstance(model, str) or not model:
        return "the body names no model"
    said: list[str] = []
    characters, tokens = 0, 0.0
    try:
        for part in _parts(data):
            if isinstance(part, str):
                said.append(part)
                characters += len(part)
            else:
                said.append(str(part.value))
                tokens += part.tokens
    except RecursionError:  # writing nested tools goes deeper than reading them
        return "the body is nested too deeply"
    return Asked(model, data.get("stream") is True, "\x1e".join(said), characters, tokens, _most(data), data)


def _most(data: Mapping[str, Any]) -> int | None:
    n = data.get("n")
    copies = n if type(n) is int and 1 <= n <= 128 else 1
    for name in ("max_completion_tokens", "max_tokens", "max_output_tokens"):
        most = data.get(name)
        if type(most) is int and 1 <= most <= 10_000_000:
            return most * copies
    return None


def _parts(data: Mapping[str, Any]) -> Iterator[str | Part]:
    """Texts, and what is none, in the order in which a backend reads them."""
    tools = data.get("tools")
    if isinstance(tools, list) and tools:
        yield json.dumps(tools, separators=(",", ":"))
    yield from _content(data.get("system"))  # of /v1/messages
    messages = data.get("messages")
    if isinstance(messages, list):
        for message in messages:
            if isinstance(message, dict):
                yield from _content(message.get("content"))
                calls = message.get("tool_calls")
                if calls:
                    yield json.dumps(calls, separators=(",", ":"))
    for name in ("instructions", "prompt", "input"):
        yield from _content(data.get(name))


def _content(content: object, inner: bool = False) -> Iterator[str | Part]:
    """A text, token ids, or a list of those or of parts {"text": ..}; inner: of an item that itself has content."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        if content and type(content[0]) is int:
            yield Part(content, len(content))
            return
        for part in content:
            if isinstance(part, str):
                yield part
            elif isinstance(part, dict):
                text = part.get("text")
                if isinstance(text, str):
                    yield text
                elif not inner and isinstance(part.get("content"), str | list):
                    yield from _content(part["content"], inner=True)  # an item of /v1/responses
                else:
                    yield Part(part, PART_TOKENS)
            elif isinstance(part, list):
                yield Part(part, len(part))
