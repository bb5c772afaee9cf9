"""Resources that batch continuously: nobody waits below the capacity, and above by how often a job ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref

LLM = tw.Model("llm", features=(tw.Feature("prompt_tokens", typical=100),), signals=("ttft", "tpot"))
QOS = tw.QoS("q", ttft_s=1.0, contract="best_effort")


def engine(max_running: int, kv_tokens: float | None = None) -> tuple[tw.Engine, tw.ManualClock]:
    clock = tw.ManualClock()
    resource = tw.Resource("r", max_running=max_running, kv_tokens=kv_tokens)
    return tw.Engine([resource], [LLM], [QOS], clock=clock, seed=1, health=None), clock


def taught(e: tw.Engine) -> None:
    """0.1 s to the first token and 99 more at .02 s: 2.1 s in all."""
    for _ in range(40):
        ticket = e.route("llm", "q").select((100,))
        ticket.first(0.1)
        ticket.complete(0.1 + 99 * 0.02, tokens=100)


class Record:
    """One resource as said, in plain lists: who runs since when, who waits, who holds how many tokens."""

    def __init__(self, most: int, limit: float) -> None:
        self.most, self.limit = most, limit
        self.running: list[dict[str, float]] = []
        self.queued: list[dict[str, float]] = []

    @property
    def held(self) -> float:
        return sum(job["tokens"] for job in self.running)

    def start(self, now_s: float) -> None:
        while self.queued and len(self.running) < self.most and (not self.limit or self.held < self.limit):
            self.running.append(self.queued.pop(0) | {"start": now_s})

    def wait(self, now_s: float) -> tuple[float, float]:
        jobs = [(job["m"], job["s"], now_s - job["start"]) for job in self.running]
        tokens = sum(job["tokens"] for job in self.queued)
        return ref.soft_wait(jobs, len(self.queued), self.most, self.held, tokens, self.limit)


@given(
    actions=st.lists(
        st.tuples(
            st.sampled_from(["select", "select", "produce", "end"]), st.integers(0, 99), st.floats(0, 1)
        ),
        max_size=50,
    ),
    most=st.integers(1, 6),
    limit=st.sampled_from([0.0, 150.0, 400.0]),
)
def test_the_wait_is_the_references(actions: list[tuple[str, int, float]], most: int, limit: float) -> None:
    """Jobs start in order while there is room. The mean residual may be as old as a quarter of itself, in which a
    job ages by as much: on a lane whose jobs are at most twice their forecast old it lies within a third."""
    e, clock = engine(most, limit or None)
    taught(e)
    route, record, now_s = e.route("llm", "q"), Record(most, limit), 0.0
    tickets: dict[int, tw.Ticket] = {}
    for k, (action, which, pause) in enumerate(actions):
        clock.advance(pause * 0.05)
        now_s += pause * 0.05
        jobs = record.running + record.queued
        if action == "select":
            prompt = 1.0 + which
            (row,) = route.peek((prompt,))
            assert row.busy_s is not None
            length = e.length("llm", (prompt,))
            m, s = ref.occupation(
                ref.busy(
                    ref.moments(row.ln_service, row.spread),
                    ref.moments(row.ln_tpot, row.tpot_spread),
                    ref.moments(length.location, length.spread),
                )
            )
            tickets[k] = route.select((prompt,))
            record.queued.append({"id": k, "m": m, "s": s, "tokens": prompt, "produced": 0.0})
        elif action == "produce" and record.running:
            job = record.running[which % len(record.running)]
            if not job["produced"]:
                tickets[int(job["id"])].first(0.1)
                job["produced"], job["tokens"] = 1.0, job["tokens"] + 1.0
            tickets[int(job["id"])].progress(int(job["produced"]) + which)
            job["produced"] += which
            job["tokens"] += which
        elif action == "end" and jobs:
            job = jobs[which % len(jobs)]
            (record.running if job in record.running else record.queued).remove(job)
            tickets[int(job["id"])].fail()
        record.start(now_s)
        assert e.load("r") == (len(record.running), len(record.queued))
        mean, _ = record.wait(now_s)
        (row,) = route.peek((50.0,))
        assert row.wait_s == pytest.approx(mean, rel=0.34)
        assert (row.wait_s == 0.0) == (mean == 0.0)
    for job in record.running + record.queued:
        tickets[int(job["id"])].cancel()
    assert e.in_flight == 0


def test_nobody_waits_below_the_capacity_and_everybody_above() -> None:
    """Eight at once, each 2.1 s: the ninth waits for one of eight to end, the tenth for two."""
    e, _ = engine(8)
    taught(e)
    route, waits = e.route("llm", "q"), []
    tickets = []
    for _ in range(11):
        tickets.append(route.select((100,)))
        waits.append(tickets[-1].wait_s)
    assert waits[:8] == [0.0] * 8
    assert waits[8:] == pytest.approx([2.1 / 8, 2 * 2.1 / 8, 3 * 2.1 / 8], rel=0.05)
    for ticket in tickets:
        ticket.cancel()


def test_a_full_cache_makes_jobs_wait_until_its_tokens_are_free() -> None:
    """100 jobs may run, but 500 tokens fit: with five prompts of 100 the cache is full, and a sixth waits for one of
    five to end; when the five have grown to 200 each, for the 500 that are too many, that is 2.5 of them, and one."""
    e, _ = engine(100, 500)
    taught(e)
    route = e.route("llm", "q")
    tickets = [route.select((100,)) for _ in range(5)]
    assert [t.wait_s for t in tickets] == [0.0] * 5
    assert route.peek((100,))[0].wait_s == pytest.approx(2.1 / 5, rel=0.05)
    for ticket in tickets:
        ticket.first(0.1)
        ticket.progress(100)
    assert route.peek((100,))[0].wait_s == pytest.approx(3.5 * 2.1 / 5, rel=0.05)
    sixth = route.select((100,))
    assert e.load("r") == (5, 1)
    for ticket in tickets[:3]:
        ticket.complete(2.1, tokens=100)
    assert e.load("r") == (3, 0)
    assert route.peek((100,))[0].wait_s == pytest.approx(2.1 / 3, rel=0.05)
    sixth.fail()
    assert route.peek((100,))[0].wait_s == 0.0
    for ticket in tickets[3:]:
        ticket.cancel()
