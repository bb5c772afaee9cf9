"""Any order of resources that join and leave, and of jobs that are sent and settled."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tests.engine.test_fleet import engine

NAMES = [f"r{i}" for i in range(6)]
ACTION = st.tuples(st.sampled_from(["add", "remove", "select", "settle", "advance"]), st.integers(0, 5))


@given(st.lists(ACTION, max_size=80))
def test_any_life_of_a_fleet_ends_with_nothing_in_flight(actions: list[tuple[str, int]]) -> None:
    """Add, remove, select and settle in any order: jobs go to resources that are there, a lane never serves two
    resources at once, each ticket keeps its resource's name, and in-flight is the number of open tickets."""
    e = engine("r0", "r1", max_resources=5)
    route = e.route("m", "q")
    there = {"r0", "r1"}
    tickets: list[tuple[str, tw.Ticket]] = []
    for action, k in actions:
        name = NAMES[k]
        if action == "add" and name not in there:
            try:
                lane = e.add(tw.Resource(name, slots=1 + k % 2))
            except tw.CapacityError:
                continue
            there.add(name)
            assert e.load(name) == (0, 0)
            assert all(e.lane(other) != lane for other in there - {name})
        elif action == "remove" and name in there:
            e.remove(name)
            there.discard(name)
        elif action == "select":
            ticket = route.select(())
            assert ticket.admitted == bool(there)
            if there:
                assert ticket.resource.name in there
                tickets.append((ticket.resource.name, ticket))
        elif action == "settle" and tickets:
            name, ticket = tickets.pop(k % len(tickets))
            assert ticket.resource.name == name
            (ticket.complete, ticket.fail, ticket.cancel)[k % 3]()
        elif action == "advance":
            e.clock.advance(0.1 * k)
        assert e.in_flight == len(tickets)
        assert {r.name for r in e.resources} == there
    while tickets:
        tickets.pop()[1].complete(0.1)
    assert e.in_flight == 0
    assert all(e.load(name) == (0, 0) for name in there)
    assert all(row.wait_s == 0.0 for row in route.peek(()))


class Meddling:
    """A clock that lets somebody else decide whenever it is read: what another thread may do at that moment."""

    def __init__(self) -> None:
        self.then: Callable[[], None] | None = None

    def now_ns(self) -> int:
        then, self.then = self.then, None
        if then is not None:
            then()
            self.then = then
        return 0


def test_no_job_goes_to_a_resource_before_its_profiles_are_in_place() -> None:
    """An untried idle resource attracts the next job; one whose given profile says that it is slow does not."""
    clock, seen = Meddling(), []
    e = tw.Engine(
        [tw.Resource("r0")],
        [tw.Model("m"), tw.Model("n")],
        [tw.QoS("q", 1.0, contract="best_effort")],
        profiles=[tw.Profile("r0", "m", 0.1, 0.3, 9.0)],
        clock=clock,
        max_resources=2,
    )
    route = e.route("m", "q")

    def decide() -> None:
        ticket = route.select(())
        seen.append(ticket.resource.name)
        ticket.cancel()

    clock.then = decide
    e.add(tw.Resource("slow"), profiles=[tw.Profile("slow", "m", 5.0, 0.3, 9.0)])
    assert set(seen) == {"r0"}


def test_a_newcomer_leaves_the_waits_of_others_alone() -> None:
    """Whichever lane it takes of the sixteen that share a block: five jobs wait on each of the others."""
    for n in range(1, 16):
        e = tw.Engine(
            [tw.Resource(f"r{i}", discipline="priority") for i in range(n)],
            [tw.Model("m")],
            [tw.QoS("q", 1.0, contract="best_effort")],
            clock=tw.ManualClock(),
            seed=1,
            max_resources=16,
        )
        route = e.route("m", "q")
        waiting = [route.select((), mask=1 << lane) for lane in range(n) for _ in range(5)]
        before = {row.resource.name: (row.wait_s, row.rank_s) for row in route.peek(())}
        e.add(tw.Resource("late", discipline="priority"))
        after = {row.resource.name: (row.wait_s, row.rank_s) for row in route.peek(())}
        assert before.items() <= after.items()
        for ticket in waiting:
            ticket.cancel()
