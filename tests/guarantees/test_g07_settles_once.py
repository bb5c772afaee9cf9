"""Guarantee 7: every ticket settles exactly once; in-flight returns to zero; settle twice, unknown ticket, wrong
dimension, NaN, negative time: a named error and not one byte of state changed."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw

NAMES = [f"r{i}" for i in range(4)]
ENDS = ("complete", "fail", "cancel", "timeout")
MODES = ("active", "shadow", "frozen", "bypass")

#: What must be refused, whatever the state: name, error, call on (route, an open ticket, a settled one).
REFUSALS = (
    ("settle twice", tw.TicketError, lambda r, t, s: s.complete(0.1)),
    ("fail after the end", tw.TicketError, lambda r, t, s: s.fail()),
    ("cancel after the end", tw.TicketError, lambda r, t, s: s.cancel()),
    ("give up after the end", tw.TicketError, lambda r, t, s: s.timeout()),
    ("a ticket made by hand", tw.TicketError, lambda r, t, s: tw.Ticket()),
    ("wrong dimension", tw.InputError, lambda r, t, s: r.observe("r0", (1.0, 2.0))),
    ("a feature that is NaN", tw.InputError, lambda r, t, s: r.observe("r0", (math.nan,))),
    ("a negative time", tw.InputError, lambda r, t, s: t.complete(-0.1)),
    ("a time that is NaN", tw.InputError, lambda r, t, s: t.complete(math.nan)),
    ("batch after the end", tw.TicketError, lambda r, t, s: s.start_batch([], (4.0,))),
    ("a batch with its lead twice", tw.InputError, lambda r, t, s: s.start_batch([s], (4.0,))),
)

STEP = st.tuples(
    st.sampled_from(["select", "select", "observe", "end", "end", "copy", "move", "start", "drop", "advance"])
    | st.sampled_from(["mode", "drain", "undrain", "remove", "add", "refuse", "batch", "batch"]),
    st.integers(0, 11),
    st.integers(1, 9),
)


class Life:
    """One engine, its open tickets, and one that is settled."""

    def __init__(self) -> None:
        self.clock = tw.ManualClock()
        self.engine = tw.Engine(
            [
                tw.Resource(n, slots=1 + i % 2, discipline="priority" if i == 3 else "fifo")
                for i, n in enumerate(NAMES)
            ],
            [tw.Model("m", (tw.Feature("size", typical=4.0),))],
            [tw.QoS("q", 0.5, priority=2, policy="thompson"), tw.QoS("easy", 9.0, contract="best_effort")],
            clock=self.clock,
            seed=7,
            max_tickets=12,
            max_resources=5,
        )
        self.routes = [self.engine.route("m", q) for q in ("q", "easy")]
        self.settled = self.routes[1].select((4.0,))
        self.settled.cancel()
        self.open: list[tw.Ticket] = []

    @property
    def held(self) -> int:
        """Open tickets that hold a place: those of bypass mode hold none."""
        return sum(ticket.p_on_time is not None for ticket in self.open)

    def keep(self, ticket: tw.Ticket | None) -> None:
        if ticket is not None and ticket.admitted:
            assert not ticket.settled
            self.open.append(ticket)

    def do(self, action: str, k: int, size: int) -> None:
        route, there = self.routes[k % 2], [r.name for r in self.engine.resources]
        if action in ("select", "observe") and self.held < 12:
            name = NAMES[k % 4] if NAMES[k % 4] in there else None
            if action == "observe" and name is not None:
                self.keep(route.observe(name, (float(size),)))
            else:
                self.keep(route.select((float(size),), default=name if k < 6 else None))
        elif action == "batch" and self.open:
            lead = self.open[k % len(self.open)]
            with contextlib.suppress(tw.TicketError):  # one of them runs
                lead.start_batch(
                    [t for t in self.open if t.lane == lead.lane and t is not lead][:size], (4.0 * size,)
                )
        elif action in ("end", "copy", "move", "start", "drop") and self.open:
            self.act(action, self.open[k % len(self.open)], k, size)
        elif action == "advance":
            self.clock.advance(0.05 * size)
        elif action == "mode":
            self.engine.mode(MODES[k % 4], rollout=0.1 * size)
        elif action in ("drain", "undrain", "remove") and NAMES[k % 4] in there:
            getattr(self.engine, action)(NAMES[k % 4])
        elif action == "add" and NAMES[k % 4] not in there:
            try:
                self.engine.add(tw.Resource(NAMES[k % 4]))
            except tw.CapacityError:
                assert self.held > 0  # every lane waits for a ticket of its old resource
        elif action == "refuse":
            self.refuse()

    def act(self, action: str, ticket: tw.Ticket, k: int, size: int) -> None:
        if action == "start":
            ticket.start()
        elif action == "move":
            with contextlib.suppress(tw.TicketError):  # it runs
                ticket.reconsider()
        elif action == "copy":
            if self.held < 12:
                with contextlib.suppress(tw.TicketError):  # it waits
                    self.keep(ticket.copy())
        else:
            self.open.remove(ticket)
            if action == "end":
                ticket.complete(0.03 * size) if k % 4 == 0 else getattr(ticket, ENDS[k % 4])()
                assert ticket.settled
                self.settled = ticket

    def refuse(self) -> None:
        ticket = self.open[0] if self.open else None
        for name, error, call in REFUSALS:
            if ticket is None and " time" in name:
                continue
            if (
                "r0" not in [r.name for r in self.engine.resources]
                and error is tw.InputError
                and " time" not in name
            ):
                continue
            before = self.engine._core.snapshot()
            with pytest.raises(error):
                call(self.routes[0], ticket, self.settled)
            assert self.engine._core.snapshot() == before, name


@given(st.lists(STEP, max_size=70))
def test_every_ticket_settles_exactly_once_and_in_flight_returns_to_zero(
    steps: list[tuple[str, int, int]],
) -> None:
    """Any life: all modes, rollouts, copies, moves, resources that go and come. In-flight is always the number of
    open tickets, what must be refused is refused without a trace, and in the end nothing is left anywhere."""
    life = Life()
    for step in steps:
        life.do(*step)
        assert life.engine.in_flight == life.held
    life.refuse()
    dropped = life.engine.counters["n_abandoned"]
    while life.open:
        life.open.pop().complete(0.1)
    e = life.engine
    assert e.in_flight == 0
    assert e.counters["n_abandoned"] == dropped
    e.mode("active", rollout=1.0)
    for resource in e.resources:
        assert e.load(resource.name) == (0, 0)
        e.undrain(resource.name)
    assert all(row.wait_s == 0.0 for row in life.routes[0].peek((4.0,)))
