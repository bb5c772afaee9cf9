"""Guarantee 4: no job of a lower class starts while one of a higher class that could run there waits (engine-owned
queues), unless the user set a minimum share.

"Could run there" = stands in that resource's queue, its deadline not past. A job in another resource's queue was
sent there because it is expected to end sooner there, whatever its class; re-decisions move it when that changes.
"""

from __future__ import annotations

from math import floor

from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tailwise.dispatch import Dispatch
from tailwise.job import Orders, Run
from tailwise.policy import Assignment, Learned
from tailwise.queue import Queues

SECOND = 1_000_000_000
CLASSES = [tw.QoS(f"q{p}", 0.5 + p, priority=p, contract="best_effort") for p in range(3)]

ON_QUEUES = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 3), st.integers(1, 20)),
        st.tuples(st.just("take"), st.just(0), st.just(0)),
        st.tuples(st.just("tick"), st.integers(0, 6), st.just(0)),
    ),
    max_size=100,
)


@given(ON_QUEUES)
def test_no_lower_class_is_taken_from_a_queue_before_a_higher_one(
    actions: list[tuple[str, int, int]],
) -> None:
    queues: Queues[tuple[int, int]] = Queues([1])  # a job is (priority, deadline)
    waiting: list[tuple[int, int]] = []
    now = 0
    for action, a, b in actions:
        if action == "put":
            queues.put((a, now + b), 0, a, now + b)
            waiting.append((a, now + b))
        elif action == "tick":
            now += a
        elif (taken := queues.take(0, now)) is not None:
            queues.release(0)
            waiting.remove(taken)
            assert not [job for job in waiting if job[0] < taken[0] and job[1] > now]


class Watched(Learned):
    """The learned policy; at each start it looks at who waits on that lane."""

    dispatch: Dispatch[int]
    now_ns = 0
    n_overtaken = 0

    def __init__(self, engine: tw.Engine) -> None:
        super().__init__(engine)
        self.level: dict[int, int] = {}  # by id of the ticket

    def started(self, assignment: Assignment) -> None:
        super().started(assignment)
        assert assignment.ticket is not None
        for run in self.dispatch.queued(assignment.lane):
            if run.job.qos.priority < self.level[id(assignment.ticket)] and run.job.deadline_ns > self.now_ns:
                self.n_overtaken += 1

    def assign(
        self,
        model: str,
        qos: str,
        features: tuple[float, ...],
        mask: int | None,
        deadline_s: float | None = None,
    ) -> Assignment:
        assignment = super().assign(model, qos, features, mask, deadline_s)
        self.level[id(assignment.ticket)] = int(qos[1:])
        return assignment

    def copy(self, assignment: Assignment, mask: int | None) -> Assignment | None:
        copy = super().copy(assignment, mask)
        if copy is not None:
            self.level[id(copy.ticket)] = 0
        return copy


ON_DISPATCH = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(0, 2), st.floats(0.5, 4.0)),
        st.tuples(st.just("end"), st.integers(0, 3), st.sampled_from([0.0, 1.0])),
        st.tuples(st.just("tick"), st.integers(0, 400), st.just(0.0)),
        st.tuples(st.just("drain"), st.integers(0, 1), st.just(0.0)),
    ),
    min_size=20,
    max_size=120,
)


