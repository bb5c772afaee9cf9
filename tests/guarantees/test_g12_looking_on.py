"""Guarantee 12: `peek` changes nothing; `observe` changes exactly what a select of that resource would have; in
shadow, bypass and frozen mode what is promised stays untouched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw

K = 4
NAMES = [f"r{i}" for i in range(K)]
MODEL = tw.Model(
    "m",
    (tw.Feature("size", typical=8.0),),
    (tw.Column("own", 1.0), tw.Column("open", 4.0, tracked="in_flight")),
)
QOS = [
    tw.QoS("easy", 2.0, contract="best_effort", priority=1),
    tw.QoS("strict", 0.4, priority=0),
]
STEP = st.tuples(
    st.sampled_from(
        ["select", "select", "complete", "complete", "fail", "cancel", "advance", "drain", "undrain"]
    ),
    st.integers(0, K - 1),
    st.integers(1, 9),
)


class Life:
    """One engine with a history; the same steps and seed make the same one, byte by byte."""

    def __init__(self, steps: list[tuple[str, int, int]], seed: int) -> None:
        self.clock = tw.ManualClock()
        self.engine = tw.Engine(
            [tw.Resource(name, slots=1 + i % 2) for i, name in enumerate(NAMES)],
            [MODEL],
            QOS,
            clock=self.clock,
            seed=seed,
            tau_s=30.0,
        )
        self.routes = [self.engine.route("m", q.name) for q in QOS]
        self.open: list[tw.Ticket] = []
        for step in steps:
            self.do(*step)

    def do(self, action: str, k: int, size: int) -> None:
        if action == "select":
            ticket = self.routes[k % 2].select((float(size),), self.given(size))
            if ticket.admitted:
                self.open.append(ticket)
        elif action == "advance":
            self.clock.advance(0.07 * size)
        elif action in ("drain", "undrain"):
            getattr(self.engine, action)(NAMES[k])
        elif self.open:
            ticket = self.open.pop(k % len(self.open))
            ticket.complete(0.05 * size) if action == "complete" else getattr(ticket, action)()

    def given(self, size: int) -> np.ndarray:
        Z = self.routes[0].buffer()
        Z[0] = [size * i for i in range(K)]
        return Z

    @property
    def bytes(self) -> bytes:
        return self.engine._core.snapshot()


LIVES = {"steps": st.lists(STEP, max_size=40), "seed": st.integers(0, 2**32 - 1), "size": st.integers(1, 9)}


@given(**LIVES)
def test_peek_changes_nothing(steps: list[tuple[str, int, int]], seed: int, size: int) -> None:
    life = Life(steps, seed)
    before = life.bytes
    for route in life.routes:
        route.peek((float(size),), life.given(size))
    assert life.bytes == before


@given(lane=st.integers(0, K - 1), mask=st.integers(1, (1 << K) - 1), **LIVES)
def test_observe_changes_exactly_what_a_select_of_that_resource_would_have(
    steps: list[tuple[str, int, int]], seed: int, size: int, lane: int, mask: int
) -> None:
    """Two equal lives: one observes, the other selects with only that resource in its mask. The engines are frozen
    for the call, so that the select promises as little as the observed job does; then they end their jobs alike."""
    looks, picks = Life(steps, seed), Life(steps, seed)
    for life in (looks, picks):
        life.engine.undrain(NAMES[lane])
        life.engine.mode("frozen")
    assert looks.bytes == picks.bytes
    seen = looks.routes[0].observe(NAMES[lane], (float(size),), looks.given(size), mask=mask)
    done = picks.routes[0].select((float(size),), picks.given(size), mask=1 << lane)
    assert seen.resource.name == done.resource.name == NAMES[lane]
    assert looks.bytes == picks.bytes
    for number in ("p_on_time", "expected_s", "bound_s"):
        assert getattr(seen, number) == getattr(done, number)
    for life, ticket in ((looks, seen), (picks, done)):
        life.engine.mode("active")
        life.clock.advance(0.3)
        ticket.complete()
    assert looks.bytes == picks.bytes


def test_observe_redraws_no_line_but_that_of_the_resource_it_counts_on() -> None:
    """The job on r0 is as old as half of them get: its line has run out (a quarter of what was left), so that a
    select draws it again before r0 is chosen. What we would have chosen does so too, and leaves no trace. At twice
    its mean every decision looks at the job, and both lives would draw the line."""
    lives = [trained() for _ in range(2)]
    for life in lives:
        for lane in (2, 3):
            life.engine.drain(NAMES[lane])
        life.open.append(life.routes[0].select((8.0,), mask=1))
        life.clock.advance(life.open[-1].median_s)
        life.engine.mode("frozen")
    looks, picks = lives
    seen = looks.routes[0].observe("r1", (8.0,))
    done = picks.routes[0].select((8.0,), mask=2)
    assert seen.preferred.name == "r0"  # whose line was therefore drawn again
    assert looks.bytes == picks.bytes
    assert done.admitted


@given(mask=st.integers(1, (1 << K) - 1), **LIVES)
def test_what_observe_prefers_is_what_select_would_have_chosen(
    steps: list[tuple[str, int, int]], seed: int, size: int, mask: int
) -> None:
    """Where the choice is not drawn, the preferred resource is the selected one, and its regret is 0; of any other it
    is the difference of ranks that peek shows, to float32 (2^-23 each, times ten)."""
    looks, picks = Life(steps, seed), Life(steps, seed)
    x, Z = (float(size),), looks.given(size)
    ranks = {row.resource.name: row.rank_s for row in looks.routes[0].peek(x, Z)}
    chosen = picks.routes[0].select(x, picks.given(size), mask=mask)
    for name in ranks:
        seen = looks.routes[0].observe(name, x, Z, mask=mask)
        if chosen.resource is None:
            assert seen.preferred is None
            assert seen.regret_s is None
        elif chosen.propensity == 1.0:
            assert seen.preferred.name == chosen.resource.name
            if name == seen.preferred.name:
                assert seen.regret_s == 0.0
        seen.cancel()


def trained() -> Life:
    """Two fast resources and two slow ones, known as such."""
    life = Life([], 3)
    for k in range(12):
        for lane in range(K):
            life.routes[0].select((8.0,), mask=1 << lane).complete(0.1 * (1 + lane) * (1 + 0.1 * (k % 2)))
    return life


def test_the_regret_is_the_difference_of_ranks() -> None:
    life = trained()
    ranks = {row.resource.name: row.rank_s for row in life.routes[0].peek((8.0,))}
    for name, rank_s in ranks.items():
        seen = life.routes[0].observe(name, (8.0,))
        assert seen.preferred.name == "r0"
        assert seen.regret_s == pytest.approx(rank_s - ranks["r0"], rel=1e-5, abs=1e-7)
        seen.cancel()


def test_a_drained_or_masked_resource_can_be_observed_and_has_a_regret_all_the_same() -> None:
    life = trained()
    life.engine.drain("r0")
    seen = life.routes[0].observe("r0", (8.0,), mask=0b1100)
    assert seen.admitted
    assert seen.preferred.name == "r2"
    assert seen.regret_s < 0.0  # the mask and the drain forbade the better one
    assert life.engine.load("r0") == (1, 0)
    seen.complete(0.1)
    assert life.engine.load("r0") == (0, 0)


def test_a_job_that_we_would_have_refused_is_observed_nevertheless() -> None:
    clock = tw.ManualClock()
    e = tw.Engine([tw.Resource("a")], [tw.Model("m")], [tw.QoS("q", 0.01)], clock=clock, seed=1)
    route = e.route("m", "q")
    for _ in range(12):
        route.observe("a", ()).complete(1.0)
    assert route.select(()).reason == "late"
    seen = route.observe("a", ())
    assert seen.admitted
    assert seen.p_on_time < 0.3
    seen.fail()
    assert e.in_flight == 0


REFUSED = {
    "an unknown resource": (tw.UnknownName, lambda r: r.observe("nope", (8.0,))),
    "no name": (tw.UnknownName, lambda r: r.observe(3, (8.0,))),
    "bad features": (tw.InputError, lambda r: r.observe("r0", (-8.0,))),
    "bad columns": (tw.InputError, lambda r: r.observe("r0", (8.0,), np.zeros((1, 9)))),
    "an empty mask": (tw.InputError, lambda r: r.observe("r0", (8.0,), mask=0)),
    "a deadline below 0": (tw.InputError, lambda r: r.observe("r0", (8.0,), deadline_s=-1.0)),
}


@pytest.mark.parametrize(("error", "call"), REFUSED.values(), ids=REFUSED)
def test_a_refused_observation_changes_nothing(error: type[Exception], call: object) -> None:
    life = trained()
    before = life.bytes
    with pytest.raises(error):
        call(life.routes[0])
    assert life.bytes == before


def test_a_resource_that_cannot_run_the_model_is_refused() -> None:
    e = tw.Engine(
        [tw.Resource("a"), tw.Resource("b")],
        [tw.Model("m", resources=("a",))],
        QOS,
        clock=tw.ManualClock(),
        seed=1,
    )
    before = e._core.snapshot()
    for call in (
        lambda: e.route("m", "easy").observe("b", ()),
        lambda: e.route("m", "easy").select((), default="b"),
    ):
        with pytest.raises(tw.InputError, match="'b'"):
            call()
    assert e._core.snapshot() == before


def promises(e: tw.Engine) -> list[int]:
    """Which open tickets carry a promise."""
    return e._core.promised()


@pytest.mark.parametrize("mode", ["shadow", "bypass", "frozen"])
@given(**LIVES)
def test_nothing_is_promised_in_shadow_bypass_and_frozen_mode(
    mode: str, steps: list[tuple[str, int, int]], seed: int, size: int
) -> None:
    """Tickets that were promised stay promised, and no other joins them."""
    life = Life(steps, seed)
    before = promises(life.engine)
    assert len(before) == len(life.open)
    life.engine.mode(mode)  # type: ignore[arg-type]
    tickets = [route.select((float(size),), default=NAMES[size % K]) for route in life.routes]
    assert promises(life.engine) == before
    for ticket in tickets:
        if ticket.admitted:
            ticket.complete(0.1)
    life.engine.mode("active")
    if (ticket := life.routes[0].select((float(size),))).admitted:
        assert len(promises(life.engine)) == len(before) + 1
