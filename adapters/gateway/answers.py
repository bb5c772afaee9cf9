"""What an answer in OpenAI's shape tells while it passes: its first token, how many there are, the backend's usage.

Nothing is changed or held back. What cannot be read is skipped: it is the client's, and not ours to judge.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["StreamReader", "WholeReader", "reader_for"]

#: Bytes of an unfinished event that are kept; a longer one is passed on and not read.
MOST_EVENT = 1 << 20
#: Bytes at the end of a whole answer in which its usage is looked for; servers write it after the choices.
TAIL = 8 << 10
#: What says that an answer goes on; every other key of a delta (role, for one) is none of its tokens.
CONTENT = ("content", "reasoning_content", "reasoning", "tool_calls", "function_call", "refusal")

#: Starts of the events' names of /v1/responses and /v1/messages, and the names of their last ones.
OURS = ("response.", "message_", "content_block_")
LAST = ("response.completed", "response.incomplete", "message_stop")
FAILED = ("response.failed", "error")


class _Usage:
    __slots__ = ("completion_tokens", "prompt_tokens")

    def __init__(self) -> None:
        self.prompt_tokens: int | None = None  #: as the backend counted them; None = not told
        self.completion_tokens: int | None = None

    def _take(self, usage: object) -> None:
        if not isinstance(usage, Mapping):
            return
        for name in ("prompt_tokens", "input_tokens"):
            if _is_count(usage.get(name)):
                self.prompt_tokens = usage[name]
        for name in ("completion_tokens", "output_tokens"):
            if _is_count(usage.get(name)):
                self.completion_tokens = usage[name]


class StreamReader(_Usage):
    """Server-sent events: one with content counts as a token, unless the usage at the end says how many there were.

    A `TokenReader`. ended: False while more must come, or after an error, True after what ends the stream for
    certain; None where its end says nothing: before the first event that can be read, after a finish_reason (not
    every server sends [DONE]), and in streams whose last event is not known here.
    """

    __slots__ = ("_failed", "_finished", "_rest", "_seen", "ended")

    def __init__(self) -> None:
        super().__init__()
        self._rest = b""
        self._seen = 0
        self._failed = self._finished = False
        self.ended: bool | None = None

    @property
    def started(self) -> bool:
        return self._seen > 0

    @property
    def tokens(self) -> int | None:
        """What was seen, at least: servers join tokens to one event, and never split one."""
        if self.completion_tokens is None:
            return self._seen or None
        return max(self.completion_tokens, self._seen)

    def feed(self, chunk: bytes) -> None:
        lines = (self._rest + chunk).split(b"\n") if self._rest else chunk.split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MOST_EVENT:
            self._rest = b""
        for line in lines:
            if line.startswith(b"data:"):
                self._event(line[5:])
        if self._rest.endswith(b"[DONE]") and self._rest[5:].strip() == b"[DONE]":
            self._event(self._rest[5:])  # some servers send no line end after it

    def finish(self) -> None:
        """All was read as it came."""

    def _event(self, data: bytes) -> None:
        if data.strip() == b"[DONE]":
            self.ended = not self._failed
            return
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            return
        if not isinstance(event, dict):
            return
        if event.get("error"):
            self._failed, self.ended = True, False
        choices, kind = event.get("choices"), event.get("type")
        if isinstance(choices, list):
            self._choices(choices)
            self._take(event.get("usage"))
        elif isinstance(kind, str):
            self._typed(kind, event)

    def _choices(self, choices: list[Any]) -> None:
        self._seen += any(map(_has_content, choices))
        self._finished = self._finished or any(map(_has_finished, choices))
        if not self._failed and not self.ended:
            self.ended = None if self._finished else False

    def _typed(self, kind: str, event: Mapping[str, Any]) -> None:
        """Of /v1/responses, /v1/messages, and others that name their events."""
        self._seen += kind.endswith((".delta", "_block_delta")) and bool(event.get("delta"))
        for holder in (event, event.get("response"), event.get("message")):
            if isinstance(holder, Mapping):
                self._take(holder.get("usage"))
        if kind in FAILED:
            self._failed = True
        if kind.startswith(OURS):
            self.ended = kind in LAST and not self._failed


class WholeReader(_Usage):
    """One JSON document: its usage. A `TokenReader` that knows nothing of a first token."""

    __slots__ = ("_tail",)

    started = False
    ended = None

    def __init__(self) -> None:
        super().__init__()
        self._tail = b""

    @property
    def tokens(self) -> int | None:
        """Asked at the end."""
        self.finish()
        return self.completion_tokens

    def feed(self, chunk: bytes) -> None:
        self._tail = (self._tail + chunk)[-TAIL:]

    def finish(self) -> None:
        """Reads what has come."""
        at = self._tail.rfind(b'"usage":')
        if at < 0:
            return
        text = self._tail[at + 8 :].decode("utf-8", "replace").lstrip()
        self._tail = b""
        try:
            self._take(json.JSONDecoder().raw_decode(text)[0])
        except (ValueError, RecursionError):
            return


def reader_for(headers: Mapping[str, str]) -> StreamReader | WholeReader | None:
    """By the headers of an answer; None = it is neither."""
    kind = headers.get("content-type", "").lower()
    if kind.startswith("text/event-stream"):
        return StreamReader()
    return WholeReader() if kind.startswith("application/json") else None


def _has_content(choice: Any) -> bool:
    if not isinstance(choice, dict):
        return False
    delta = choice.get("delta")
    if isinstance(delta, dict):
        return any(delta.get(key) for key in CONTENT)
    return bool(choice.get("text"))


def _has_finished(choice: Any) -> bool:
    return isinstance(choice, dict) and bool(choice.get("finish_reason"))


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 31
