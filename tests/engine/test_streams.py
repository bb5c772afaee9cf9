"""Answers that come token by token: what each word teaches, what order is refused, what the columns count."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import tailwise as tw

LLM = tw.Model(
    "llm",
    features=(tw.Feature("prompt_tokens", typical=512),),
    columns=(
        tw.Column("ahead", 512, tracked="prefill_tokens", plus="uncached"),
        tw.Column("kv", 20_000, tracked="kv_tokens"),
    ),
    signals=("ttft", "tpot"),
)
CHAT = tw.QoS("chat", ttft_s=0.5, tpot_s=0.05, contract="best_effort")
CALM = tw.QoS("calm", ttft_s=5.0, tpot_s=0.2, contract="best_effort")
END = tw.QoS("end", deadline_s=60.0, contract="best_effort")


def engine(k: int = 2, slots: int = 4) -> tuple[tw.Engine, tw.ManualClock]:
    clock = tw.ManualClock()
    resources = [tw.Resource(f"r{i}", slots=slots) for i in range(k)]
    e = tw.Engine(
        resources, [LLM, tw.Model("plain", ("n",))], [CHAT, CALM, END], clock=clock, seed=1, health=None
    )
    return e, clock


def n_seen(e: tw.Engine, lane: int = 0) -> tuple[float, float, float, float]:
    """Results behind ttft, tpot, length and availability."""
    raw = e._core.posterior(0, lane, 1)
    n_first = e._core.posterior(0, lane, 0)["n"]
    return n_first, raw["n"], e.length("llm").n, raw["succeeded"]


def test_each_signal_is_learned_when_it_is_known() -> None:
    e, clock = engine(k=1)
    ticket = e.route("llm", "chat").select((512,))
    clock.advance(0.25)
    ticket.first()
    assert n_seen(e) == (1.0, 0.0, 0.0, 0.0)
    clock.advance(2.0)
    ticket.complete(tokens=101)
    assert n_seen(e) == (1.0, 1.0, 1.0, 1.0)
    sums, y0 = e._core.sums(0, 0, 0)
    assert (math.exp(y0), sums[-1]) == (pytest.approx(0.25), 0.0)
    _, y0 = e._core.sums(0, 0, 1)
    assert math.exp(y0) == pytest.approx(2.0 / 100)


def test_times_measured_elsewhere_stand_above_the_clock() -> None:
    e, _ = engine(k=1)
    ticket = e.route("llm", "chat").select((512,))
    ticket.first(0.5)
    ticket.complete(1.5, tokens=11)
    assert math.exp(e._core.sums(0, 0, 0)[1]) == pytest.approx(0.5)
    assert math.exp(e._core.sums(0, 0, 1)[1]) == pytest.approx(0.1)


TEACHES: dict[str, tuple[Callable[[tw.Ticket], None], tuple[float, float, float, float]]] = {
    "no first token said: the length alone": (lambda t: t.complete(tokens=50), (0, 0, 1, 1)),
    "nothing said: that it succeeded": (lambda t: t.complete(), (0, 0, 0, 1)),
    "an empty answer has no length": (lambda t: t.complete(tokens=0), (0, 0, 0, 1)),
    "one token has no pace": (lambda t: (t.first(), t.complete(tokens=1)), (1, 0, 1, 1)),
    "a count on the way is not the end's": (lambda t: (t.first(), t.progress(9), t.complete()), (1, 0, 0, 1)),
    "a failed answer: its first token": (lambda t: (t.first(), t.progress(9), t.fail()), (1, 0, 0, 0)),
    "a cancelled answer: its first token": (lambda t: (t.first(), t.cancel()), (1, 0, 0, 0)),
}


@pytest.mark.parametrize(("say", "seen"), TEACHES.values(), ids=TEACHES)
def test_a_stream_teaches_only_what_it_showed(
    say: Callable[[tw.Ticket], None], seen: tuple[float, ...]
) -> None:
    e, clock = engine(k=1)
    ticket = e.route("llm", "chat").select((512,))
    clock.advance(0.3)
    say(ticket)
    assert n_seen(e) == seen
    assert e.in_flight == 0 or not ticket.settled


REFUSED: dict[str, tuple[Callable[[tw.Ticket], None], Callable[[tw.Ticket], None]]] = {
    "progress before first": (lambda t: None, lambda t: t.progress(3)),
    "first twice": (lambda t: t.first(), lambda t: t.first()),
    "fewer than before": (lambda t: (t.first(), t.progress(9)), lambda t: t.progress(8)),
    "none after the first": (lambda t: t.first(), lambda t: t.progress(0)),
    "an end with fewer than before": (lambda t: (t.first(), t.progress(9)), lambda t: t.complete(tokens=8)),
    "an end before the first token": (lambda t: t.first(0.2), lambda t: t.complete(0.1, tokens=9)),
    "half a token": (lambda t: t.first(), lambda t: t.progress(1.5)),  # type: ignore[arg-type]
    "minus one token": (lambda t: t.first(), lambda t: t.complete(tokens=-1)),
    "True tokens": (lambda t: t.first(), lambda t: t.complete(tokens=True)),
    "tokens as text": (lambda t: t.first(), lambda t: t.complete(tokens="9")),  # type: ignore[arg-type]
    "more tokens than can be counted": (lambda t: t.first(), lambda t: t.progress((1 << 40) + 1)),
    "a first token at NaN": (lambda t: None, lambda t: t.first(math.nan)),
    "a negative time": (lambda t: None, lambda t: t.first(-0.1)),
}


@pytest.mark.parametrize(("before", "say"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_changes_nothing(
    before: Callable[[tw.Ticket], None], say: Callable[[tw.Ticket], None]
) -> None:
    e, clock = engine()
    ticket = e.route("llm", "chat").select((512,))
    clock.advance(0.3)
    before(ticket)
    state = e._core.snapshot()
    with pytest.raises(tw.InputError):
        say(ticket)
    assert e._core.snapshot() == state
    assert not ticket.settled


SAID: dict[str, Callable[[tw.Ticket], None]] = {
    "first": lambda t: t.first(),
    "progress": lambda t: t.progress(3),
    "tokens": lambda t: t.complete(tokens=3),
}


@pytest.mark.parametrize("say", SAID.values(), ids=SAID)
def test_a_model_with_one_signal_has_no_tokens(say: Callable[[tw.Ticket], None]) -> None:
    e, _ = engine()
    ticket = e.route("plain", "end").select((1.0,))
    state = e._core.snapshot()
    with pytest.raises(tw.InputError, match="'plain' has one"):
        say(ticket)
    assert e._core.snapshot() == state
    assert (ticket.tpot_s, ticket.tokens) == (None, None)
    ticket.complete(0.1)


@pytest.mark.parametrize("say", SAID.values(), ids=SAID)
def test_nothing_is_said_of_a_settled_stream(say: Callable[[tw.Ticket], None]) -> None:
    e, _ = engine()
    ticket = e.route("llm", "chat").select((512,))
    ticket.fail()
    state = e._core.snapshot()
    with pytest.raises(tw.TicketError):
        say(ticket)
    assert e._core.snapshot() == state


def test_who_has_a_token_has_started() -> None:
    """A queued job whose first token comes is in service; its start was not before a slot was last freed."""
    e, clock = engine(k=1, slots=1)
    route = e.route("llm", "chat")
    ahead, queued = route.select((512,)), route.select((512,))
    assert e.load("r0") == (1, 1)
    clock.advance(1.0)
    queued.first()
    assert e.load("r0") == (2, 0)
    assert math.exp(e._core.sums(0, 0, 0)[1]) == pytest.approx(1.0)
    ahead.fail()
    queued.complete(tokens=5)
    assert e.load("r0") == (0, 0)


@pytest.mark.parametrize("ahead", [0, 1], ids=["thought to run", "thought to wait"])
@pytest.mark.parametrize("ttft_s", [0.3, 0.7, 1.0 / 3.0, 2.0])
def test_a_first_token_that_took_so_long_says_when_its_job_started(ahead: int, ttft_s: float) -> None:
    """Whatever the engine took it for. An end at the same moment lies after its first token (by the 1 ns that the
    clock resolves), and the next job's wait is drawn from the new start: 2%, what is between two draws of a line."""
    e, clock = engine(k=1, slots=1)
    route = e.route("llm", "end")
    for _ in range(20):
        ticket = route.select((512,))
        ticket.first(ttft_s)
        ticket.complete(ttft_s + 9.9, tokens=100)
    others = [route.select((512,)) for _ in range(ahead)]
    clock.advance(3.0)
    job = route.select((512,))
    job.first(ttft_s)
    for other in others:
        other.cancel()
    (row,) = route.peek((512,))
    clock.advance(1.0)
    (later,) = route.peek((512,))
    assert row.wait_s == pytest.approx(job.residual_s + 1.0, rel=0.02)
    assert later.wait_s == pytest.approx(row.wait_s - 1.0, rel=0.02)
    clock.set(3.0)
    job.complete(tokens=1)
    assert e.counters["n_untimed"] == 0


