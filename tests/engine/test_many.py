"""Many requests in one call: the same decisions as one after the other, and nothing at all when one is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import tailwise as tw

K = 19  # more than one block of 16, and not a whole number of vectors
CLASSES = [
    tw.QoS("batch", 5.0, contract="best_effort", priority=1),
    tw.QoS("standard", 0.05),
    tw.QoS("guaranteed", 0.2, contract="guaranteed", on_time=0.9),
    tw.QoS("cheap", 0.5, objective="cost"),
    tw.QoS("drawn", 0.5, policy="thompson"),
]


#: Dropped, a ticket would be cancelled.
busy: list[tw.Ticket] = []


@pytest.fixture(autouse=True)
def settled() -> Iterator[None]:
    yield
    busy.clear()


def engine(seed: int = 1, max_tickets: int = 4096) -> tw.Engine:
    """Busy resources of different speeds, two of them untried; jobs run and wait, so that claims show."""
    columns = (tw.Column("running", 4.0, "running"), tw.Column("own", 100.0))
    model = tw.Model("m", (tw.Feature("a", typical=4.0), tw.Feature("b")), columns)
    e = tw.Engine(
        [tw.Resource(f"r{i}", slots=1 + i % 3, cost_per_s=1.0 + i % 5) for i in range(K)],
        [model],
        CLASSES,
        clock=tw.ManualClock(),
        seed=seed,
        max_tickets=max_tickets,
    )
    rng = np.random.default_rng(seed)
    route = e.route("m", "batch")
    for _ in range(12):
        for lane in range(K - 2):
            ticket = route.select(
                tuple(rng.uniform(1.0, 9.0, 2)), rng.uniform(0.0, 300.0, (1, K)), mask=1 << lane
            )
            ticket.complete(float(0.01 * (1 + lane % 7) * rng.lognormal(0.0, 0.2)))
    for lane in rng.integers(0, K, 10):
        busy.append(route.select((4.0, 1.0), mask=1 << int(lane)))
    return e


def told(ticket: tw.Ticket) -> tuple[Any, ...]:
    return (
        ticket.lane,
        ticket.reason,
        ticket.probe,
        ticket.p_on_time,
        ticket.p_raw,
        ticket.wait_s,
        ticket.service_s,
        ticket.bound_s,
        ticket.propensity,
        ticket.left_s,
    )


def requests(seed: int, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    Z = rng.uniform(0.0, 300.0, (n, 1, K))
    Z[rng.random(Z.shape) < 0.2] = np.nan
    return rng.uniform(0.5, 20.0, (n, 2)), Z


@given(seed=st.integers(0, 10**6), n=st.integers(0, 30), qos=st.sampled_from(CLASSES), masked=st.booleans())
@settings(max_examples=60)
def test_a_batch_is_decided_as_its_jobs_would_be_one_by_one(
    seed: int, n: int, qos: tw.QoS, masked: bool
) -> None:
    """To the last bit, the state that they leave behind included."""
    one, many = engine(seed), engine(seed)
    X, Z = requests(seed, n)
    mask = 0b101_1111_0111_0110_1101 if masked else None
    deadlines = np.random.default_rng(seed).uniform(0.01, 1.0, n)
    a = [
        one.route("m", qos.name).select(tuple(x), z, mask=mask, deadline_s=s)
        for x, z, s in zip(X, Z, deadlines, strict=True)
    ]
    b = many.route("m", qos.name).select_many(X, Z, mask=mask, deadline_s=deadlines)
    assert list(map(told, a)) == list(map(told, b))
    assert one._core.snapshot() == many._core.snapshot()


def crowded(seed: int) -> tw.Engine:
    """Without columns, as jobs that are decided together have none: few speeds, so that lanes tie, some of many slots
    and some full, of soft capacity, with others' jobs, drained, untried or silent; lines that have run out."""
    rng = np.random.default_rng(seed)
    k, calm = int(rng.choice([1, 2, 8, 17, 64, 70])), rng.random() < 0.5
    soft, slots = rng.random(k) < 0.1, rng.choice([64, 64, 64, 2] if calm else [1, 2, 3], k)
    resources = [
        tw.Resource(f"r{i}", max_running=int(n))
        if s
        else tw.Resource(f"r{i}", slots=int(n), discipline=str(rng.choice(["fifo", "priority"])))
        for i, (s, n) in enumerate(zip(soft, slots, strict=True))
    ]
    model = tw.Model("m", (tw.Feature("a", typical=4.0, knee=True), tw.Feature("b")))
    e = tw.Engine(resources, [model], CLASSES, clock=tw.ManualClock(), seed=seed)
    route, clock = e.route("m", "batch"), e.clock
    assert isinstance(clock, tw.ManualClock)
    known = max(1, k - int(rng.choice([0, 0, 3])))
    speeds = rng.choice([0.01, 0.012, 0.03], k) if rng.random() < 0.5 else rng.uniform(0.01, 0.03, k)
    for _ in range(12):
        for lane in range(known):
            ticket = route.select(tuple(rng.uniform(1.0, 9.0, 2)), mask=1 << lane)
            clock.advance(0.001)
            ticket.complete(float(speeds[lane] * rng.lognormal(0.0, 0.1)))
    for lane in rng.integers(0, k, 2 if calm else 2 * k):
        busy.append(route.select((4.0, 1.0), mask=1 << int(lane)))
    if rng.random() < 0.3:
        e.report("r0", running=int(rng.integers(0, 5)), waiting=int(rng.integers(0, 3)))
    if k > 1 and rng.random() < 0.2:
        e.drain("r1")
    clock.advance(float(rng.choice([0.0, 0.004, 0.03, 0.7])))
    return e


