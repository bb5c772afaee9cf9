"""What the two servers can do, measured while both are at it, and what follows: load and bounds."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx2
import numpy as np

from bench.llm.client import Answer, Request, ask, connect
from bench.llm.text import Text
from bench.llm.traffic import CLASSES, TURN_TOKENS, Kind, Session, work

__all__ = ["Bounds", "Speed", "bounds", "calibrate", "capacity_per_s"]

_PROMPT_TOKENS, _ANSWER_TOKENS = 400, 32
#: How many streams at once; the last is what a full server does.
STREAMS = (1, 2, 4)
#: Times what the two servers take on average with nothing else to do: (first token or whole answer, token). Set once,
#: before any router was played; Sarathi-Serve (OSDI 2024) calls 5 times strict and 25 times relaxed.
SCALES = {"chat": (3.0, 3.0), "assistant": (3.0, 5.0), "batch": (10.0, math.inf)}


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens a second of one server: of a prompt, and of answers by how many streams there are."""

    prompt: float
    answers: Mapping[int, float]

    @property
    def full(self) -> float:
        return self.answers[max(self.answers)]

    def seconds(self, n_prompt: float, n_answer: float) -> float:
        """What a full server spends on so many tokens."""
        return n_prompt / self.prompt + n_answer / self.full


@dataclass(frozen=True, slots=True)
class Bounds:
    """inf = not bounded. end_s: of the whole answer."""

    ttft_s: float = math.inf
    tpot_s: float = math.inf
    end_s: float = math.inf

    def kept(self, answer: Answer) -> tuple[bool, bool]:
        """(first token, or end where that is bounded; pace)."""
        return (
            answer.ok and answer.first_s <= self.ttft_s and answer.end_s <= self.end_s,
            answer.ok and answer.tpot_s <= self.tpot_s,
        )


def calibrate(urls: Sequence[str], seed: int) -> list[Speed]:
    """A quarter of a minute; the servers work at the same time, as they do when they serve."""

    async def both() -> list[Speed]:
        return list(await asyncio.gather(*(_speed(url, seed + i) for i, url in enumerate(urls))))

    return asyncio.run(both())


def capacity_per_s(speeds: Sequence[Speed], tape: Sequence[Session]) -> float:
    """Sessions like those of the tape that the servers can serve a second, each at its own pace."""
    n_prompt, n_answer = work(tape)
    return sum(len(tape) / speed.seconds(n_prompt, n_answer) for speed in speeds)


def bounds(speeds: Sequence[Speed], kinds: Mapping[str, Kind] = CLASSES) -> dict[str, Bounds]:
    """SCALES times what a typical first turn takes, the servers' mean."""

    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    token_s = mean([1.0 / s.answers[1] for s in speeds])
    made = {}
    for name, kind in kinds.items():
        (first, pace), prompt_s = (
            SCALES[name],
            mean([(mean(kind.first) + TURN_TOKENS) / s.prompt for s in speeds]),
        )
        whole_s = prompt_s + mean(kind.answer) * token_s
        made[name] = (
            Bounds(_rounded(first * prompt_s), _rounded(pace * token_s))
            if kind.streams
            else Bounds(end_s=_rounded(first * whole_s))
        )
    return made


def _rounded(seconds: float) -> float:
    """To a millisecond: that is what a header says."""
    return round(seconds, 3)


async def _speed(url: str, seed: int) -> Speed:
    rng, text = np.random.default_rng(seed), Text()
    async with connect(url) as client:
        await _streams(client, text, rng, 1, 20, 8)  # wakes it up
        began_s = time.monotonic()
        prompts = [(await _streams(client, text, rng, 1, _PROMPT_TOKENS, 1))[0] for _ in range(2)]
        prompt = sum(answer.n_prompt or 0 for answer in prompts) / (time.monotonic() - began_s)
        answers = {}
        for n in STREAMS:
            paces = [a.tpot_s for a in await _streams(client, text, rng, n, 20, _ANSWER_TOKENS)]
            answers[n] = n / (sum(paces) / n)
    return Speed(prompt, answers)


async def _streams(
    client: httpx2.AsyncClient, text: Text, rng: np.random.Generator, n: int, n_prompt: int, n_answer: int
) -> list[Answer]:
    answers = [Answer("calibration", 0.0) for _ in range(n)]
    prompts = [[{"role": "user", "content": text.passage(rng, n_prompt)}] for _ in range(n)]
    await asyncio.gather(
        *(
            ask(client, Request(prompt, n_answer, True, {}), answer)
            for prompt, answer in zip(prompts, answers, strict=True)
        )
    )
    for answer in answers:
        if not answer.ok:
            raise RuntimeError(f"a server failed while it was measured: {answer.status} {answer.error}")
    return answers
