"""What columns count of the tokens of open jobs, wherever a job is sent, moved or copied."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw

AHEAD = tw.Column("ahead", 512, tracked="prefill_tokens", plus="uncached")
KV = tw.Column("kv", 20_000, tracked="kv_tokens")
CLASSES = (
    tw.QoS("chat", ttft_s=0.5, tpot_s=0.05, contract="best_effort"),
    tw.QoS("calm", ttft_s=5.0, tpot_s=0.2, contract="best_effort"),
    tw.QoS("end", deadline_s=60.0, contract="best_effort"),
)
TPOT_S = {"chat": 0.05, "calm": 0.2, "end": math.inf}


def engine(*columns: tw.Column) -> tw.Engine:
    """Two resources whose queue is the caller's: a job waits, and can move, until it is said to start."""
    model = tw.Model("llm", (tw.Feature("prompt_tokens", typical=512),), columns, signals=("ttft", "tpot"))
    resources = [tw.Resource(f"r{i}", slots=1, discipline="priority") for i in range(2)]
    return tw.Engine(resources, [model], CLASSES, clock=tw.ManualClock(), seed=1, health=None)


@dataclass
class Job:
    ticket: tw.Ticket
    prompt: float
    own: tuple[float, float]  # tokens to prefill, by lane
    tpot_s: float
    tokens: float = 0.0

    @property
    def lane(self) -> int:
        return int(self.ticket.resource.name[1])


def said(prompt: float, Z: np.ndarray | None) -> tuple[float, float]:
    """Own tokens by lane: whole ones, and where nothing is said the prompt."""
    own = [math.nan, math.nan] if Z is None else Z[0]
    a, b = (prompt if math.isnan(v) else float(np.rint(v)) for v in own)
    return a, b


def check_columns(e: tw.Engine, jobs: list[Job]) -> None:
    """Sums over open jobs; encoded in float32: 3e-7."""
    for lane, row in enumerate(sorted(e.route("llm", "end").peek((512,), np.zeros((1, 2))), key=by_name)):
        here = [job for job in jobs if job.lane == lane]
        prefill = sum(job.own[lane] for job in here if not job.tokens)
        kv = sum(job.prompt + job.tokens for job in here)
        want = np.log1p([prefill / 512, kv / 20_000])
        np.testing.assert_allclose(row.features[2:], want, rtol=3e-7, atol=1e-12)
        assert row.tpot_bound_s == pytest.approx(min((job.tpot_s for job in here), default=math.inf))


def by_name(candidate: tw.Candidate) -> str:
    return candidate.resource.name


CALLS = ("select", "start", "first", "progress", "move", "move", "copy", "end")
SAID = st.one_of(st.none(), st.tuples(*[st.sampled_from([math.nan, 0.0, 3.4, 700.0, 2500.0])] * 2))
ACTIONS = st.lists(
    st.tuples(st.sampled_from(CALLS), st.integers(0, 9), st.integers(1, 3000), SAID), max_size=40
)


@given(actions=ACTIONS)
def test_token_columns_are_the_sums_over_open_jobs(
    actions: list[tuple[str, int, int, tuple[float, float] | None]],
) -> None:
    """prefill_tokens: what jobs before their first token were last said to bring themselves where they are, else
    their prompt; kv_tokens: prompts and answers so far; the tightest promised pace of them all."""
    e, jobs = engine(AHEAD, KV), list[Job]()
    for action, k, prompt, own in [("select", 1, 500, None)] * 3 + actions:
        job = jobs[k % len(jobs)] if jobs else None
        Z = None if own is None else np.array([own])
        if action == "select":
            name = ("chat", "calm", "end")[k % 3]
            ticket = e.route("llm", name).select((float(prompt),), Z, mask=1 if k % 2 else None)
            jobs.append(Job(ticket, prompt, said(prompt, Z), TPOT_S[name]))
        elif job is None:
            continue
        elif action == "start":
            job.ticket.start()
        elif action == "first" and not job.tokens:
            job.ticket.first(0.1)
            job.tokens = 1.0
        elif action == "progress" and job.tokens:
            job.tokens += k
            job.ticket.progress(int(job.tokens))
        elif action == "move":
            try:
                moved = job.ticket.reconsider(Z, bonus=0.0)
            except tw.TicketError:  # it runs
                continue
            if moved or Z is not None:
                job.own = said(job.prompt, Z)
        elif action == "copy":
            e.clock.advance(60.0)
            try:
                second = job.ticket.copy(Z)
            except tw.TicketError:  # it waits
                continue
            if second is not None:
                jobs.append(Job(second, job.prompt, said(job.prompt, Z), job.tpot_s))
        elif action == "end":
            job.ticket.fail()
            jobs.remove(job)
        check_columns(e, jobs)
    for job in jobs:
        job.ticket.cancel()
    assert all(row.features[3] == 0.0 for row in e.route("llm", "end").peek((512,)))


@pytest.mark.parametrize("Z", [None, np.array([[math.nan, 100.0]])], ids=["unknown there", "cached there"])
def test_a_job_that_moves_brings_the_tokens_that_are_not_cached_where_it_comes(Z: np.ndarray | None) -> None:
    e = engine(AHEAD, KV)
    ahead = [e.route("llm", "chat").select((3000.0,), mask=1) for _ in range(9)]
    job = e.route("llm", "chat").select((3000.0,), np.array([[10.0, math.nan]]), mask=1)
    assert job.reconsider(Z)
    candidate = max(e.route("llm", "chat").peek((512,), np.zeros((1, 2))), key=by_name)
    brings = 3000.0 if Z is None else 100.0
    assert math.expm1(candidate.features[2]) * 512 == pytest.approx(brings, rel=1e-6)
    for ticket in (*ahead, job):
        ticket.cancel()


def test_own_tokens_are_read_from_the_column_that_adds_them() -> None:
    """The model's first column tracks the same and adds nothing."""
    e = engine(tw.Column("queue", 512, tracked="prefill_tokens"), AHEAD)
    job = e.route("llm", "chat").select((3000.0,), np.array([[10.0, 10.0]]), mask=1)
    (candidate,) = e.route("llm", "chat").peek((512,), np.zeros((1, 2)), mask=1)
    assert np.expm1(candidate.features[2:]) * 512 == pytest.approx([10.0, 10.0], rel=1e-6)
    job.cancel()


def test_no_number_of_tokens_is_so_large_that_the_others_are_lost_beside_it() -> None:
    """A job of 1e30 tokens comes and goes; the job of 100 beside it is counted as before, to the bit."""
    e = engine(AHEAD, KV)
    route = e.route("llm", "chat")
    small = route.select((100.0,), np.array([[100.0, 100.0]]), mask=1)

    def features() -> list[float]:
        (candidate,) = route.peek((512,), np.zeros((1, 2)), mask=1)
        return list(candidate.features)

    before = features()
    for _ in range(3):
        huge = route.select((1e30,), np.array([[1e30, 1e30]]), mask=1)
        huge.first(0.1)
        huge.progress(1 << 40)
        huge.cancel()
    assert features() == before
    small.cancel()
