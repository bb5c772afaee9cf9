"""Python that runs in the middle of a call, and calls the engine itself: a mask, a name, an array of the user's own,
or what the collector ends. Another thread may do the same at that moment; here it does so always."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeVar

import numpy as np
import pytest

import tailwise as tw

T = TypeVar("T")

Z = np.array([[1.0, 2.0, 3.0]])
OTHER = np.array([[30.0, 20.0, 10.0]])


def engine(*, max_tickets: int = 64) -> tw.Engine:
    """Column "own" of the ticket's resource tells which Z a decision saw: it is the last of `ticket.features`."""
    return tw.Engine(
        [tw.Resource(name, slots=4) for name in "abc"],
        [tw.Model("m", ("n",), (tw.Column("own", scale=1.0),))],
        [tw.QoS("q", 1.0, contract="best_effort")],
        clock=tw.ManualClock(),
        seed=1,
        max_resources=16,
        max_tickets=max_tickets,
    )


def saw(ticket: tw.Ticket) -> float:
    return float(np.expm1(ticket.features[-1]))


class Mask(int):
    """A bit set of the user's own, which calls somebody while it is read."""

    then: Callable[[], object]

    def __int__(self) -> int:
        self.then()
        return super().__int__()


class Name(str):
    """As Mask, when it is looked up."""

    __slots__ = ("then",)
    then: Callable[[], object]

    def __eq__(self, other: object) -> bool:
        return str(self) == other

    def __hash__(self) -> int:
        self.then()
        return super().__hash__()


class Row:
    """As Mask, the features of a request."""

    def __init__(self, then: Callable[[], object]) -> None:
        self.then = then

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        self.then()
        return np.ones(1)


class Garbage:
    """Calls somebody when the collector finds it."""

    def __init__(self, then: Callable[[], object]) -> None:
        self.then, self.itself = then, self

    def __del__(self) -> None:
        self.then()


@pytest.fixture
def no_collector() -> Iterator[None]:
    threshold, enabled = gc.get_threshold(), gc.isenabled()
    gc.collect()
    gc.disable()
    yield
    gc.set_threshold(*threshold)
    if enabled:
        gc.enable()


def collected_into(n_objects: int, call: Callable[[], T]) -> T:
    """Lets the collector in once so many more objects were made in the call than let go. Where it comes in at all:
    since Python 3.12 it waits for the call's end."""
    gc.set_threshold(gc.get_count()[0] + n_objects, 1000, 1000)
    gc.enable()
    try:
        return call()
    finally:
        gc.disable()


def test_a_decision_sees_its_own_columns_whoever_decides_while_its_mask_is_read() -> None:
    route = engine().route("m", "q")
    mask = Mask(0b010)
    mask.then = lambda: route.select((1.0,), OTHER, mask=0b100)
    ticket = route.select((1.0,), Z, mask=mask)
    assert ticket.resource.name == "b"
    assert saw(ticket) == pytest.approx(2.0)


def test_so_do_a_second_decision_a_copy_and_another_try() -> None:
    e = engine()
    e.own_queue("a")
    route = e.route("m", "q")
    mask = Mask(0b010)
    mask.then = lambda: route.select((1.0,), OTHER, mask=0b100)
    again = route.select((1.0,), Z, mask=0b001)
    again.reconsider(Z, mask=mask, bonus=0.0)
    assert saw(again) == pytest.approx(2.0 if again.resource.name == "b" else 1.0)
    assert saw(route.select((1.0,), Z, mask=0b001).retry(Z, mask=mask)) == pytest.approx(2.0)


def test_a_row_of_columns_that_is_too_short_since_a_resource_joined_meanwhile_is_refused() -> None:
    e = engine()
    route = e.route("m", "q")
    mask = Mask(0b010)
    mask.then = lambda: len(e.resources) > 3 or e.add(tw.Resource("d"))
    with pytest.raises(tw.InputError, match=r"\(1, 4\)"):
        route.select((1.0,), Z, mask=mask)
    assert e.in_flight == 0


@pytest.mark.parametrize("mode", ["shadow", "active"])
def test_the_last_free_ticket_is_given_once_though_a_name_is_looked_up_meanwhile(mode: tw.Mode) -> None:
    e = engine(max_tickets=2)
    route = e.route("m", "q")
    held = []
    name = Name("b")
    name.then = lambda: held.append(route.select((1.0,), default="a"))
    e.mode(mode, rollout=0.5)
    held.append(route.select((1.0,), default="a"))
    with pytest.raises(tw.CapacityError):
        route.select((1.0,), default=name)
    assert e.in_flight == len(held) == 2


@pytest.mark.parametrize("how", ["select", "observe"])
@pytest.mark.parametrize("after", range(4))
def test_the_last_free_ticket_is_given_once_though_the_collector_comes(
    how: str, after: int, no_collector: None
) -> None:
    """At which allocation of a call it must come to be in the way is not known here: at each of the first four."""
    e = engine(max_tickets=102)
    route = e.route("m", "q")
    held = [route.select((1.0,)) for _ in range(100)]  # Cython has none left to use again

    def take_all() -> None:
        with suppress(tw.CapacityError):
            while True:
                held.append(route.select((1.0,)))

    def call() -> tw.Ticket:
        return route.select((1.0,)) if how == "select" else route.observe("a", (1.0,))

    Garbage(take_all)
    with suppress(tw.CapacityError):
        held.append(collected_into(after, call))
    gc.collect()
    assert e.in_flight == len(held) == 102
    for ticket in held:
        ticket.complete(0.1)
    assert e.in_flight == 0
    assert all(e.load(name) == (0, 0) for name in "abc")


@pytest.mark.parametrize("after", range(0, 60, 3))
def test_an_explanation_is_of_one_moment_though_the_collector_comes(after: int, no_collector: None) -> None:
    """Another decision in the middle would show the columns that it was given, or the lanes that it takes."""
    e = engine()
    route = e.route("m", "q")
    for u in (1.0, 9.0) * 20:  # so that columns count
        route.select((1.0,), np.full((1, 3), u)).complete(0.01 * u)
    before = [row.service_s for row in route.peek((1.0,), Z)]

    def meddle() -> None:
        route.select((1.0,), OTHER).cancel()
        e.add(tw.Resource("d"))

    Garbage(meddle)
    during = collected_into(after, lambda: route.peek((1.0,), Z))
    gc.collect()
    assert len(e.resources) == 4
    assert [row.service_s for row in during] == before


@pytest.mark.parametrize("after", range(4))
def test_features_are_those_of_the_ticket_though_the_collector_lets_another_settle_it(
    after: int, no_collector: None
) -> None:
    route = engine().route("m", "q")
    ticket = route.select((1.0,), Z, mask=1)
    expected = ticket.features.tolist()
    held: list[object] = [[] for _ in range(100)]  # Python has no list left to use again

    def replace() -> None:
        ticket.cancel()
        held.append(route.select((50.0,), OTHER, mask=1))

    Garbage(replace)
    assert collected_into(after, lambda: ticket.features).tolist() == expected
    gc.collect()
    assert len(held) == 101


def test_an_outlook_takes_back_no_draw_of_another_decision() -> None:
    """As if it had never been: the engine is as one on which there was the other decision alone."""
    e, alone = engine(), engine()
    e.route("m", "q")._outlook(Row(lambda: e.route("m", "q").select((1.0,)).cancel()))
    alone.route("m", "q").select((1.0,)).cancel()
    assert e._core.snapshot() == alone._core.snapshot()
