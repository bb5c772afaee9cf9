"""A decision is a ticket, settled exactly once: by hand, by `with`, or by being dropped."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
from collections.abc import Callable

import pytest

import tailwise as tw


def engine(slots: int = 1, k: int = 1, max_tickets: int = 8) -> tuple[tw.Engine, tw.ManualClock]:
    clock = tw.ManualClock()
    resources = [tw.Resource(f"r{i}", slots=slots) for i in range(k)]
    qos = [tw.QoS("q", 1.0, contract="best_effort"), tw.QoS("strict", 1e-3)]
    return tw.Engine(resources, [tw.Model("m")], qos, clock=clock, seed=1, max_tickets=max_tickets), clock


SETTLE = {
    "complete": lambda t: t.complete(0.1),
    "complete by the clock": lambda t: t.complete(),
    "fail": lambda t: t.fail(),
    "timeout": lambda t: t.timeout(),
    "cancel": lambda t: t.cancel(),
    "drop": lambda t: t.drop(),
}


@pytest.mark.parametrize("first", SETTLE)
@pytest.mark.parametrize("second", [*SETTLE, "start"])
def test_a_ticket_settles_once_and_a_second_time_changes_nothing(first: str, second: str) -> None:
    e, _ = engine()
    ticket = e.route("m", "q").select(())
    assert e.in_flight == 1
    assert not ticket.settled
    SETTLE[first](ticket)
    assert ticket.settled
    assert e.in_flight == 0
    before = e._core.snapshot()
    with pytest.raises(tw.TicketError, match="settled already"):
        SETTLE.get(second, lambda t: t.start())(ticket)
    with pytest.raises(tw.TicketError):
        _ = ticket.features
    assert e._core.snapshot() == before


def test_a_settled_ticket_does_not_touch_the_one_that_took_its_place() -> None:
    e, _ = engine(max_tickets=1)
    route = e.route("m", "q")
    old = route.select(())
    old.complete(0.1)
    new = route.select(())
    with pytest.raises(tw.TicketError):
        old.fail()
    del old
    assert e.in_flight == 1
    new.complete(0.1)
    assert e.counters["n_abandoned"] == 0


def late_route() -> tuple[tw.Engine, tw.Route]:
    """An engine that knows for certain that the class's millisecond cannot be met."""
    e, _ = engine()
    for _ in range(30):
        e.route("m", "q").select(()).complete(1.0)
    return e, e.route("m", "strict")


def test_rejected_job_never_occupies_a_slot() -> None:
    e, route = late_route()
    ticket = route.select(())
    assert not ticket.admitted
    assert ticket.reason == "late"
    assert ticket.settled
    assert ticket.p_on_time < 0.3
    assert e.in_flight == 0
    assert e.load("r0") == (0, 0)


@pytest.mark.parametrize("action", ["complete", "fail", "timeout", "cancel", "start", "__enter__"])
def test_a_rejected_ticket_has_nothing_to_settle(action: str) -> None:
    e, route = late_route()
    ticket = route.select(())
    before = e._core.snapshot()
    with pytest.raises(tw.TicketError, match="rejected"):
        getattr(ticket, action)()
    del ticket
    assert e._core.snapshot() == before
    assert e.counters["n_abandoned"] == 0


def test_a_cold_profile_is_never_refused() -> None:
    e, _ = engine()
    for _ in range(7):
        e.route("m", "q").select(()).complete(1.0)
    assert e.route("m", "strict").select(()).admitted


def results(e: tw.Engine) -> tuple[float, float, float]:
    """(completed, failed, open) of the only profile."""
    raw = e._core.posterior(0, 0)
    return raw["succeeded"], raw["failed"], e.in_flight


def test_with_completes_on_a_normal_exit_by_the_clock() -> None:
    e, clock = engine()
    with e.route("m", "q").select(()) as ticket:
        clock.advance(0.25)
    assert ticket.settled
    assert results(e) == (1.0, 0.0, 0)
    assert e.profile("r0", "m").n == 1.0
    _, ln_s = e._core.sums(0, 0)
    assert ln_s == pytest.approx(-1.3862943611)  # ln 0.25


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError, (0.0, 1.0, 0)),
        (TimeoutError, (0.0, 1.0, 0)),
        (KeyboardInterrupt, (0.0, 0.0, 0)),
        (asyncio.CancelledError, (0.0, 0.0, 0)),
        (GeneratorExit, (0.0, 0.0, 0)),
        (SystemExit, (0.0, 0.0, 0)),
    ],
)
def test_with_fails_on_an_exception_and_cancels_when_interrupted(
    error: type[BaseException], expected: tuple[float, float, int]
) -> None:
    e, _ = engine()
    with pytest.raises(error), e.route("m", "q").select(()):
        raise error
    assert results(e) == expected


def test_with_leaves_a_ticket_alone_that_was_settled_inside() -> None:
    e, _ = engine()
    with e.route("m", "q").select(()) as ticket:
        ticket.fail()
    assert results(e) == (0.0, 1.0, 0)


