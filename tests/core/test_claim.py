"""The table of claims beside the plain one (reference/claim.py)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tailwise as tw
from tailwise._core import reference as ref
from tests.states import SEEDS

DEADLINE_S = 1.0
CELL = 1 / 65536  # positions are rounded down to it
VALUE = 2.0**-20  # and values to it

Report = tuple[float, tuple[float, float], float, float, bool]


def engine(clock: tw.ManualClock, seed: int = 1) -> tw.Engine:
    return tw.Engine(
        [tw.Resource("a", discipline="priority"), tw.Resource("b", slots=2, discipline="priority")],
        [tw.Model("m")],
        [tw.QoS("q", DEADLINE_S, 0.8, priority=1, contract="best_effort")],
        profiles=[tw.Profile("a", "m", 0.1, 0.3, 1e6), tw.Profile("b", "m", 0.2, 0.6, 1e6)],
        clock=clock,
        seed=seed,
        health=None,
    )


@dataclass
class Life:
    """Jobs that come to two queues and end somehow; what was decided and reported of them."""

    rng: np.random.Generator
    now_s: float = 5.0
    clock: tw.ManualClock = field(default_factory=lambda: tw.ManualClock(5.0))
    queued: list[tuple[float, tw.Ticket, float, tuple[float, float], float]] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = engine(self.clock)
        self.route = self.engine.route("m", "q")

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.clock.set(self.now_s)

    def arrive(self) -> None:
        """One job; where its forecast lies, and what is told of it."""
        left_s = float(self.rng.choice([DEADLINE_S, self.rng.exponential(0.5), 1e-9]))
        lane = int(self.rng.integers(2))
        (row,) = self.route.peek((), mask=1 << lane, deadline_s=left_s)
        ticket = self.route.select((), mask=1 << lane, deadline_s=left_s)
        ahead = [at for at, other, *_ in self.queued if other.resource is ticket.resource]
        h = (self.now_s - ahead[0]) / DEADLINE_S if ahead else 0.0
        u = ref.spreads_left(left_s, row.wait_s, row.service_s, row.spread)
        at, value = self.read(left_s, row.wait_s + row.service_s, row.spread, h)
        assert at == pytest.approx(ref.place(u, h), abs=2 * CELL)
        assert ticket.p_on_time == row.p_on_time == pytest.approx(row.availability * value, abs=1e-4)
        self.queued.append((self.now_s, ticket, left_s, at, row.availability))

    def read(
        self, left_s: float, mean_s: float, spread: float, h: float
    ) -> tuple[tuple[float, float], float]:
        u, across, value = self.engine._core.place_claim(0, left_s, mean_s, spread, h)
        return (u, across), value

    def leave(self) -> None:
        """One of the jobs is dropped or done."""
        came_s, ticket, left_s, at, availability = self.queued.pop(int(self.rng.integers(len(self.queued))))
        met = self.rng.random() < 0.5
        if met:
            service_s = float(self.rng.exponential(0.1))
            ticket.complete(service_s)
            met = max(self.now_s - came_s, service_s) <= left_s
        else:
            ticket.drop()
        self.reports.append((self.now_s, at, ticket.p_raw, availability, met))


@given(seed=SEEDS, n=st.integers(0, 250), step_s=st.sampled_from([0.0, 0.004, 0.05, 3.0, 40.0]))
@settings(max_examples=40)
def test_claims_are_the_references(seed: int, n: int, step_s: float) -> None:
    """Where each decision lies and what it is told; the counts after every report, and the values worked out of them.
    Positions are rounded down to 1/65536 of a cell and values to 2^-20, what the reference does not."""
    life = Life(np.random.default_rng(seed))
    for _ in range(n):
        life.wait(float(life.rng.exponential(step_s)) if step_s else 0.0)
        if life.queued and (len(life.queued) > 40 or life.rng.random() < 0.5):
            life.leave()
        else:
            life.arrive()
    got = life.engine._core.claims(0)
    for name, counts in zip(("settled", "raw", "on_time"), ref.claim_counts(life.reports, 5.0), strict=True):
        assert got[name] == pytest.approx(counts, abs=1e-9 * (1 + n))
    last = ref.last_rebuild(life.reports, 5.0)
    values = ref.claim_values(*ref.claim_counts(life.reports[:last], 5.0))
    assert got["value"] == pytest.approx(values, abs=1e-6)


@given(seed=SEEDS)
def test_whatever_happened_the_values_rise_along_u_and_fall_along_h(seed: int) -> None:
    rng = np.random.default_rng(seed)
    settled = rng.exponential(10.0, ref.SHAPE) * (rng.random(ref.SHAPE) < 0.5)
    on_time, raw = settled * rng.random(ref.SHAPE), settled * rng.random(ref.SHAPE)
    values = ref.claim_values(settled, raw, on_time)
    assert (np.diff(values, axis=0) >= -1e-12).all()
    assert (np.diff(values, axis=1) <= 1e-12).all()
    assert ((values >= 0.0) & (values <= 1.0)).all()


def test_a_job_that_waits_for_nothing_is_told_its_forecast_while_nobody_has_ended() -> None:
    """The t with 12 degrees of freedom at the t of the forecast, linear between cells; given profiles know better."""
    e = engine(tw.ManualClock(1.0))
    for left_s in (0.05, 0.1, 0.2, 0.5):
        for row in e.route("m", "q").peek((), deadline_s=left_s):
            assert row.p_on_time == pytest.approx(row.p_raw, abs=0.03)


def test_time_alone_leaves_what_is_worth_knowing() -> None:
    """1000 jobs late, then a night: 64 of them still say so, and five jobs on time do not outweigh them."""
    clock = tw.ManualClock(1.0)
    e = engine(clock)
    route = e.route("m", "q")
    for _ in range(1000):
        route.select((), mask=1).drop()
    clock.advance(36_000.0)
    for _ in range(5):
        route.select((), mask=1).complete(0.1)
        clock.advance(2.0)
    assert route.select((), mask=1).p_on_time < 0.2