def test_the_next_job_waits_for_the_whole_answer() -> None:
    """One slot, taught 0.2 s to the first token and 100 tokens at .05 s: the next one waits for about 5.2 s less
    what has passed, though no more than the forecast's own error (n = 40, exact data: 5%)."""
    e, clock = engine(k=1, slots=1)
    route = e.route("llm", "end")
    for _ in range(40):
        ticket = route.select((512,))
        ticket.first(0.2)
        ticket.complete(0.2 + 99 * 0.05, tokens=100)
    held = route.select((512,))
    assert held.end_s == pytest.approx(5.15, rel=0.05)
    clock.advance(2.0)
    (row,) = route.peek((512,))
    assert row.wait_s == pytest.approx(3.15, rel=0.1)
    held.cancel()


BOTH = tw.Model("llm", (tw.Feature("prompt_tokens", typical=512),), signals=("ttft", "tpot"))
STRICT = tw.QoS("strict", ttft_s=1.0, tpot_s=0.01, contract="best_effort")
EASY = tw.QoS("easy", ttft_s=1.0, contract="best_effort")
PACED = tw.QoS("paced", ttft_s=1.0, tpot_s=0.2, contract="best_effort")
SURE = tw.QoS("sure", ttft_s=1.0, tpot_s=0.2, contract="guaranteed", explore=False)
NARROW = tw.QoS("narrow", ttft_s=1.0, tpot_s=0.021, contract="guaranteed", explore=False)