def test_a_cancelled_task_frees_its_place() -> None:
    e, _ = engine()

    async def job(entered: asyncio.Event) -> None:
        with e.route("m", "q").select(()):
            entered.set()
            await asyncio.Event().wait()

    async def main() -> None:
        entered = asyncio.Event()
        task = asyncio.create_task(job(entered))
        await entered.wait()
        assert e.in_flight == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert results(e) == (0.0, 0.0, 0)


def test_a_dropped_open_ticket_frees_its_place_and_is_counted() -> None:
    e, _ = engine()
    ticket = e.route("m", "q").select(())
    assert e.load("r0") == (1, 0)
    del ticket
    assert e.load("r0") == (0, 0)
    assert (e.counters["n_open"], e.counters["n_abandoned"]) == (0, 1)
    assert e.profile("r0", "m").n_results == 0


@pytest.mark.parametrize("ticket_first", [True, False])
def test_a_ticket_dropped_in_a_reference_cycle_frees_its_place(ticket_first: bool) -> None:
    """The collector clears a cycle's members oldest first; a ticket older than its list, and the route that only
    the ticket still holds, must know their engine until the ticket is gone."""
    e, _ = engine()
    gc.collect()
    gc.disable()
    try:
        if ticket_first:
            ticket = e.route("m", "q").select(())
            cycle = [ticket]
            del ticket
        else:
            cycle = []
            cycle.append(e.route("m", "q").select(()))
        cycle.append(cycle)
        del cycle
        gc.collect()
    finally:
        gc.enable()
    assert (e.counters["n_open"], e.counters["n_abandoned"]) == (0, 1)


def test_an_engine_that_dies_in_a_cycle_with_its_open_tickets_is_collected() -> None:
    class Owner:
        pass

    gc.collect()
    for _ in range(20):
        owner = Owner()
        owner.me, owner.engine = owner, engine()[0]
        owner.route = owner.engine.route("m", "q")
        owner.tickets = [owner.route.select(()) for _ in range(3)]
        del owner
    assert gc.collect() > 0
    assert not [o for o in gc.get_objects() if isinstance(o, Owner)]


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_ticket_cannot_be_copied(duplicate: object) -> None:
    """Two tickets of one place would free it twice."""
    e, _ = engine()
    ticket = e.route("m", "q").select(())
    with pytest.raises(tw.TicketError, match="copied"):
        duplicate(ticket)
    ticket.complete(0.1)
    assert e.counters["n_abandoned"] == 0


@pytest.mark.parametrize("make", [tw.Ticket, lambda: tw.Ticket.__new__(tw.Ticket), tw.Ticket.__base__])
def test_a_ticket_cannot_be_made_by_hand(make: Callable[[], object]) -> None:
    """Nor by way of the class that it is derived from."""
    with pytest.raises(tw.TicketError, match="select"):
        make()


def test_a_ticket_says_what_was_predicted() -> None:
    e, _ = engine(slots=1)
    route = e.route("m", "q")
    for _ in range(50):
        route.select(()).complete(0.2)
    first, second = route.select(()), route.select(())
    assert first.resource is e.resources[0]
    assert first.wait_s == 0.0
    assert second.wait_s == pytest.approx(first.service_s)
    assert second.expected_s == second.wait_s + second.service_s
    assert first.bound_s < second.bound_s
    assert first.hedge_at_s > first.service_s
    assert first.propensity == 1.0
    assert 0.0 < second.p_on_time <= first.p_on_time < 1.0
    assert "r0 open" in repr(first)
    first.cancel()
    second.cancel()
    assert "settled" in repr(first)


def test_the_first_bound_holds_the_probability_that_the_class_asks_for() -> None:
    """P(on time) at a deadline equal to the first bound_s of a class is the class's on_time times availability, and
    where on_time is one half the bound is the median, however many results there are (they came in another class)."""
    for on_time in (0.5, 0.9, 0.99):

        def taught(deadline_s: float, on_time: float = on_time) -> tw.Route:
            e = tw.Engine(
                [tw.Resource("r")],
                [tw.Model("m")],
                [tw.QoS("q", deadline_s, on_time, contract="best_effort"), tw.QoS("teacher", 1.0)],
                clock=tw.ManualClock(),
                seed=1,
            )
            for k in range(12_000):
                e.route("m", "teacher").select(()).complete(0.1 + 0.01 * (k % 3))
            return e.route("m", "q")

        bound_s = taught(1.0).select(()).bound_s
        (row,) = taught(bound_s).peek(())
        assert row.p_raw == pytest.approx(on_time * row.availability, abs=1e-6)


def test_service_of_a_queued_job_starts_when_its_slot_was_freed() -> None:
    """The caller says only dispatch and completion; fifo: the second job starts when the first ends."""
    e, clock = engine(slots=1)
    route = e.route("m", "q")
    first, second = route.select(()), route.select(())
    assert e.load("r0") == (1, 1)
    clock.advance(1.0)
    first.complete()
    assert e.load("r0") == (1, 0)
    clock.advance(0.5)
    second.complete()
    d_sums, y0 = e._core.sums(0, 0)
    assert y0 == pytest.approx(0.0, abs=1e-12)  # ln 1.0
    assert d_sums[1] == pytest.approx(-0.6931471805599453)  # b = ln 0.5 - y0
