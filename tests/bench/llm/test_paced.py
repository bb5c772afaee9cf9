"""The stand-in is one server by what it says: a batch of slots, what it has read, whose turn it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.llm.client import Answer, Request, ask, connect
from bench.llm.paced import Job, Slots
from bench.llm.server import Pace, paced, started


def job(prompt: str, n_answer: int = 3) -> Job:
    return Job({"messages": [{"role": "user", "content": prompt}], "max_tokens": n_answer})


def steps(slots: Slots, jobs: Sequence[Job]) -> list[tuple[float, list[int]]]:
    """Seconds of each step until all are over, and what each job has written then."""
    for one in jobs:
        slots.put(one)
    found = []
    while not all(one.over for one in jobs):
        slots.admit()
        seconds = slots.step()
        slots.finish()
        found.append((seconds, [one.n_written for one in jobs]))
    return found


def quick(n: int = 2, n_batch: int = 50) -> Slots:
    """100 prompt tokens a second; .1 s for a token of one answer, .2 s of two."""
    return Slots(n, n_batch, 100.0, lambda n: 0.1 * n)


def test_a_prompt_is_read_in_steps_and_its_last_gives_the_first_token() -> None:
    one = job("x" * 300)
    assert one.n_prompt == 81  # 76 with "user: ", five for the template
    found = steps(quick(), [one])
    assert [seconds for seconds, _ in found] == pytest.approx([0.5, 0.31, 0.1, 0.1])
    assert [written for _, (written,) in found] == [0, 1, 2, 3]


def test_an_answer_goes_on_while_another_prompt_is_read() -> None:
    """The first has one token when the second comes; its next takes the place of one of the batch's prompt tokens."""
    first, second = job("x"), job("y" * 300)
    slots = quick()
    slots.put(first)
    slots.admit()
    slots.step()
    slots.finish()
    assert first.n_written == 1
    found = steps(slots, [second])
    assert found[0] == (pytest.approx(0.49 + 0.1), [0])
    assert first.n_written == 3


def test_prompts_share_a_step_in_the_order_of_their_slots() -> None:
    """81 tokens each: 50 of the first, then 31 of it and 19 of the second, then 49 beside the first's answer, 13."""
    found = steps(quick(), [job("x" * 300), job("y" * 300)])
    assert [seconds for seconds, _ in found[:4]] == pytest.approx([0.5, 0.5, 0.49 + 0.1, 0.13 + 0.1])
    assert [written for _, written in found[:4]] == [[0, 0], [1, 0], [2, 0], [3, 1]]


def test_who_finds_all_slots_taken_waits_for_the_first_to_end() -> None:
    jobs = [job("x", 2), job("y", 9), job("z", 1)]
    found = [written for _, written in steps(quick(), jobs)]
    assert found[1] == [2, 2, 0]
    assert found[2] == [2, 3, 1]


def test_what_was_read_is_not_read_again() -> None:
    slots, first = quick(), job("x" * 300)
    steps(slots, [first])
    again = job("x" * 300 + "more")
    (seconds, _), *_ = steps(slots, [again])
    assert again.n_cached > 70
    assert seconds < 0.2
    other = job("y" * 300)
    steps(slots, [other])
    assert other.n_cached <= 2


def test_a_client_that_leaves_frees_its_slot() -> None:
    slots, first, second = quick(1), job("x", 5), job("y", 1)
    slots.put(first)
    slots.admit()
    slots.step()
    slots.drop(first)
    assert steps(slots, [second])[-1][1] == [1]


def test_it_streams_and_tells_its_usage(tmp_path: Path) -> None:
    server = paced(Pace("quick", 1e4, 1e-3, 1e-3), tmp_path)
    request = Request([{"role": "user", "content": "hello there"}], 4, True, {})

    async def run() -> tuple[str, Answer]:
        answer = Answer("chat", 0.0)
        async with connect(server.url) as client:
            return await ask(client, request, answer), answer

    with started([server]):
        text, answer = asyncio.run(run())
    assert answer.ok
    assert text == " word0 word1 word2 word3"
    assert (answer.n_tokens, answer.n_cached) == (4, 0)
