"""A stand-in for a llama-server that waits where that computes: `python -m bench.llm.paced --port P --name quick ...`

For machines that are busy with other work, at whose mercy the real ones are. It serves chat completions as the real
one does: a step of all slots together takes one token of each answer and then prompt tokens up to n_batch; what was
read is kept beyond the slot that read it (--cache-ram), and a request waits where all slots are taken.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import uvicorn

from bench.llm.text import CHARS_PER_TOKEN

#: Tokens of a message's place in the model's template.
_TURN_TOKENS = 5
#: Conversations that stay in the cache: 18 KB a token, so far less than --cache-ram's 8 GiB.
KEPT = 512


class Job:
    """One request: how many tokens of its prompt must be read, and of its answer written."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.prompt = "\n".join(f"{m['role']}: {m['content']}" for m in body["messages"])
        self.n_prompt = round(len(self.prompt) / CHARS_PER_TOKEN) + _TURN_TOKENS * len(body["messages"])
        self.n_answer = int(body["max_tokens"])
        self.n_cached = self.n_read = self.n_written = 0
        self.tokens: asyncio.Queue[str | None] = asyncio.Queue()

    def write(self) -> None:
        self.tokens.put_nowait(f" word{self.n_written}")
        self.n_written += 1
        if self.n_written == self.n_answer:
            self.tokens.put_nowait(None)

    @property
    def over(self) -> bool:
        return self.n_written >= self.n_answer


class Slots:
    """What is served at once. prompt_per_s: tokens. step_s: seconds of a step by how many answers go on."""

    def __init__(self, n: int, n_batch: int, prompt_per_s: float, step_s: Callable[[int], float]) -> None:
        self._jobs: list[Job | None] = [None] * n
        self._kept: deque[str] = deque(maxlen=KEPT)
        self._waiting: deque[Job] = deque()
        self._n_batch, self._prompt_per_s, self._step_s = n_batch, prompt_per_s, step_s
        self._writers: list[Job] = []
        self._work = asyncio.Event()

    def put(self, job: Job) -> None:
        self._waiting.append(job)
        self._work.set()

    def drop(self, job: Job) -> None:
        """Its client is gone."""
        with contextlib.suppress(ValueError):
            self._waiting.remove(job)
        if job in self._jobs:
            self._release(self._jobs.index(job))

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            self.admit()
            if not any(self._jobs):
                self._work.clear()
                await self._work.wait()
                due_s = loop.time()
                continue
            due_s += self.step()  # a late wake-up is made up for
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            self.finish()

    def step(self) -> float:
        """Plans one: the seconds that it takes."""
        jobs = [job for job in self._jobs if job is not None]
        self._writers = [job for job in jobs if job.n_read == job.n_prompt]
        left, n_prompt = self._n_batch - len(self._writers), 0
        for job in jobs:
            n = min(left, job.n_prompt - job.n_read)
            job.n_read += n
            left, n_prompt = left - n, n_prompt + n
            if n and job.n_read == job.n_prompt:
                self._writers.append(job)  # reading the last token gives the first of the answer
        n_going = sum(job.n_written > 0 for job in self._writers)
        return n_prompt / self._prompt_per_s + (self._step_s(n_going) if n_going else 0.0)

    def finish(self) -> None:
        """After those seconds."""
        for job in self._writers:
            if not job.over:
                job.write()
        for i, held in enumerate(self._jobs):
            if held is not None and held.over:
                self._release(i)

    def admit(self) -> None:
        """Gives free slots to those that wait."""
        while self._waiting and None in self._jobs:
            job = self._waiting.popleft()
            alike = max((_common(kept, job.prompt) for kept in self._kept), default=0)
            job.n_cached = job.n_read = min(round(alike / CHARS_PER_TOKEN), job.n_prompt - 1)
            self._jobs[self._jobs.index(None)] = job

    def _release(self, at: int) -> None:
        job = self._jobs[at]
        assert job is not None
        self._kept.append(job.prompt)  # not its answer, whose tokens a template brings otherwise
        self._jobs[at] = None


def _common(one: str, two: str) -> int:
    """Length of the common beginning."""
    low, high = 0, min(len(one), len(two))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == two[:middle] else (low, middle - 1)
    return low


class App:
    """The ASGI app."""

    def __init__(self, name: str, slots: Callable[[], Slots]) -> None:
        self._name, self._new = name, slots
        self._slots: Slots | None = None
        self._task: asyncio.Task[None] | None = None

    async def __call__(
        self, scope: dict[str, Any], receive: Any, send: Callable[[Any], Awaitable[None]]
    ) -> None:
        if scope["type"] != "http":
            return
        if self._slots is None:
            self._slots = self._new()
            self._task = asyncio.create_task(self._slots.run())
        if scope["path"] == "/health":
            await _send(send, b'{"status": "ok"}', "application/json")
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        asked = json.loads(body)
        job = Job(asked)
        self._slots.put(job)
        watch = asyncio.create_task(self._gone(receive, job))
        try:
            await (self._stream(send, job) if asked.get("stream") else self._whole(send, job))
        finally:
            watch.cancel()

    async def _gone(self, receive: Any, job: Job) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        assert self._slots is not None
        self._slots.drop(job)
        job.tokens.put_nowait(None)

    async def _stream(self, send: Callable[[Any], Awaitable[None]], job: Job) -> None:
        started = False
        async for piece in _pieces(job):
            if not started:
                headers = [(b"content-type", b"text/event-stream")]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                started = True
            await _event(send, {"choices": [{"index": 0, "delta": {"content": piece}}], "model": self._name})
        await _event(send, {"choices": [], "usage": _usage(job)})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def _whole(self, send: Callable[[Any], Awaitable[None]], job: Job) -> None:
        text = "".join([piece async for piece in _pieces(job)])
        message = {"role": "assistant", "content": text}
        answer = {"choices": [{"index": 0, "message": message}], "model": self._name, "usage": _usage(job)}
        await _send(send, json.dumps(answer).encode(), "application/json")


async def _pieces(job: Job) -> AsyncIterator[str]:
    while (piece := await job.tokens.get()) is not None:
        yield piece


def _usage(job: Job) -> dict[str, object]:
    return {
        "prompt_tokens": job.n_prompt,
        "completion_tokens": job.n_written,
        "prompt_tokens_details": {"cached_tokens": job.n_cached},
    }


async def _event(send: Callable[[Any], Awaitable[None]], data: dict[str, object]) -> None:
    body = b"data: " + json.dumps(data).encode() + b"\n\n"
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _send(send: Callable[[Any], Awaitable[None]], body: bytes, kind: str) -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--prompt-per-s", type=float, required=True)
    parser.add_argument("--step-s", type=float, required=True, help="of one answer")
    parser.add_argument("--more-s", type=float, required=True, help="of each further one")
    given = parser.parse_args()

    def slots() -> Slots:
        def step_s(n: int) -> float:
            return float(given.step_s + (n - 1) * given.more_s)

        return Slots(given.slots, given.batch, given.prompt_per_s, step_s)

    app = App(given.name, slots)
    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="error", access_log=False, lifespan="off")


if __name__ == "__main__":
    main()
