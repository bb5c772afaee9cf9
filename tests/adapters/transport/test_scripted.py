"""Whatever backends do and whenever callers leave: no ticket stays open, each job ends once, no byte is changed."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailwise.adapters.exchange import Ask
from tests.adapters.transport.origin import Origin, Script, Step, chunk, events, whole
from tests.adapters.transport.world import FLAVOURS, Caller, World


@dataclass(frozen=True)
class Answer:
    """script: what a backend does. body: all of it, where it says all that it promised."""

    script: Script
    status: int = 200
    body: bytes | None = None


def sized(status: int, body: bytes, missing: int, end: Step) -> Answer:
    head = whole(body, status, retry_after="1")[: -len(body) or None]
    said = body[: len(body) - missing]
    return Answer([head + said, end], status, None if said != body else body)


def chunked(status: int, pieces: list[bytes], end: bytes | Step) -> Answer:
    script = [events(status), *map(chunk, pieces), end]
    return Answer(script, status, b"".join(pieces) if end == chunk(b"") else None)


STATUS = st.sampled_from([200, 200, 200, 204, 302, 400, 429, 500, 503])
CUTS = st.sampled_from([Step.CLOSE, Step.ABORT, Step.HOLD])
PIECES = st.lists(st.sampled_from([b"data: x\n\n", b"da", b"ta: y\n", b": z\n\n", b"0" * 70_000]), max_size=4)
ANSWERS = st.one_of(
    st.builds(sized, STATUS.filter(lambda s: s != 204), st.binary(max_size=9), st.integers(0, 3), CUTS),
    st.builds(chunked, STATUS.filter(lambda s: s != 204), PIECES, st.one_of(st.just(chunk(b"")), CUTS)),
    st.builds(chunked, st.just(200), PIECES, st.sampled_from([b"zz\r\n", b"-1\r\n", b"\xff\xff\r\n"])),
    st.sampled_from(
        [
            Answer([Step.CLOSE]),
            Answer([Step.ABORT]),
            Answer([Step.HOLD]),
            Answer([events(), Step.ENDLESS]),
            Answer([b"HTTP/1.1 20", Step.CLOSE]),
            Answer([b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", Step.CLOSE]),
            Answer([b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", Step.CLOSE]),
            Answer([b"HTTP/1.1 999 \r\n\r\nall", Step.CLOSE], 999, b"all"),
            Answer([b"\x00\xff garbage\r\n\r\n", Step.CLOSE]),
            Answer([b"HTTP/1.1 204 None\r\n\r\n"], 204, b""),
        ]
    ),
)
ASKS = st.builds(
    Ask,
    model=st.sampled_from(["net", "llm"]),
    qos=st.just("plain"),
    deadline_s=st.sampled_from([0.02, 30.0]),
    repeatable=st.booleans(),
)
#: What the caller does: reads all, reads so many pieces, never reads and never closes.
READS = st.one_of(st.just("all"), st.integers(0, 2), st.just("none"))


class Stage:
    """One world for many examples: what they share are its sockets."""

    def __init__(self, flavour: Any) -> None:
        self.stack = ExitStack()
        self.flavour = flavour
        self.origins = [self.stack.enter_context(Origin([])) for _ in range(2)]

    def play(self, ask: Ask, answers: list[list[Answer]], reads: list[Any]) -> None:
        for origin, said in zip(self.origins, answers, strict=True):
            origin.scripts = [list(answer.script) for answer in said] + [[Step.CLOSE]]
        world = World(*self.origins)
        with Caller(world, *self.flavour, ask, timeout=0.02) as caller:
            bodies = {(a.status, a.body) for said in answers for a in said if a.body is not None}
            endless = any(Step.ENDLESS in a.script for said in answers for a in said)
            for read in reads if not endless else [2 if r == "all" else r for r in reads]:
                response = self._one(caller, read)
                last = world.journal.decisions[-1]
                if response is not None and last.reason is None:
                    assert (response.status_code, response.content) in bodies
                    assert (last.end == "completed") == (200 <= response.status_code < 300)
                elif read == "all":
                    assert last.end != "completed"
        gc.collect()
        assert world.engine.in_flight == 0
        jobs = {d.job for d in world.journal.decisions if d.reason is None}  # tells of what was collected
        assert all(len(ends) == 1 for ends in world.ear.ends.values())
        assert sum(world.ended.values()) == len(jobs)

    def _one(self, caller: Caller, read: Any) -> Any:
        """The response, where the caller got all of it."""
        try:
            if read == "none":
                request = caller._client.build_request("POST", "/x", content=b"ask")
                caller.run(caller._client.send(request, stream=True))
                return None
            if read != "all":
                caller.read(read)
                return None
            return caller.send()
        except (caller.http.TransportError, StopIteration, StopAsyncIteration, RuntimeError):
            return None

    def leave(self, answers: list[list[Answer]], after: int) -> None:
        """The caller's task is cancelled after so many turns of its loop."""
        for origin, said in zip(self.origins, answers, strict=True):
            origin.scripts = [list(answer.script) for answer in said] + [[Step.CLOSE]]
        world = World(*self.origins)
        with Caller(world, *self.flavour, Ask("llm", "plain"), timeout=0.02) as caller:

            async def call() -> None:
                task = asyncio.create_task(caller._send("POST", "/x", content=b"ask"))
                for _ in range(after):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

            caller.run(call())
        gc.collect()
        assert world.engine.in_flight == 0
        sent = [d.number for d in world.journal.decisions if d.reason is None]
        assert [len(world.ear.ends[number]) for number in sent] == [1] * len(sent)


@pytest.fixture(scope="module", params=FLAVOURS, ids=lambda f: f"{f[0]}-{'async' if f[1] else 'sync'}")
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    stage = Stage(request.param)
    with stage.stack:
        yield stage


TWO = st.lists(st.lists(ANSWERS, min_size=1, max_size=2), min_size=2, max_size=2)


@settings(max_examples=30)
@given(ask=ASKS, answers=TWO, reads=st.lists(READS, min_size=1, max_size=3))
def test_every_ticket_is_settled_once_and_every_byte_is_as_it_was(
    stage: Stage, ask: Ask, answers: list[list[Answer]], reads: list[Any]
) -> None:
    stage.play(ask, answers, reads)


@pytest.mark.parametrize("stage", [flavour for flavour in FLAVOURS if flavour[1]], indirect=True)
@settings(max_examples=25)
@given(answers=TWO, after=st.integers(0, 40))
def test_a_caller_who_is_cancelled_anywhere_leaves_nothing_open(
    stage: Stage, answers: list[list[Answer]], after: int
) -> None:
    stage.leave(answers, after)