@given(ON_DISPATCH)
def test_no_lower_class_starts_before_a_higher_one_whatever_rule_moves_the_jobs(
    actions: list[tuple[str, int, float]],
) -> None:
    """All rules on, a learning engine, resources that fail and drain. Beside the guarantee: each job ends once,
    slots are never oversubscribed, and when all is over nothing is open."""
    slots = [1, 2]
    clock = tw.ManualClock()
    engine = tw.Engine(
        [tw.Resource(f"r{i}", slots=n, discipline="priority") for i, n in enumerate(slots)],
        [tw.Model("m", features=(tw.Feature("u", typical=1.0),))],
        CLASSES,
        clock=clock,
        seed=1,
    )
    policy = Watched(engine)
    dispatch: Dispatch[int] = Dispatch(slots, policy, rules=tw.Rules(hedge_budget=1.0))
    policy.dispatch = dispatch
    running: list[Run[int]] = []
    ended: list[int] = []
    n_jobs = 0

    def carry_out(orders: Orders[int]) -> None:
        running.extend(orders.start)
        ended.extend(job.payload for job in orders.ended)
        for lane, n in enumerate(slots):
            assert sum(run.lane == lane for run in running) <= n
        assert engine.in_flight == len(dispatch)

    def tick(ns: int) -> None:
        policy.now_ns += ns
        clock.advance(ns / SECOND)
        carry_out(dispatch.due(policy.now_ns))

    for action, k, number in actions:
        if action == "submit":
            job, orders = dispatch.submit(n_jobs, "m", CLASSES[k], (number,), policy.now_ns)
            n_jobs += job.end != "rejected"
            carry_out(orders)
        elif action == "end" and running:
            run = running.pop(k % len(running))
            carry_out(dispatch.ended(run, "failed" if number else "completed", policy.now_ns))
        elif action == "drain":
            (engine.undrain if k else engine.drain)("r1")
            carry_out(dispatch.look_again(0b10, policy.now_ns))
        elif action == "tick":
            tick(k * 1_000_000)
    while running:
        carry_out(dispatch.ended(running.pop(), "completed", policy.now_ns))
    tick(10 * SECOND)
    assert policy.n_overtaken == 0
    assert sorted(ended) == sorted(set(ended))
    assert len(ended) == n_jobs
    assert len(dispatch) == engine.in_flight == 0


@given(share=st.floats(0.01, 0.99), n=st.integers(1, 300), before=st.integers(0, 50))
def test_a_minimum_share_bounds_starvation_and_nothing_else_does(share: float, n: int, before: int) -> None:
    """While a higher class floods the queue, a lower one that waits throughout gets at least floor(share n) of any
    n starts in a row, and no more than its share and the one that completes it; without a share it gets none."""
    for min_share in (share, 0.0):
        queues: Queues[str] = Queues([1], {"low": min_share})
        starts = []
        for i in range(before + n):
            queues.put("high", 0, 0, 10**9, "high")
            queues.put("low", 0, 1, 10**9 - i, "low")
            starts.append(queues.take(0, 0))
            queues.release(0)
        got = starts[before:].count("low")
        if min_share:
            assert floor(share * n) <= got <= share * n + 1
        else:
            assert got == 0


@given(
    shares=st.lists(st.floats(0.02, 0.3), min_size=2, max_size=3),
    n=st.integers(50, 300),
)
def test_several_minimum_shares_hold_together(shares: list[float], n: int) -> None:
    """G classes whose shares add up to at most 1: each gets at least floor(share n) - (G - 1) of n starts."""
    names = [f"low{i}" for i in range(len(shares))]
    queues: Queues[str] = Queues([1], dict(zip(names, shares, strict=True)))
    starts = []
    for _ in range(n):
        queues.put("high", 0, 0, 10**9, "high")
        for level, name in enumerate(names, 1):
            queues.put(name, 0, level, 10**9, name)
        starts.append(queues.take(0, 0))
        queues.release(0)
    for name, share in zip(names, shares, strict=True):
        assert starts.count(name) >= floor(share * n) - (len(shares) - 1)


def test_a_share_is_only_earned_while_the_class_waits_on_that_resource() -> None:
    queues: Queues[str] = Queues([1, 1], {"low": 0.5})
    for _ in range(10):
        queues.put("high", 0, 0, 10, "high")
        assert queues.take(0, 0) == "high"
        queues.release(0)
    queues.put("high", 0, 0, 10, "high")
    queues.put("low", 0, 1, 10, "low")
    queues.put("low elsewhere", 1, 1, 10, "low")
    assert queues.take(0, 0) == "high"


def test_a_dropped_job_does_not_use_up_its_class_share() -> None:
    """What is looked at and then dropped never started: the class's next job is owed that start still."""
    queues: Queues[str] = Queues([1], {"low": 0.5})
    for name in ("low 1", "low 2", "low 3"):
        queues.put(name, 0, 1, 10, "low")
    queues.put("high 1", 0, 0, 10, "high")
    queues.put("high 2", 0, 0, 10, "high")
    assert queues.take(0, 0) == "high 1"
    queues.release(0)
    owed = queues.head(0, 0)
    assert owed is not None
    assert owed.job == "low 1"
    queues.remove(owed)
    assert queues.take(0, 0) == "low 2"
