"""Guarantee 4 where jobs are served together: no run of a lower class starts while a job of a higher one that could
run there waits, but in its batch; nor is a job of a higher class left behind by a rider of its shape."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

import tailwise as tw
from tailwise.dispatch import Dispatch
from tailwise.job import Job, Orders, Run
from tailwise.policy import Assignment, Learned

SECOND = 1_000_000_000
CLASSES = [tw.QoS(f"q{p}", 0.5 + p, priority=p, contract="best_effort") for p in range(3)]
MODELS = [tw.Model(name, (tw.Feature("items", typical=1.0),), items="items") for name in ("m", "k")]
MAX_ITEMS = 5

ACTIONS = st.lists(
    st.one_of(
        *[st.tuples(st.just("submit"), st.integers(0, 11), st.floats(0.5, 3.0))] * 4,
        st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from([0.0, 1.0, 2.0])),
        st.tuples(st.just("tick"), st.integers(0, 400), st.just(0.0)),
        st.tuples(st.just("drain"), st.integers(0, 1), st.just(0.0)),
        st.tuples(st.just("cancel"), st.integers(0, 99), st.just(0.0)),
    ),
    min_size=20,
    max_size=120,
)


class Watched(Learned):
    """At each start it looks at who waits on that lane: later in the same call others may move there."""

    life: Life

    def started(self, assignment: Assignment) -> None:
        super().started(assignment)
        self.life.check_start([assignment])

    def started_batch(self, assignments: Sequence[Assignment], features: tuple[float, ...]) -> None:
        super().started_batch(assignments, features)
        self.life.check_start(assignments)

    def assign(
        self,
        model: str,
        qos: str,
        features: tuple[float, ...],
        mask: int | None,
        deadline_s: float | None = None,
    ) -> Assignment:
        assignment = super().assign(model, qos, features, mask, deadline_s)
        self.life.level[id(assignment.ticket)] = int(qos[1:])
        return assignment

    def copy(self, assignment: Assignment, mask: int | None) -> Assignment | None:
        copy = super().copy(assignment, mask)
        if copy is not None:
            self.life.level[id(copy.ticket)] = 0
        return copy


class Life:
    """All rules on, a learning engine, resources that fail and drain, batches whose members end one by one."""

    def __init__(self, hold_s: float) -> None:
        self.slots = [1, 2]
        self.clock = tw.ManualClock()
        self.engine = tw.Engine(
            [tw.Resource(f"r{i}", slots=n, discipline="priority") for i, n in enumerate(self.slots)],
            MODELS,
            CLASSES,
            clock=self.clock,
            seed=1,
        )
        policy = Watched(self.engine)
        policy.life = self
        self.level: dict[int, int] = {}  # by id of the ticket
        self.dispatch: Dispatch[int] = Dispatch(
            self.slots,
            policy,
            rules=tw.Rules(hedge_budget=1.0),
            batching={model.name: tw.Batching(MAX_ITEMS, hold_s) for model in MODELS},
            models=MODELS,
        )
        self.now_ns = 0
        self.batches: list[list[Run[int]]] = []  # in service: those whose end was not said
        self.n_jobs = self.n_overtaken = 0
        self.by_ticket: dict[int, Job[int]] = {}
        self.ended: list[int] = []
        self.jobs: list[Job[int]] = []

    def carry_out(self, orders: Orders[int]) -> None:
        """After one call: what started is compared with what still waits."""
        for lead in orders.start:
            batch = lead.batch
            assert lead is batch[0]
            assert all(run.batch is batch or len(batch) == 1 for run in batch)
            self.batches.append(list(batch))
            if len(batch) > 1:
                assert len({(run.job.model, run.job.shape) for run in batch}) == 1
                assert sum(run.job.features[0] for run in batch) <= MAX_ITEMS
        self.ended += [job.payload for job in orders.ended]
        for lane, n in enumerate(self.slots):
            assert sum(batch[0].lane == lane for batch in self.batches) <= n
            running, _ = self.engine.load(f"r{lane}")
            assert running <= n
        assert self.engine.in_flight == len(self.dispatch)

    def check_start(self, assignments: Sequence[Assignment]) -> None:
        """Nobody of a higher class than the lead's waits there, nor any of its kin that is ahead of a rider."""
        last = self.by_ticket.get(id(assignments[-1].ticket)) if len(assignments) > 1 else None
        for waiting in self.dispatch.queued(assignments[0].lane):
            job = waiting.job
            if job.deadline_ns <= self.now_ns:
                continue
            self.n_overtaken += job.qos.priority < self.level[id(assignments[0].ticket)]
            if last is not None and (job.model, job.shape) == (last.model, last.shape):
                here, rider = ((j.qos.priority, j.deadline_ns) for j in (job, last))
                self.n_overtaken += here < rider

    def submit(self, k: int, items: float) -> None:
        model, qos, shape = MODELS[k == 0].name, CLASSES[k % 3], None if k in (1, 2) else "s"
        deadline_s = 0.4 + 2.0 * (5 * k % 4)  # of its own: queue order is not order of deadlines
        job, orders = self.dispatch.submit(
            self.n_jobs, model, qos, (items,), self.now_ns, shape=shape, deadline_s=deadline_s
        )
        self.n_jobs += job.end != "rejected"
        if job.end != "rejected":
            self.jobs.append(job)
            self.by_ticket[id(job.assignment.ticket)] = job
            self.carry_out(orders)

    def end(self, k: int, how: str) -> None:
        batch = self.batches[k % len(self.batches)]
        run = batch.pop(k % len(batch))
        if not batch:
            self.batches.remove(batch)
        self.carry_out(self.dispatch.ended(run, how, self.now_ns))  # type: ignore[arg-type]

    def tick(self, ns: int) -> None:
        """Everything that comes due on the way, at its moment."""
        until_ns = self.now_ns + ns
        while (due_ns := self.dispatch.next_due_ns()) is not None and due_ns <= until_ns:
            self.set(max(due_ns, self.now_ns))
            self.carry_out(self.dispatch.due(self.now_ns))
        self.set(until_ns)

    def set(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self.clock.set(now_ns / SECOND)


@given(actions=ACTIONS, hold_s=st.sampled_from([0.0, 0.0, 0.05]))
def test_classes_keep_their_order_and_no_job_is_lost_or_doubled_where_jobs_are_served_together(
    actions: list[tuple[str, int, float]], hold_s: float
) -> None:
    life = Life(hold_s)
    for action, k, number in actions:
        if action == "submit":
            life.submit(k, number)
        elif action == "end" and life.batches:
            life.end(k, ("completed", "failed", "timed_out")[int(number)])
        elif action == "drain":
            (life.engine.undrain if k else life.engine.drain)("r1")
            life.carry_out(life.dispatch.look_again(0b10, life.now_ns))
        elif action == "cancel" and life.jobs:
            life.carry_out(life.dispatch.cancel(life.jobs[k % len(life.jobs)], life.now_ns))
        elif action == "tick":
            life.tick(k * 1_000_000)
    while life.batches:
        life.end(0, "completed")
    life.tick(10 * SECOND)
    while life.batches:  # what was held
        life.end(0, "completed")
    assert life.n_overtaken == 0
    assert sorted(life.ended) == list(range(life.n_jobs))
    assert len(life.dispatch) == life.engine.in_flight == 0
    assert [life.engine.load(f"r{lane}") for lane in range(2)] == [(0, 0)] * 2
