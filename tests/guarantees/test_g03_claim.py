"""Guarantee 3: for a fixed candidate the claim never falls when the deadline grows, nor rises with the backlog."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tailwise as tw
from tests.states import BENT, MODEL, SEEDS

# what is true to the last bit is true of each version's own bits
pytestmark = pytest.mark.usefixtures("each_path")

PLAIN = tw.Model("m", features=(tw.Feature("size", typical=8.0), tw.Feature("n")))
STREAM = tw.Model("m", features=PLAIN.features, signals=("ttft", "tpot"))
LOADED = tw.Model(
    "m",
    features=PLAIN.features,
    signals=("ttft", "tpot"),
    columns=(
        tw.Column("busy", tracked="running", scale=4.0, square=True),
        tw.Column("line", tracked="waiting", scale=2.0, times="size"),
    ),
)
MODELS = {"plain": PLAIN, "columns": MODEL, "bent": BENT, "stream": STREAM, "loaded stream": LOADED}
CLASSES = tuple(
    tw.QoS(f"p{p}", 0.05 * 4**p, on_time=0.9, priority=p, contract="best_effort") for p in range(3)
)
STREAMED = tuple(
    tw.QoS(f"p{p}", 0.2 * 4**p, priority=p, ttft_s=0.05 * 4**p, tpot_s=0.02, contract="best_effort")
    for p in range(3)
)
LANE = 1  # that is looked at, as a mask


def lived(model: tw.Model, seed: int) -> tuple[tw.Engine, tw.ManualClock, np.random.Generator]:
    """Two resources after some hundred jobs of three classes, many still open. Those that waited for long mostly end
    badly, so that the table has a slope along that axis, too."""
    rng, clock = np.random.default_rng(seed), tw.ManualClock(1.0)
    e = tw.Engine(
        [
            tw.Resource("a", slots=int(rng.integers(1, 3)), discipline=str(rng.choice(["fifo", "priority"]))),
            tw.Resource("b"),
        ],
        [model],
        STREAMED if model in (STREAM, LOADED) else CLASSES,
        clock=clock,
        seed=seed,
        health=None,
    )
    held: list[tuple[float, tw.Ticket]] = []
    bias = rng.normal()
    for _ in range(int(rng.integers(0, 300))):
        clock.advance(float(rng.exponential(0.02)))
        held.append(
            (clock.now_ns() * 1e-9, select(e, int(rng.integers(3)), rng, mask=int(rng.integers(1, 4))))
        )
        while len(held) > 8:
            came_s, ticket = held.pop(int(rng.integers(len(held))))
            late = clock.now_ns() * 1e-9 - came_s > rng.random() * ticket.left_s
            end(ticket, rng, bias, late)
    return e, clock, rng


def request(e: tw.Engine, rng: np.random.Generator) -> dict[str, object]:
    given = {"Z": rng.exponential(2.0, (1, 2))} if e.models[0] in (MODEL, BENT) else {}
    return {"x": (float(8 * np.exp(rng.normal())), float(rng.exponential(20.0))), **given}


def select(e: tw.Engine, level: int, rng: np.random.Generator, mask: int) -> tw.Ticket:
    return e.route("m", f"p{level}").select(**request(e, rng), mask=mask)


def end(ticket: tw.Ticket, rng: np.random.Generator, bias: float, late: bool) -> None:
    kind = "drop" if late else rng.choice(["complete", "complete", "complete", "fail"])
    ticket.start()
    if kind != "complete":
        getattr(ticket, kind)()
    elif ticket.tpot_s is None:
        ticket.complete(float(0.02 * np.exp(rng.normal(bias, 0.5))))
    else:
        first = float(0.02 * np.exp(rng.normal(bias, 0.5)))
        ticket.first(first)
        ticket.complete(first + 10 * float(0.01 * np.exp(rng.normal())), tokens=11)


def claim(e: tw.Engine, level: int, request: dict[str, object], **deadline: float) -> float:
    seen = e.route("m", f"p{level}").peek(**request, mask=LANE, **deadline)
    (row,) = (*seen, *seen.excluded)
    return row.p_on_time


@pytest.mark.parametrize("name", MODELS)
@given(seed=SEEDS, deadlines=st.lists(st.floats(1e-4, 1e4), min_size=2, max_size=12))
@settings(max_examples=60)
def test_the_claim_never_falls_when_the_deadline_grows(name: str, seed: int, deadlines: list[float]) -> None:
    """To the last bit, for deadlines next to each other in float64, too."""
    e, _, rng = lived(MODELS[name], seed)
    asked = request(e, rng)
    deadlines = sorted([*deadlines, *(float(np.nextafter(d, np.inf)) for d in deadlines)])
    claims = [claim(e, 1, asked, deadline_s=d) for d in deadlines]
    assert claims == sorted(claims)


@pytest.mark.parametrize("name", MODELS)
@given(seed=SEEDS, level=st.integers(0, 2), added=st.lists(st.integers(0, 2), min_size=1, max_size=12))
@settings(max_examples=60)
def test_the_claim_never_rises_when_the_backlog_grows(
    name: str, seed: int, level: int, added: list[int]
) -> None:
    """One job after the other comes to the candidate, of any class; columns of load see it, too."""
    e, clock, rng = lived(MODELS[name], seed)
    clock.advance(float(rng.exponential(0.05)))
    asked = request(e, rng)
    for_this_job = [claim(e, level, asked)]
    held = []
    for other in added:
        held.append(select(e, other, rng, mask=LANE))
        for_this_job.append(claim(e, level, asked))
    assert for_this_job == sorted(for_this_job, reverse=True)


def slow_queues() -> tuple[tw.Engine, tw.ManualClock]:
    """Whoever came to a queue whose head had waited for .3 s was late, all others were not."""
    clock = tw.ManualClock(1.0)
    e = tw.Engine(
        [tw.Resource("a", discipline="priority"), tw.Resource("b", discipline="priority")],
        [tw.Model("m")],
        [tw.QoS("q", 0.5, on_time=0.9, contract="best_effort")],
        profiles=[tw.Profile("a", "m", 0.1, 0.3, 1e6), tw.Profile("b", "m", 0.1, 0.3, 1e6)],
        clock=clock,
        seed=1,
    )
    route = e.route("m", "q")
    for _ in range(200):
        queued = [route.select((), mask=2) for _ in range(3)]
        clock.advance(0.3)
        route.select((), mask=2).drop()
        for ticket in queued:
            ticket.complete(0.1)
    return e, clock


def test_a_job_that_leaves_the_queue_never_lowers_the_claim() -> None:
    """A young job stands at the head of a line, behind it an older one that moved there: how long the head has waited
    counts from when it came, in which order a line is."""
    e, clock = slow_queues()
    route = e.route("m", "q")
    old = route.select((), mask=1)
    clock.advance(0.4)
    young = route.select((), mask=2)
    assert old.reconsider(mask=2, bonus=0.0) or old.resource.name == "a"
    before = route.peek((), mask=2)[0].p_on_time
    young.cancel()
    assert route.peek((), mask=2)[0].p_on_time >= before


def test_a_newcomer_does_not_hide_who_has_waited_for_long() -> None:
    e, clock = slow_queues()
    route = e.route("m", "q")
    alone = route.peek((), mask=2)[0].p_on_time
    held = [route.select((), mask=2)]
    clock.advance(0.4)
    behind_one = route.peek((), mask=2)[0].p_on_time
    held.append(route.select((), mask=2))
    assert route.peek((), mask=2)[0].p_on_time <= behind_one < alone - 0.03
