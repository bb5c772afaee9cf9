"""Everything that can happen to an engine, in any order."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

import tailwise as tw
from tests.guarantees.machine import MAX_TICKETS, PAIRS
from tests.guarantees.operated import NAMES, Operated, seconds

sizes = st.one_of(st.floats(1e-3, 1e9), st.floats(1.0, 64.0))
columns = st.one_of(st.just(math.nan), st.floats(0.0, 1e6), st.just(5e-324))
routes = st.integers(0, len(PAIRS) - 1)
masks = st.one_of(st.none(), st.integers(1, 15))
own = st.one_of(st.none(), seconds)
which = st.integers(0, 99)
has_open = precondition(lambda self: self.open)


class Life(Operated):
    """The rules; `Operated` has those of who runs the engine, `Machine` the record and the invariants."""

    # --- decisions ----------------------------------------------------------------------------------------

    @rule(r=routes, size=sizes, z=columns, mask=masks, deadline_s=own, tpot_s=own)
    def select(
        self, r: int, size: float, z: float, mask: int | None, deadline_s: float | None, tpot_s: float | None
    ) -> None:
        route = self.routes[r]
        if route.model.streams:
            deadline_s = None
        if route.qos.tpot_s == math.inf:
            if tpot_s is not None:
                self.refused(lambda: route.select((size,), tpot_s=tpot_s), tw.InputError)
            tpot_s = None
        mask = self.usable(route, mask)
        Z = self.given(route, z)
        if len(self.open) == MAX_TICKETS and self.engine.mode() != "bypass":
            self.refused(lambda: route.select((size,), Z, mask=mask), tw.CapacityError)
        else:
            ticket = route.select((size,), Z, mask=mask, deadline_s=deadline_s, tpot_s=tpot_s)
            self.checked(ticket, mask)

    @rule(r=routes, size=sizes, z=columns, name=st.sampled_from(NAMES))
    def observe(self, r: int, size: float, z: float, name: str) -> None:
        route = self.routes[r]
        possible = name in self.there and self.engine.lane(name) in self.engine.candidates(route.model.name)
        if not possible or len(self.open) == MAX_TICKETS:
            self.refused(lambda: route.observe(name, (size,), self.given(route, z)), tw.TailwiseError)
            return
        ticket = route.observe(name, (size,), self.given(route, z))
        assert ticket.resource.name == name
        self.open.append(ticket)

    @rule(r=routes, size=sizes, z=columns)
    def peek(self, r: int, size: float, z: float) -> None:
        before = self.engine._core.snapshot()
        for candidate in self.routes[r].peek((size,), self.given(self.routes[r], z)):
            assert 0.0 <= candidate.p_on_time <= 1.0
        assert self.engine._core.snapshot() == before

    @has_open
    @rule(i=which, mask=st.one_of(st.none(), st.integers(0, 15)), bonus=st.floats(0.0, 0.99))
    def reconsider(self, i: int, mask: int | None, bonus: float) -> None:
        ticket = self.pick(i)
        left = ticket.resource
        promised = ticket.p_on_time, ticket.bound_s, ticket.propensity
        try:
            moved = ticket.reconsider(mask=mask, bonus=bonus)
        except tw.TicketError:
            return  # it runs
        assert moved == (ticket.resource is not left)
        assert not moved or mask is None or mask >> self.engine.lane(ticket.resource.name) & 1
        assert (ticket.p_on_time, ticket.bound_s, ticket.propensity) == promised
        assert math.isfinite(ticket.expected_s)

    @has_open
    @rule(i=which, mask=st.one_of(st.none(), st.integers(0, 15)))
    def hedge(self, i: int, mask: int | None) -> None:
        ticket = self.pick(i)
        try:
            second = ticket.copy(mask=mask)
        except tw.TicketError:
            return  # it waits
        if second is not None:
            assert second.admitted
            assert second.resource is not ticket.resource
            self.open.append(second)

    @has_open
    @rule(i=which, left_s=st.floats(-1.0, 1e6))
    def may_start(self, i: int, left_s: float) -> None:
        assert self.pick(i).may_start(left_s) in (True, False)
        assert self.pick(i).residual_s >= 0.0

    @has_open
    @rule(i=which)
    def explain(self, i: int) -> None:
        before = self.engine._core.snapshot()
        explanation = self.pick(i).explain()
        assert "<table" in explanation._repr_html_()
        assert str(explanation)
        assert self.engine._core.snapshot() == before

    # --- what becomes of them -----------------------------------------------------------------------------

    @has_open
    @rule(i=which)
    def start(self, i: int) -> None:
        self.pick(i).start()

    @has_open
    @rule(i=which, n=st.integers(0, 4), size=sizes)
    def start_batch(self, i: int, n: int, size: float) -> None:
        lead = self.pick(i)
        others = [t for t in self.open if t is not lead and t.model is lead.model][:n]
        try:
            lead.start_batch(others, (size,))
        except tw.TailwiseError as error:  # not all of them wait there, or it has two signals
            self.refused(lambda: lead.start_batch(others, (size,)), type(error))
        else:
            self.riders += others

    @has_open
    @rule(i=which, size=sizes, p=st.floats(0.01, 0.99))
    def forecast_a_run(self, i: int, size: float, p: float) -> None:
        ticket = self.pick(i)
        if ticket.model.streams:
            self.refused(lambda: ticket.service_within_s((size,), p), tw.InputError)
        else:
            assert 0.0 < ticket.service_within_s((size,), p) < math.inf

    @has_open
    @rule(i=which, ttft_s=st.one_of(st.none(), seconds))
    def first(self, i: int, ttft_s: float | None) -> None:
        ticket = self.pick(i)
        try:
            ticket.first(ttft_s)
        except tw.InputError:
            self.refused(lambda: ticket.first(ttft_s), tw.InputError)  # one signal, or said before

    @has_open
    @rule(i=which, tokens=st.integers(0, 5000))
    def progress(self, i: int, tokens: int) -> None:
        ticket = self.pick(i)
        try:
            ticket.progress(tokens)
        except tw.InputError:
            self.refused(lambda: ticket.progress(tokens), tw.InputError)

    @has_open
    @rule(i=which, service_s=st.one_of(st.none(), seconds, st.just(0.0)))
    def complete(self, i: int, service_s: float | None) -> None:
        ticket = self.pick(i)
        try:
            ticket.complete(service_s)
        except tw.InputError:
            assert (
                service_s is not None
            )  # an end before the first token; the engine's own clock is no bad input
            self.refused(lambda: ticket.complete(service_s), tw.InputError)
        else:
            self.take(i)

    @has_open
    @rule(i=which, tokens=st.integers(0, 5000))
    def complete_a_stream(self, i: int, tokens: int) -> None:
        ticket = self.pick(i)
        try:
            ticket.complete(tokens=tokens)
        except tw.InputError:
            self.refused(lambda: ticket.complete(tokens=tokens), tw.InputError)
        else:
            self.take(i)

    @has_open
    @rule(i=which, retry_after_s=st.one_of(st.none(), st.floats(0.0, 100.0)))
    def fail(self, i: int, retry_after_s: float | None) -> None:
        self.take(i).fail(retry_after_s=retry_after_s)

    @has_open
    @rule(i=which, mask=masks, retry_after_s=st.one_of(st.none(), st.floats(0.0, 100.0)))
    def retry(self, i: int, mask: int | None, retry_after_s: float | None) -> None:
        failed = self.take(i)
        ticket = failed.retry(mask=mask, retry_after_s=retry_after_s)
        assert ticket.attempt == failed.attempt + 1
        if ticket.admitted:
            assert ticket.resource is not failed.resource
        self.file(ticket)

    @has_open
    @rule(i=which)
    def time_out(self, i: int) -> None:
        self.take(i).timeout()

    @has_open
    @rule(i=which)
    def cancel(self, i: int) -> None:
        self.take(i).cancel()

    @has_open
    @rule(i=which)
    def drop_late(self, i: int) -> None:
        self.take(i).drop()

    @has_open
    @rule(i=which)
    def drop(self, i: int) -> None:
        abandoned = self.engine.counters["n_abandoned"]
        ticket = self.open.pop(i % len(self.open))
        self.riders = [t for t in self.riders if t is not ticket]
        del ticket
        assert self.engine.counters["n_abandoned"] == abandoned + 1

    @precondition(lambda self: self.inert)
    @rule(how=st.sampled_from(["complete", "fail", "cancel"]))
    def settle_what_holds_nothing(self, how: str) -> None:
        before = self.engine._core.snapshot()
        getattr(self.inert.pop(), how)()
        assert self.engine._core.snapshot() == before

    @precondition(lambda self: self.settled)
    @rule(
        i=which, how=st.sampled_from(["complete", "fail", "cancel", "timeout", "start", "reconsider", "copy"])
    )
    def settle_again(self, i: int, how: str) -> None:
        self.refused(getattr(self.settled[i % len(self.settled)], how), tw.TicketError)

    # --- the world ----------------------------------------------------------------------------------------

    @rule(by_s=st.floats(0.0, 10.0))
    def time_passes(self, by_s: float) -> None:
        self.clock.advance(by_s)

    @rule(to_s=st.sampled_from([0.0, 99.0, 3700.0, 1e6]))
    def clock_jumps(self, to_s: float) -> None:
        self.clock.set(to_s)

    @rule(
        name=st.sampled_from(NAMES),
        kv=columns,
        at=st.one_of(st.none(), st.floats(0.0, 1e6)),
        empty=st.booleans(),
    )
    def report(self, name: str, kv: float, at: float | None, empty: bool) -> None:
        if name in self.there:
            self.engine.report(name, at=at, **({} if empty else {"kv": kv}))

    # --- bad input ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.engine.mode() != "bypass")
    @rule(
        r=routes,
        x=st.sampled_from([(), (1.0, 2.0), (math.nan,), (-1.0,), (math.inf,), ("1",), None, (10**400,)]),
    )
    def bad_features(self, r: int, x: object) -> None:
        self.refused(lambda: self.routes[r].select(x), tw.InputError)  # type: ignore[arg-type]

    @rule(r=routes, mask=st.sampled_from([-1, 1 << 64, np.ones(3, bool), "all"]))
    def bad_mask(self, r: int, mask: object) -> None:
        self.refused(lambda: self.routes[r].select((1.0,), mask=mask), tw.InputError)  # type: ignore[arg-type]

    @has_open
    @rule(i=which, s=st.sampled_from([-1.0, math.nan, math.inf, "1", 10**400]))
    def bad_service(self, i: int, s: object) -> None:
        self.refused(lambda: self.pick(i).complete(s), tw.InputError)  # type: ignore[arg-type]

    @rule(
        values=st.sampled_from(
            [{"kv": -1.0}, {"kv": math.inf}, {"kv": "1"}, {"own": 1.0}, {"at": math.nan, "kv": 1.0}]
        )
    )
    def bad_report(self, values: dict[str, float]) -> None:
        self.refused(lambda: self.engine.report(next(iter(self.there)), **values), tw.TailwiseError)

    @rule(name=st.sampled_from(["nobody", ""]))
    def unknown_resource(self, name: str) -> None:
        for call in (self.engine.drain, self.engine.remove, self.engine.changed, self.engine.reset):
            self.refused(lambda call=call: call(name), tw.UnknownName)  # type: ignore[misc]