@pytest.mark.usefixtures("each_path")
@given(
    seed=st.integers(0, 10**6), n=st.integers(0, 40), qos=st.sampled_from(CLASSES[:2]), masked=st.booleans()
)
@settings(max_examples=120)
def test_jobs_that_are_decided_together_are_decided_as_one_by_one(
    seed: int, n: int, qos: tw.QoS, masked: bool
) -> None:
    one, many = crowded(seed), crowded(seed)
    rng = np.random.default_rng(seed)
    X = rng.uniform(0.5, 20.0, (n, 2)).round(int(rng.integers(0, 3)) + 1)
    mask = int(rng.integers(1, 2**62)) % (1 << len(one.resources)) or 1 if masked else None
    deadlines = rng.choice([0.02, 0.05, 5.0], n) if rng.random() < 0.5 else np.full(n, 5.0)
    arrival_s = 1e-9 * one.clock.now_ns() - float(rng.choice([0.0, 0.03]))
    a = [
        one.route("m", qos.name).select(tuple(x), mask=mask, deadline_s=s, arrival_s=arrival_s)
        for x, s in zip(X, deadlines, strict=True)
    ]
    b = many.route("m", qos.name).select_many(X, mask=mask, deadline_s=deadlines, arrival_s=arrival_s)
    assert list(map(told, a)) == list(map(told, b))
    assert one._core.snapshot() == many._core.snapshot()


def test_one_deadline_and_one_block_serve_all() -> None:
    one, many = engine(), engine()
    X, Z = requests(1, 7)
    now_s = 1e-9 * one.clock.now_ns()
    a = [one.route("m", "batch").select(tuple(x), Z[0], deadline_s=2.0, arrival_s=now_s) for x in X]
    b = many.route("m", "batch").select_many(X, Z[0], deadline_s=2.0, arrival_s=now_s)
    assert list(map(told, a)) == list(map(told, b))


def test_one_block_is_added_to_what_the_jobs_before_have_left() -> None:
    """A column of running jobs plus others' as the call says: each job of the batch counts for those after it."""

    def adding() -> tw.Engine:
        model = tw.Model("m", columns=(tw.Column("load", 4.0, "running", plus="others"),))
        e = tw.Engine(
            [tw.Resource(f"r{i}", slots=2) for i in range(5)],
            [model],
            CLASSES,
            clock=tw.ManualClock(),
            seed=1,
        )
        rng = np.random.default_rng(1)
        for _ in range(10):
            for lane in range(5):
                others = float(rng.uniform(0.0, 20.0))
                ticket = e.route("m", "batch").select((), np.full((1, 5), others), mask=1 << lane)
                ticket.complete(0.01 * (1.0 + others / 4.0) ** 0.3)
        return e

    one, many = adding(), adding()
    Z = np.arange(5.0)[None, :]
    a = [one.route("m", "batch").select((), Z) for _ in range(12)]
    b = many.route("m", "batch").select_many(np.empty((12, 0)), Z)
    assert list(map(told, a)) == list(map(told, b))


def test_jobs_see_the_claims_of_those_before_them() -> None:
    """Two equal resources of one slot: four equal jobs go to them in turn, not all to the same."""
    e = tw.Engine(
        [tw.Resource("a"), tw.Resource("b")],
        [tw.Model("m")],
        [tw.QoS("q", 1.0, contract="best_effort")],
        clock=tw.ManualClock(),
        seed=1,
    )
    tickets = e.route("m", "q").select_many(np.empty((4, 0)))
    assert sorted(t.lane for t in tickets) == [0, 0, 1, 1]
    assert e.in_flight == 4


