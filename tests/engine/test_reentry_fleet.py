"""Resources that come and go, modes that change and jobs that end in the middle of a call on the same engine, as
another thread may let them: here the clock, or a number of the user's own, does at that moment."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real

import pytest

import tailwise as tw


class Meddling:
    """A clock that stands still, and calls somebody once, at a reading that is to come."""

    def __init__(self) -> None:
        self.n_more, self.then = 0, lambda: None

    def at(self, reading: int, then: Callable[[], object]) -> None:
        self.n_more, self.then = reading, then

    def now_ns(self) -> int:
        self.n_more -= 1
        if self.n_more == 0:
            self.then()
        return 1_000_000_000


class Share(float):
    """A number of the user's own, which calls somebody when it is read."""

    then: Callable[[], object]

    def __float__(self) -> float:
        self.then()
        return float.__float__(self)


assert issubclass(Share, Real)


@pytest.fixture
def clock() -> Meddling:
    return Meddling()


@pytest.fixture
def e(clock: Meddling) -> tw.Engine:
    return tw.Engine(
        [tw.Resource("a"), tw.Resource("b")],
        [tw.Model("m", columns=(tw.Column("kv", scale=1.0, reported=True),))],
        [tw.QoS("q", 1.0)],
        clock=clock,
        seed=1,
        max_resources=4,
    )


def replace(e: tw.Engine, old: str = "b", new: str = "c") -> None:
    """The new one gets the lane of the old."""
    e.remove(old)
    e.add(tw.Resource(new))


def test_of_two_that_add_one_name_one_is_refused(e: tw.Engine, clock: Meddling) -> None:
    first = tw.Resource("c")
    clock.at(1, lambda: e.add(first))
    with pytest.raises(tw.ConfigError, match="there already"):
        e.add(tw.Resource("c"))
    assert e.by_lane == (*e.by_lane[:2], first)


def test_a_resource_is_there_with_all_it_has_or_not_at_all(e: tw.Engine, clock: Meddling) -> None:
    """Nobody finds half of it to remove; when it is removed at once, nothing of it is left to be chosen."""

    def remove_too_early() -> None:
        with pytest.raises(tw.UnknownName):
            e.remove("c")

    clock.at(1, remove_too_early)
    e.add(tw.Resource("c"))
    e.remove("c")
    assert e.candidates("m") == (0, 1)
    assert e.by_lane[2] is None


CALLS: dict[str, Callable[[tw.Engine], object]] = {
    "remove": lambda e: e.remove("b"),
    "changed": lambda e: e.changed("b"),
    "reset": lambda e: e.reset("b"),
    "report": lambda e: e.report("b", running=3, kv=1.0),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_what_is_done_to_a_resource_that_leaves_meanwhile_is_not_done_to_its_successor(
    e: tw.Engine, clock: Meddling, call: Callable[[tw.Engine], object]
) -> None:
    clock.at(1, lambda: replace(e))
    with pytest.raises(tw.UnknownName, match="'b'"):
        call(e)
    alone = tw.Engine(
        [tw.Resource("a"), tw.Resource("b")],
        e.models,
        e.qos,
        clock=clock,
        seed=1,
        max_resources=4,
    )
    replace(alone)
    assert e._core.snapshot() == alone._core.snapshot()
    assert [r.name for r in e.resources] == ["a", "c"]


def test_what_others_saw_of_a_resource_that_leaves_meanwhile_is_not_taken_for_its_successors(
    e: tw.Engine, clock: Meddling
) -> None:
    other = tw.Engine([tw.Resource("b")], e.models, e.qos, clock=clock)
    other.route("m", "q").select(()).complete(0.1)
    seen = other.statistics()
    clock.at(1, lambda: replace(e))
    e.merge(seen)
    assert e.statistics() == ()


@pytest.mark.parametrize("reading", [1, 2])
def test_an_older_report_is_ignored_though_the_newer_one_comes_while_it_is_read(
    e: tw.Engine, clock: Meddling, reading: int
) -> None:
    clock.at(reading, lambda: e.report("a", at=0.8, kv=7.0, running=7))
    e.report("a", at=0.2, kv=1.0, running=1)
    e._core.now_s()  # the second reading, where a report takes but one
    assert e._core.served(0, 0)["columns"] == pytest.approx(math.log(8.0))
    assert e._core.foreign(0)["running"] == 7.0


@pytest.mark.parametrize("first", ["mode", "rollout"])
def test_neither_a_mode_nor_a_rollout_is_lost_when_both_are_switched_at_once(
    e: tw.Engine, first: str
) -> None:
    """Bypass is a switch for emergencies."""
    share = Share(0.25)
    share.then = lambda: e.mode("bypass")
    e.mode(rollout=share) if first == "rollout" else e.mode("bypass", rollout=share)
    assert (e.mode(), e.rollout) == ("bypass", 0.25)


@pytest.mark.parametrize("reading", [1, 2])
def test_statistics_leave_out_a_resource_that_is_removed_meanwhile(
    e: tw.Engine, clock: Meddling, reading: int
) -> None:
    for mask in (0b01, 0b10):
        e.route("m", "q").select((), mask=mask).complete(0.1)
    clock.at(reading, lambda: e.remove("a"))
    assert [one.resource for one in e.statistics()][-1] == "b"


@pytest.mark.parametrize("reading", [1, 2])
def test_statistics_of_one_profile_are_of_one_moment(e: tw.Engine, clock: Meddling, reading: int) -> None:
    route = e.route("m", "q")
    route.select((), mask=1).complete(0.1)
    clock.at(reading, lambda: route.select((), mask=1).complete(0.1))
    (seen,) = e.statistics()
    assert seen.n == seen.succeeded == seen.work[2] == seen.n_results