def two_replicas() -> tw.Engine:
    """r0 answers after .1 s, r1 after .15 s, both at 20 ms a token; spreads of .1 in ln."""
    e = tw.Engine(
        [tw.Resource(f"r{i}", slots=8) for i in range(2)],
        [BOTH],
        [STRICT, EASY, PACED, SURE, NARROW],
        clock=tw.ManualClock(),
        seed=3,
        health=None,
    )
    rng = np.random.default_rng(0)
    for k in range(80):
        ticket = e.route("llm", "strict").select((512,), mask=1 << k % 2)
        first_s = (0.1, 0.15)[k % 2] * math.exp(rng.normal(0, 0.1))
        ticket.first(first_s)
        ticket.complete(first_s + 99 * 0.02 * math.exp(rng.normal(0, 0.1)), tokens=100)
    return e


def test_where_bounds_filter_a_resource_is_spared_whose_jobs_were_promised_more() -> None:
    """r0 holds a job that was promised 10 ms a token. A job with a bound on its own pace that would do well on
    both goes where it breaks no promise, though its first token comes later there; without such a bound nothing
    filters, and it goes to the nearest, as all do once the promised job is gone."""
    e = two_replicas()
    held = e.route("llm", "strict").select((512,), mask=1)
    for name, resource in (("sure", "r1"), ("paced", "r1"), ("easy", "r0")):
        ticket = e.route("llm", name).select((512,))
        assert (ticket.resource.name, ticket.admitted) == (resource, True)
        ticket.cancel()
    held.cancel()
    for name in ("sure", "paced", "easy"):
        ticket = e.route("llm", name).select((512,))
        assert ticket.resource.name == "r0"
        ticket.cancel()


@pytest.mark.parametrize(("name", "admitted"), [("sure", True), ("narrow", False)])
def test_a_guaranteed_stream_is_admitted_only_when_all_its_bounds_hold_together(
    name: str, admitted: bool
) -> None:
    """20 ms a token against a bound of 21: the pace alone fails a third of the jobs, whatever the first token."""
    ticket = two_replicas().route("llm", name).select((512,))
    assert (ticket.admitted, ticket.p_on_time >= 0.95) == (admitted, admitted)
    assert ticket.reason == (None if admitted else "guarantee")
    if admitted:
        ticket.cancel()


@pytest.mark.parametrize(
    ("qos", "first_s", "end_s", "n"),
    [
        ("chat", 0.4, 2.0, 0),  # its reader has seen enough
        ("chat", 0.6, 2.0, 1),
        ("chat", None, 0.4, 0),
        ("chat", None, 2.0, 1),
        ("end", 0.4, 50.0, 0),
        ("end", 0.4, 70.0, 1),
    ],
)
def test_a_cancelled_answer_breaks_a_promise_only_by_what_was_due_by_then(
    qos: str, first_s: float | None, end_s: float, n: int
) -> None:
    e, clock = engine(k=1)
    ticket = e.route("llm", qos).select((512,))
    if first_s is not None:
        clock.set(first_s)
        ticket.first()
    clock.set(end_s)
    ticket.cancel()
    seen = e.certificate(qos)
    assert (seen.n, seen.on_time, seen.open) == (n, 0.0 if n else None, 0)