def test_rows_may_be_tuples() -> None:
    X = [(4.0, 1.0), (2.0, 0.0)]
    a, b = engine(), engine()
    one, many = a.route("m", "batch").select_many(X), b.route("m", "batch").select_many(np.array(X))
    assert list(map(told, one)) == list(map(told, many))


@pytest.mark.parametrize("X", [[], np.empty((0, 2)), ()])
def test_no_job_is_no_ticket(X: Any) -> None:
    assert engine().route("m", "standard").select_many(X) == []


@pytest.mark.parametrize(
    ("X", "options", "said"),
    [
        ([(4.0, 1.0), (4.0, np.nan)], {}, "row 1: feature 'b' is nan"),
        ([(0.0, 1.0)], {}, "row 0: feature 'a' is 0.0"),
        ([(4.0, 1.0, 2.0)], {}, "declares 2 features: a, b"),
        ([4.0, 1.0], {}, "rows of 2 numbers"),
        ([("4", "1")], {}, "rows of 2 numbers"),
        ([(4.0, 1.0), (4.0,)], {}, "rows of 2 numbers"),
        ([(4.0, 1.0)] * 2, {"deadline_s": [1.0, -1.0]}, "row 1: deadline_s=-1.0"),
        ([(4.0, 1.0)] * 2, {"deadline_s": [1.0]}, "deadline_s has 1 numbers for 2 jobs"),
        ([(4.0, 1.0)] * 2, {"arrival_s": [0.0, 9e9]}, "row 1: arrival_s"),
        ([(4.0, 1.0)] * 2, {"Z": np.zeros((1, 1, K))}, "Z has 1 blocks for 2 jobs"),
        ([(4.0, 1.0)] * 2, {"Z": np.zeros((2, 2, K))}, "row 1: Z must be"),
        ([(4.0, 1.0)] * 2, {"Z": -np.ones((1, K))}, "negative"),
        ([(4.0, 1.0)] * 2, {"mask": 0}, "mask=0 leaves no candidate"),
        ([(4.0, 1.0)] * 2, {"mask": 1 << K}, "bits below 19"),
    ],
)
def test_a_refused_batch_changes_nothing(X: Any, options: dict[str, Any], said: str) -> None:
    e = engine()
    before = e._core.snapshot()
    with pytest.raises(tw.InputError, match=said):
        e.route("m", "batch").select_many(X, **options)
    assert e._core.snapshot() == before


def test_a_batch_that_finds_too_few_tickets_changes_nothing() -> None:
    e = engine(max_tickets=16)
    free = 16 - e.in_flight
    before = e._core.snapshot()
    with pytest.raises(tw.CapacityError, match="are open"):
        e.route("m", "batch").select_many([(4.0, 1.0)] * (free + 1))
    assert e._core.snapshot() == before
    assert len(e.route("m", "batch").select_many([(4.0, 1.0)] * free)) == free


@pytest.mark.parametrize("mode", ["active", "shadow", "frozen", "bypass"])
@pytest.mark.parametrize("rollout", [0.0, 0.5])
def test_a_batch_heeds_the_mode(mode: tw.Mode, rollout: float) -> None:
    one, many = engine(), engine()
    one.mode(mode, rollout=rollout)
    many.mode(mode, rollout=rollout)
    X, Z = requests(3, 9)
    a = [one.route("m", "batch").select(tuple(x), z) for x, z in zip(X, Z, strict=True)]
    b = many.route("m", "batch").select_many(X, Z)
    assert list(map(told, a)) == list(map(told, b))
    assert [t.preferred == t.resource for t in a] == [t.preferred == t.resource for t in b]
    assert one._core.snapshot() == many._core.snapshot()


def test_a_mode_that_is_switched_in_the_midst_of_a_batch_leaves_no_job_without_a_ticket() -> None:
    """By a mask of the caller's own, which runs Python where it is read: for the batch, then for its first job."""
    e = engine()
    e.mode("shadow")
    modes: Iterator[tw.Mode] = iter(["shadow", "active"])

    class Switch(int):
        def __int__(self) -> int:
            e.mode(next(modes, "active"))
            return super().__int__()

    n = e.in_flight
    tickets = e.route("m", "batch").select_many(requests(3, 4)[0], mask=Switch((1 << K) - 1))
    assert all(t.admitted for t in tickets)
    assert e.mode() == "active"
    assert e.in_flight == n + 4
