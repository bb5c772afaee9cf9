"""Where numbers end: draws, reports and clocks that no measurement would give."""

from __future__ import annotations

import gc

import pytest

import tailwise as tw


def test_no_draw_of_thompson_sampling_leaves_the_mask() -> None:
    """A feature far outside of anything seen makes the sd of the mean hundreds of ln seconds."""
    e = tw.Engine(
        [tw.Resource("r0"), tw.Resource("r1")],
        [tw.Model("m", tuple(f"f{i}" for i in range(11)))],
        [tw.QoS("q", 1.0, contract="best_effort", policy="thompson", max_cost=1e-9)],
        clock=tw.ManualClock(),
        seed=3,
    )
    route, x = e.route("m", "q"), (1e9,) * 11
    for k in range(4000):
        ticket = route.select(x, mask=1 << k % 2)
        assert ticket.resource is None or ticket.resource.name == f"r{k % 2}"
        if ticket.admitted:
            ticket.cancel()


def test_an_absurd_report_neither_opens_nor_shuts_a_lane() -> None:
    e = tw.Engine(
        [tw.Resource("r0"), tw.Resource("r1")],
        [tw.Model("m", resources=("r0",))],
        [tw.QoS("q", 1.0, contract="best_effort")],
        clock=tw.ManualClock(1.0),
        seed=1,
    )
    for name in ("r0", "r1"):
        e.report(name, running=1e40, waiting=1e40)
    for _ in range(20):
        ticket = e.route("m", "q").select(())
        assert ticket.admitted
        assert ticket.resource.name == "r0"


def test_a_clock_that_went_back_does_not_lengthen_the_wait() -> None:
    clock = tw.ManualClock(1e4)
    e = tw.Engine([tw.Resource("r")], [tw.Model("m")], [tw.QoS("q", 10.0)], clock=clock, seed=1)
    route = e.route("m", "q")
    for _ in range(9):
        route.select(()).complete(1.0)
    running = route.select(())
    clock.set(5e3)
    queued = route.select(())
    assert queued.admitted
    assert queued.wait_s == pytest.approx(1.0, rel=0.3)
    running.cancel()


def test_a_ticket_that_is_dropped_ends_when_the_engine_last_looked_at_the_clock() -> None:
    """a, b, c on one slot; a completes at 100 s, b is dropped after it, c completes at 101 s: it took a second."""
    clock = tw.ManualClock(1.0)
    e = tw.Engine([tw.Resource("r")], [tw.Model("m")], [tw.QoS("q", 1e3)], clock=clock, seed=1)
    a, b, c = (e.route("m", "q").select(()) for _ in range(3))
    clock.set(100.0)
    a.complete(99.0)
    del b
    gc.collect()
    clock.set(101.0)
    c.complete()
    sums, _ = e._core.sums(0, 0)
    assert e.profile("r", "m").n == 2.0
    # y is centred on ln 99, so the second row is b = 0 + ln(1 / 99)
    assert sums[1] == pytest.approx(-4.595, abs=1e-3)


def test_a_queued_job_does_not_move_by_drawing_again() -> None:
    e = tw.Engine(
        [tw.Resource("r0", discipline="priority"), tw.Resource("r1", discipline="priority")],
        [tw.Model("m")],
        [tw.QoS("q", 10.0, policy="thompson")],
        clock=tw.ManualClock(),
        seed=1,
    )
    route = e.route("m", "q")
    for k in range(8):
        route.select((), mask=1 << k % 2).complete(1.0)
    ticket = route.select(())
    assert not any(ticket.reconsider(bonus=0.0) for _ in range(200))
