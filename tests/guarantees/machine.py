"""Everything that can happen to an engine, in any order, with its invariants checked after every step."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import tailwise as tw

MODELS = (
    tw.Model("plain", (tw.Feature("size", typical=8.0, knee=True),)),
    tw.Model(
        "columns",
        ("n",),
        (
            tw.Column("own", scale=4.0),
            tw.Column("busy", scale=2.0, tracked="in_flight"),
            tw.Column("kv", scale=0.5, reported=True),
        ),
        resources=("fifo", "wide", "ranked"),
    ),
)
CLASSES = (
    tw.QoS("urgent", 0.05, on_time=0.99, priority=0),
    tw.QoS("lazy", 5.0, on_time=0.5, priority=2, contract="best_effort"),
)
RESOURCES = (
    tw.Resource("fifo"),
    tw.Resource("wide", slots=3, offset_s=0.001),
    tw.Resource("ranked", slots=2, discipline="priority"),
    tw.Resource("far", offset_s=0.5),
)
MAX_TICKETS = 12

seconds = st.one_of(st.floats(1e-9, 1e6), st.floats(0.001, 0.1))
sizes = st.one_of(st.floats(1e-3, 1e9), st.floats(1.0, 64.0))
columns = st.one_of(st.just(math.nan), st.floats(0.0, 1e6), st.just(5e-324))


class EngineMachine(RuleBasedStateMachine):
    """The record of what was done is `open`: tickets by lane; everything else is asked of the engine."""

    @initialize(seed=st.integers(0, 2**64 - 1), tau_s=st.sampled_from([1.0, 300.0, math.inf]))
    def build(self, seed: int, tau_s: float) -> None:
        self.clock = tw.ManualClock(100.0)
        self.engine = tw.Engine(
            RESOURCES, MODELS, CLASSES, clock=self.clock, seed=seed, tau_s=tau_s, max_tickets=MAX_TICKETS
        )
        self.routes = [self.engine.route(m.name, q.name) for m in MODELS for q in CLASSES]
        self.open: list[tw.Ticket] = []
        self.settled: list[tw.Ticket] = []

    # --- decisions ----------------------------------------------------------------------------------------

    @rule(r=st.integers(0, 3), size=sizes, z=columns, mask=st.one_of(st.none(), st.integers(1, 15)))
    def select(self, r: int, size: float, z: float, mask: int | None) -> None:
        route = self.routes[r]
        mask = self._usable(route, mask)
        if len(self.open) == MAX_TICKETS:
            self._refused(lambda: route.select((size,), mask=mask), tw.CapacityError)
            return
        ticket = route.select((size,), self._given(route, z), mask=mask)
        assert 0.0 <= ticket.p_on_time <= 1.0
        assert 0.0 < ticket.propensity <= 1.0
        assert math.isfinite(ticket.expected_s)
        assert ticket.wait_s >= 0.0
        assert ticket.service_s > 0.0
        assert ticket.bound_s >= 0.0
        assert ticket.hedge_at_s > 0.0
        if mask is not None:
            assert mask >> self.engine.lane(ticket.resource.name) & 1
        (self.open if ticket.admitted else self.settled).append(ticket)

    @rule(r=st.integers(0, 3), size=sizes, z=columns)
    def peek(self, r: int, size: float, z: float) -> None:
        before = self.engine._core.snapshot()
        for candidate in self.routes[r].peek((size,), self._given(self.routes[r], z)):
            assert math.isfinite(candidate.rank_s)
            assert 0.0 <= candidate.p_on_time <= 1.0
        assert self.engine._core.snapshot() == before

    # --- what becomes of them -----------------------------------------------------------------------------

    @precondition(lambda self: self.open)
    @rule(i=st.integers(0, 99))
    def start(self, i: int) -> None:
        self.open[i % len(self.open)].start()

    @precondition(lambda self: self.open)
    @rule(i=st.integers(0, 99), service_s=st.one_of(st.none(), seconds, st.just(0.0)))
    def complete(self, i: int, service_s: float | None) -> None:
        self._settle(i).complete(service_s)

    @precondition(lambda self: self.open)
    @rule(i=st.integers(0, 99))
    def fail(self, i: int) -> None:
        self._settle(i).fail()

    @precondition(lambda self: self.open)
    @rule(i=st.integers(0, 99))
    def cancel(self, i: int) -> None:
        self._settle(i).cancel()

    @precondition(lambda self: self.open)
    @rule(i=st.integers(0, 99))
    def drop(self, i: int) -> None:
        abandoned = self.engine.counters["n_abandoned"]
        del self.open[i % len(self.open)]
        assert self.engine.counters["n_abandoned"] == abandoned + 1

    @precondition(lambda self: self.open)
    @rule(i=st.integers(0, 99), mask=st.one_of(st.none(), st.integers(0, 15)), bonus=st.floats(0.0, 0.99))
    def reconsider(self, i: int, mask: int | None, bonus: float) -> None:
        ticket = self.open[i % len(self.open)]
        left = ticket.resource
        promised = ticket.p_on_time, ticket.bound_s, ticket.propensity
        try:
            moved = ticket.reconsider(mask=mask, bonus=bonus)
        except tw.TicketError:  # it runs
            return
        assert moved == (ticket.resource is not left)
        assert not moved or mask is None or mask >> self.engine.lane(ticket.resource.name) & 1
        assert (ticket.p_on_time, ticket.bound_s, ticket.propensity) == promised
        assert math.isfinite(ticket.expected_s)

    @precondition(lambda self: self.open)
    @rule(i=st.integers(0, 99), mask=st.one_of(st.none(), st.integers(0, 15)))
    def copy(self, i: int, mask: int | None) -> None:
        ticket = self.open[i % len(self.open)]
        try:
            second = ticket.copy(mask=mask)
        except tw.TicketError:  # it waits
            return
        if second is not None:
            assert second.admitted
            assert second.resource is not ticket.resource
            self.open.append(second)

    @precondition(lambda self: self.open)
    @rule(i=st.integers(0, 99), left_s=st.floats(-1.0, 1e6))
    def may_start(self, i: int, left_s: float) -> None:
        ticket = self.open[i % len(self.open)]
        assert ticket.may_start(left_s) in (True, False)
        assert ticket.residual_s >= 0.0

    @precondition(lambda self: self.settled)
    @rule(
        i=st.integers(0, 99),
        how=st.sampled_from(["complete", "fail", "cancel", "start", "reconsider", "copy"]),
    )
    def settle_again(self, i: int, how: str) -> None:
        self._refused(getattr(self.settled[i % len(self.settled)], how), tw.TicketError)

    # --- the world ----------------------------------------------------------------------------------------

    @rule(by_s=st.floats(0.0, 10.0))
    def time_passes(self, by_s: float) -> None:
        self.clock.advance(by_s)

    @rule(to_s=st.sampled_from([0.0, 99.0, 3700.0, 1e6]))
    def clock_jumps(self, to_s: float) -> None:
        self.clock.set(to_s)

    @rule(
        lane=st.integers(0, 3), kv=columns, at=st.one_of(st.none(), st.floats(0.0, 1e6)), empty=st.booleans()
    )
    def report(self, lane: int, kv: float, at: float | None, empty: bool) -> None:
        self.engine.report(RESOURCES[lane].name, at=at, **({} if empty else {"kv": kv}))

    # --- bad input ----------------------------------------------------------------------------------------

    @rule(
        r=st.integers(0, 3),
        x=st.sampled_from([(), (1.0, 2.0), (math.nan,), (-1.0,), (math.inf,), ("1",), None, (10**400,)]),
    )
    def bad_features(self, r: int, x: object) -> None:
        self._refused(lambda: self.routes[r].select(x), tw.InputError)  # type: ignore[arg-type]

    @rule(r=st.integers(0, 3), mask=st.sampled_from([0, -1, 1 << 64, np.ones(3, bool), "all"]))
    def bad_mask(self, r: int, mask: object) -> None:
        refused = (
            tw.CapacityError
            if len(self.open) == MAX_TICKETS and type(mask) is int and mask == 0
            else tw.InputError
        )
        self._refused(lambda: self.routes[r].select((1.0,), mask=mask), refused)  # type: ignore[arg-type]

    @precondition(lambda self: self.open)
    @rule(i=st.integers(0, 99), s=st.sampled_from([-1.0, math.nan, math.inf, "1", 10**400]))
    def bad_service(self, i: int, s: object) -> None:
        self._refused(lambda: self.open[i % len(self.open)].complete(s), tw.InputError)  # type: ignore[arg-type]

    @rule(
        values=st.sampled_from(
            [{"kv": -1.0}, {"kv": math.inf}, {"kv": "1"}, {"own": 1.0}, {"at": math.nan, "kv": 1.0}]
        )
    )
    def bad_report(self, values: dict[str, float]) -> None:
        self._refused(lambda: self.engine.report("fifo", **values), tw.TailwiseError)

    # --- invariants ---------------------------------------------------------------------------------------

    @invariant()
    def tickets_are_where_the_record_says(self) -> None:
        if not hasattr(self, "engine"):
            return
        assert self.engine.in_flight == len(self.open)
        for resource in RESOURCES:
            mine = [t for t in self.open if t.resource is resource]
            running, queued = self.engine.load(resource.name)
            assert running >= 0
            assert queued >= 0
            assert running + queued == len(mine)
            if resource.discipline == "fifo":  # more may run than slots say, where start() said so
                assert running >= min(resource.slots, len(mine))

    @invariant()
    def beliefs_are_finite_and_positive_definite(self) -> None:
        if not hasattr(self, "engine"):
            return
        core = self.engine._core
        for m, model in enumerate(MODELS):
            for lane in self.engine.candidates(model.name):
                belief = core.posterior(m, lane)
                assert np.isfinite(belief["mean"]).all()
                assert np.isfinite(belief["factor"]).all()
                # L^-1 = F'F with F triangular: positive definite as long as no diagonal entry vanishes
                diagonal = [belief["factor"][i * (i + 1) // 2 + i] for i in range(model.d)]
                assert min(diagonal) > 0.0
                assert 0.0 < belief["scale2"] < math.inf
                assert belief["n"] >= 0.0
                served = core.served(m, lane)
                assert np.isfinite(served["mean"]).all()
                assert 1.0 <= served["inv_availability"] < math.inf

    # --- inside -------------------------------------------------------------------------------------------

    def _usable(self, route: tw.Route, mask: int | None) -> int | None:
        """The mask if it leaves a candidate."""
        allowed = sum(1 << lane for lane in self.engine.candidates(route.model.name))
        return mask if mask is None or mask & allowed else None

    def _given(self, route: tw.Route, z: float) -> np.ndarray | None:
        if not any(c.tracked is None and not c.reported for c in route.model.columns):
            return None
        Z = route.buffer()
        Z[0, 1] = z
        return Z

    def _settle(self, i: int) -> tw.Ticket:
        ticket = self.open.pop(i % len(self.open))
        self.settled.append(ticket)
        return ticket

    def _refused(self, call: object, error: type[Exception]) -> None:
        before = self.engine._core.snapshot()
        try:
            call()  # type: ignore[operator]
        except error:
            assert self.engine._core.snapshot() == before
            return
        raise AssertionError(f"{error.__name__} was expected")
