"""An engine beside the record of its open tickets, and the invariants that hold whatever happens to it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

import tailwise as tw
from tests.sound import check_sound

MODELS = (
    tw.Model("plain", (tw.Feature("size", typical=8.0, knee=True),)),
    tw.Model(
        "columns",
        ("n",),
        (
            tw.Column("own", scale=4.0, times="n"),
            tw.Column("busy", scale=2.0, tracked="in_flight", square=True),
            tw.Column("kv", scale=0.5, reported=True),
        ),
        resources=("fifo", "wide", "ranked"),
        tau_s=30.0,
    ),
    tw.Model(
        "stream",
        (tw.Feature("prompt_tokens", typical=512.0),),
        (tw.Column("ahead", scale=512.0, tracked="prefill_tokens", plus="uncached"),),
        signals=("ttft", "tpot"),
    ),
)
CLASSES = (
    tw.QoS("urgent", 0.05, on_time=0.99, priority=0),
    tw.QoS("lazy", 5.0, on_time=0.5, priority=2, contract="best_effort", policy="thompson"),
    tw.QoS("sure", 1.0, on_time=0.9, priority=1, contract="guaranteed"),
    tw.QoS("cheap", 2.0, on_time=0.8, priority=3, objective="cost", max_cost=50.0),
    tw.QoS("chat", ttft_s=0.4, tpot_s=0.03, on_time=0.9, priority=1),
)
PAIRS = (
    *((model, qos) for model in ("plain", "columns") for qos in ("urgent", "lazy", "sure", "cheap")),
    ("stream", "chat"),
    ("stream", "lazy"),
)
RESOURCES = (
    tw.Resource("fifo", cost_per_s=1.0),
    tw.Resource("wide", slots=3, offset_s=0.001, kind="gpu"),
    tw.Resource("ranked", slots=2, discipline="priority", cost_per_s=0.2),
    tw.Resource("soft", max_running=4, kv_tokens=2000.0),
)
MAX_TICKETS = 12


class Machine(RuleBasedStateMachine):
    """`open`: tickets that occupy a place. `inert`: what bypass mode gave out. `there`: resources by name."""

    @initialize(seed=st.integers(0, 2**64 - 1), tau_s=st.sampled_from([1.0, 300.0, math.inf]))
    def build(self, seed: int, tau_s: float) -> None:
        self.clock = tw.ManualClock(100.0)
        self.engine = tw.Engine(
            RESOURCES, MODELS, CLASSES, clock=self.clock, seed=seed, tau_s=tau_s, max_tickets=MAX_TICKETS
        )
        self.routes = [self.engine.route(*pair) for pair in PAIRS]
        self.there = {resource.name: resource for resource in RESOURCES}
        self.shut: set[str] = set()
        self.riders: list[tw.Ticket] = []  # of the open ones: served in the run of another
        self.open: list[tw.Ticket] = []
        self.inert: list[tw.Ticket] = []
        self.settled: list[tw.Ticket] = []

    # --- invariants ---------------------------------------------------------------------------------------

    @invariant()
    def tickets_are_where_the_record_says(self) -> None:
        if not hasattr(self, "engine"):
            return
        assert self.engine.in_flight == len(self.open)
        for name, resource in self.there.items():
            mine = [t for t in self.open if t.resource is resource and t not in self.riders]
            running, queued = self.engine.load(name)
            assert running >= 0
            assert queued >= 0
            assert running + queued == len(mine)
            if resource.discipline == "fifo" and resource.max_running is None:
                # more may run than slots say, where start() said so
                assert running >= min(resource.slots, len(mine))

    @invariant()
    def beliefs_are_finite_and_positive_definite(self) -> None:
        if not hasattr(self, "engine"):
            return
        core = self.engine._core
        for m, model in enumerate(MODELS):
            for lane in self.engine.candidates(model.name):
                for signal in range(len(model.signals)):
                    check_sound(core.posterior(m, lane, signal))
                served = core.served(m, lane)
                assert np.isfinite(served["mean"]).all()
                assert 1.0 <= served["inv_availability"] < math.inf

    @invariant()
    def certificates_count_open_promises(self) -> None:
        if not hasattr(self, "engine"):
            return
        certificates = [self.engine.certificate(q.name) for q in CLASSES]
        assert sum(c.open for c in certificates) == len(self.engine._core.promised())
        for certificate in certificates:
            assert 0 <= certificate.open <= certificate.most_open
            assert certificate.observed is None or 0.0 <= certificate.observed <= 1.0
            if certificate.observed is not None:
                assert abs(certificate.observed - certificate.target) <= certificate.bound

    @invariant()
    def nothing_is_counted_below_zero(self) -> None:
        if hasattr(self, "engine"):
            assert all(value >= 0 for value in self.engine.counters.values())

    # --- what rules share ---------------------------------------------------------------------------------

    def checked(self, ticket: tw.Ticket, mask: int | None) -> tw.Ticket:
        """A new ticket's numbers make sense; files it."""
        if self.engine.mode() == "bypass" or ticket.reason == "no_resource":
            return self.file(ticket)  # nothing was forecast
        assert 0.0 <= ticket.p_on_time <= 1.0
        assert ticket.propensity is None or 0.0 < ticket.propensity <= 1.0
        assert ticket.bound_s >= 0.0  # endless and 0 included: what the certificate needs
        for seconds in (ticket.expected_s, ticket.wait_s, ticket.service_s):
            assert math.isfinite(seconds)
            assert seconds >= 0.0
        if ticket.admitted and mask is not None:
            assert mask >> self.engine.lane(ticket.resource.name) & 1
        if ticket.admitted and ticket.preferred is None:
            assert ticket.resource.name not in self.shut
        return self.file(ticket)

    def file(self, ticket: tw.Ticket) -> tw.Ticket:
        inert = self.engine.mode() == "bypass"
        (self.settled if not ticket.admitted else self.inert if inert else self.open).append(ticket)
        return ticket

    def pick(self, i: int) -> tw.Ticket:
        """An open ticket, to be looked at."""
        return self.open[i % len(self.open)]

    def take(self, i: int) -> tw.Ticket:
        """An open ticket, to be settled."""
        ticket = self.open.pop(i % len(self.open))
        self.settled.append(ticket)
        return ticket

    def usable(self, route: tw.Route, mask: int | None) -> int | None:
        """The mask if it leaves a candidate."""
        allowed = sum(1 << lane for lane in self.engine.candidates(route.model.name))
        return mask if mask is None or mask & allowed else None

    def given(self, route: tw.Route, z: float) -> np.ndarray | None:
        if not route.model.given:
            return None
        Z = route.buffer()
        Z[0, -1] = z
        return Z

    def refused(self, call: Callable[[], object], error: type[Exception]) -> None:
        """It raises this and not one byte changed."""
        before = self.engine._core.snapshot()
        try:
            call()
        except error:
            assert self.engine._core.snapshot() == before
            return
        raise AssertionError(f"{error.__name__} was expected")

    def again(self, name: str) -> tw.Resource:
        """A new declaration of a resource of the same name."""
        return dataclasses.replace(next(r for r in RESOURCES if r.name == name))
