"""Objective "shared": what a job takes from those who are there, against forecasts made one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref
from tailwise.explanation import Candidate

LLM = tw.Model(
    "llm",
    features=(tw.Feature("prompt_tokens", typical=512),),
    signals=("ttft", "tpot"),
    columns=(
        tw.Column("ahead", 512, tracked="prefill_tokens", plus="uncached", square=True),
        tw.Column("busy", 4, tracked="running", square=True, times="prompt_tokens"),
        tw.Column("kv", 20_000, tracked="kv_tokens"),
    ),
)
CHAT = tw.QoS("chat", ttft_s=0.5, tpot_s=0.05, contract="best_effort", objective="shared", explore=False)
PLAIN = tw.QoS("plain", ttft_s=0.5, tpot_s=0.05, contract="best_effort", explore=False)
BY_END = tw.QoS(
    "by_end", deadline_s=60.0, ttft_s=0.5, contract="best_effort", objective="shared", explore=False
)


def taught(n: int, seed: int, classes: tuple[tw.QoS, ...] = (CHAT, PLAIN, BY_END)) -> tw.Engine:
    """n resources that have served random jobs, some at once; then frozen: what follows teaches nothing."""
    rng, clock = np.random.default_rng(seed), tw.ManualClock()
    resources = [tw.Resource(f"r{i}", max_running=64) for i in range(n)]
    e = tw.Engine(resources, [LLM], classes, clock=clock, seed=seed, detect_change=False)
    route, Z = e.route("llm", classes[0].name), None
    for _ in range(6 * n):
        tickets = []
        for _ in range(int(rng.integers(1, 8))):
            Z = route.buffer()
            Z[0] = rng.integers(0, 2000, n)
            tickets.append(route.select((float(rng.integers(10, 2000)),), Z, mask=1 << int(rng.integers(n))))
        for ticket in tickets:
            clock.advance(float(rng.exponential(0.05)) + 1e-3)
            ticket.first()
        for ticket in tickets:
            clock.advance(float(rng.exponential(0.5)) + 1e-3)
            ticket.complete(tokens=int(rng.integers(2, 200)))
    e.mode("frozen")
    return e


def start(route: tw.Route, lane: int, prompt: float, uncached: float, tokens: float) -> tw.Ticket:
    """A job past its first token, with `tokens` of its answer."""
    Z = route.buffer()
    Z[0] = uncached
    ticket = route.select((prompt,), Z, mask=1 << lane)
    ticket.first(0.02 + 1e-4 * uncached)
    ticket.progress(round(tokens))
    return ticket


def only(route: tw.Route, lane: int, prompt: float, uncached: float) -> Candidate:
    Z = route.buffer()
    Z[0] = uncached
    (candidate,) = route.peek((prompt,), Z, mask=1 << lane).candidates
    return candidate


@given(
    seed=st.integers(0, 30),
    n_there=st.integers(0, 12),
    prompt=st.integers(10, 3000),
    uncached=st.integers(0, 3000),
    name=st.sampled_from(["chat", "by_end"]),
)
def test_harm_is_what_forecasts_with_one_job_more_and_without_own_tokens_say(
    seed: int, n_there: int, prompt: int, uncached: int, name: str
) -> None:
    """score - rank_s, within what float32 leaves of a difference (2e-6 of the times it is taken between, and a whole
    token where half of an answer is not one)."""
    e = taught(2, seed)
    route = e.route("llm", name)
    there = [start(route, 0, 100.0 + 40 * i, 50.0, 10) for i in range(n_there)]
    seen, alone = only(route, 0, prompt, uncached), only(route, 0, prompt, 0)
    there.append(start(route, 0, prompt, 0, 0.5 * seen.tokens))
    fuller = only(route, 0, prompt, uncached)
    first_s, first_alone_s = math.exp(seen.ln_service), math.exp(alone.ln_service)
    token_s, token_fuller_s = math.exp(seen.ln_tpot), math.exp(fuller.ln_tpot)
    expected = ref.harm(n_there, first_s, first_alone_s, token_s, token_fuller_s, seen.tokens)
    allowed = (
        n_there * (2e-6 * first_s + 0.5 * seen.tokens * (2e-6 + 3e-5) * token_fuller_s) + 1e-6 * seen.rank_s
    )
    assert seen.score - seen.rank_s == pytest.approx(expected, abs=allowed, rel=1e-4)
    assert seen.score >= seen.rank_s
    assert sum(e.load("r0")) == len(there)


def test_a_job_goes_where_its_reading_delays_nobody_though_its_own_first_token_comes_later() -> None:
    """Two alike; all of the prompt is to be read on either. One has fewer tokens ahead but eight jobs writing, the
    other a prompt ahead and nobody else: "completion" takes the former, "shared" the latter."""
    chosen = {}
    for qos in (PLAIN, CHAT):
        resources = [tw.Resource(f"r{i}", max_running=64) for i in range(2)]
        e = tw.Engine(resources, [LLM], [qos], clock=tw.ManualClock(), seed=1)
        teach_alike(e, e.route("llm", qos.name))
        e.mode("frozen")
        route = e.route("llm", qos.name)
        there = [start(route, 0, 100.0, 10.0, 2) for _ in range(8)]
        Z = route.buffer()
        Z[0] = 300.0
        there.append(route.select((300.0,), Z, mask=0b10))
        ticket = route.select((600.0,), np.array([[600.0, 600.0]]))
        chosen[qos.name] = e.lane(ticket.resource.name)
        assert e.in_flight == len(there) + 1
    assert chosen == {"plain": 0, "chat": 1}


def teach_alike(e: tw.Engine, route: tw.Route) -> None:
    """A token is read in 0.1 ms, those ahead first; one is written in 10 ms and 0.3 ms more a job that is there."""
    rng = np.random.default_rng(0)
    for lane in (0, 1) * 150:
        there = [start(route, lane, 100.0, 10.0, 1) for _ in range(int(rng.integers(0, 12)))]
        uncached = float(rng.integers(10, 1500))
        Z = route.buffer()
        Z[0] = uncached
        ticket = route.select((uncached,), Z, mask=1 << lane)
        first_s = 0.02 + 1e-4 * uncached
        ticket.first(first_s)
        ticket.complete(first_s + 99 * (0.01 + 3e-4 * len(there)), tokens=100)
        for other in there:
            other.cancel()


def test_where_nobody_is_shared_is_completion() -> None:
    e = taught(4, 3)
    chat, plain = e.route("llm", "chat"), e.route("llm", "plain")
    Z = np.array([[900.0, 20.0, 400.0, 0.0]])
    for a, b in zip(chat.peek((900.0,), Z), plain.peek((900.0,), Z), strict=True):
        assert a.resource == b.resource
        assert a.score == a.rank_s == b.score


def test_one_signal_has_nobody_to_share_with() -> None:
    qos = tw.QoS("chat", deadline_s=1.0, objective="shared")
    e = tw.Engine([tw.Resource("a")], [tw.Model("m")], [qos])
    with pytest.raises(tw.ConfigError, match="objective='shared'"):
        e.route("m", "chat")
