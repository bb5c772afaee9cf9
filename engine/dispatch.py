"""Which queued job runs, where and when: decide, queue, start, look again, drop, hedge.

No thread, no lock, no clock reading. The owner (executor, gateway, replay) passes `now_ns`, holds its own lock, and
carries out the `Orders` that every call returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar

from tailwise.clock import as_ns
from tailwise.errors import InputError
from tailwise.job import Job, Orders, Run
from tailwise.places import Places
from tailwise.policy import Assignment, Policy
from tailwise.qos import QoS
from tailwise.rules import Rules
from tailwise.validate import as_number, is_positive, require

__all__ = ["Dispatch"]

T = TypeVar("T")

#: A queued job is looked at again at its newly predicted start, but not sooner than this: the residual of a job
#: that overstays may be forecast arbitrarily short.
LOOK_NS = 1_000_000
#: A refused hedge is asked for again when the running job is older by this share: O(log age) askings.
REARM = 0.25
#: Hedges that a quiet time can save up: bounds the extra load of a moment in which all jobs stall.
HEDGES_SAVED = 10.0


class Dispatch(Places[T]):
    """Owns the queues and slots of all resources, on behalf of a policy.

    slots: by lane; `set_slots` says them of a resource that joins later, or takes the lane of one that was removed.
    min_share: by class name, see `QoS`. usable: the lanes that may be chosen now (bit set, None = all that have
    slots here), asked at every decision. The rules but expiry need a policy that forecasts; with any other, jobs are
    queued, expire and start, and nothing else.
    """

    def __init__(
        self,
        slots: Sequence[int],
        policy: Policy,
        *,
        min_share: Mapping[str, float] | None = None,
        rules: Rules | None = None,
        usable: Callable[[], int | None] | None = None,
    ) -> None:
        super().__init__(slots, policy, min_share)
        self.rules = Rules() if rules is None else rules
        self._usable = usable
        self._hedges = 0.0  # that the budget allows now

    def submit(
        self,
        payload: T,
        model: str,
        qos: QoS,
        features: tuple[float, ...],
        now_ns: int,
        *,
        deadline_s: float | None = None,
    ) -> tuple[Job[T], Orders[T]]:
        """Decides on a job that arrives now and queues it. deadline_s: its own budget, > 0; None = its class's.

        A refused job has `end` "rejected" and occupies nothing. Raises InputError and what the policy does, and then
        changes nothing.
        """
        budget_s = qos.deadline_s
        if deadline_s is not None:
            own = is_positive(as_number(deadline_s))
            require(own, "submit", "deadline_s", deadline_s, "seconds > 0 or None", InputError)
            budget_s = float(deadline_s)
        assignment = self._policy.assign(model, qos.name, features, self._lanes(), deadline_s)
        job = Job(payload, model, qos, features, now_ns, assignment, budget_s, now_ns + as_ns(budget_s))
        if self._hedges < HEDGES_SAVED:
            self._hedges += self.rules.hedge_budget
        orders: Orders[T] = Orders()
        if assignment.reason is not None:
            job.end, job.end_ns, job.reason = "rejected", now_ns, assignment.reason
            orders.ended.append(job)
            return job, orders
        self._place(job, assignment, now_ns, orders)
        return job, orders

    def ended(
        self,
        run: Run[T],
        end: Literal["completed", "failed", "cancelled"],
        now_ns: int,
        *,
        slot_lost: bool = False,
    ) -> Orders[T]:
        """A started run has ended; its slot is free, unless it was lost with its worker (then `free` it later)."""
        orders: Orders[T] = Orders()
        self._settle(run, end, now_ns)
        if not slot_lost:
            self._queues.release(run.lane)
        if run.job.end is None and (end == "completed" or all(other.settled for other in run.job.runs)):
            self._end_job(run, end, None, now_ns, orders)
        self._heed(now_ns, orders)
        self._fill(run.lane, now_ns, orders)
        return orders

    def free(self, lane: int, n_slots: int, now_ns: int) -> Orders[T]:
        """Slots that were lost with a worker are back."""
        orders: Orders[T] = Orders()
        for _ in range(n_slots):
            self._queues.release(lane)
        self._fill(lane, now_ns, orders)
        return orders

    def set_slots(self, lane: int, n_slots: int, now_ns: int) -> Orders[T]:
        """How many jobs a lane serves at once from now on, >= 0; jobs in service beyond that end as ever. Those
        queued at a lane that has none are decided again where the policy forecasts and the rules re-decide; else
        they wait for slots, and expire.

        A lane that had none is usable from now on: the policy is asked for lanes with slots here and no others, so
        say this once a resource has joined the engine and its own queue (`Engine.add`, `Engine.own_queue`). Raises
        InputError, and then changes nothing.
        """
        orders: Orders[T] = Orders()
        self._queues.set_slots(lane, n_slots)
        if n_slots:
            self._fill(lane, now_ns, orders)
        else:
            self._look_at(1 << int(lane), now_ns, orders)
        return orders

    def cancel(self, job: Job[T], now_ns: int) -> Orders[T]:
        """Takes a job out of the queues. What already runs goes on, and then the job ends as that does."""
        orders: Orders[T] = Orders()
        for run in job.runs:
            if run.entry is not None and self._queues.remove(run.entry):
                self._leave(run, "cancelled", None, now_ns, orders)
        return orders

    def clear(self, now_ns: int) -> Orders[T]:
        """Cancels everything that is queued."""
        orders: Orders[T] = Orders()
        for run in self._queues.clear():
            self._leave(run, "cancelled", None, now_ns, orders)
        return orders

    def due(self, now_ns: int) -> Orders[T]:
        """What the clock brings: expiries, re-decisions, hedges. Call it at `next_due_ns`."""
        orders: Orders[T] = Orders()
        for run in self._queues.expire(now_ns):
            self._leave(run, "expired", "expired", now_ns, orders)
        self._heed(now_ns, orders)
        while (run_ := self._timers.pop(now_ns)) is not None:
            if run_.entry is not None:
                self._reconsider(run_, now_ns, orders)
            else:
                self._hedge(run_, now_ns, orders)
        return orders

    def next_due_ns(self) -> int | None:
        """When `due` has work next; None while the clock brings nothing."""
        expiry_ns, look_ns = self._queues.next_expiry_ns(), self._timers.next_ns()
        if expiry_ns is None or (look_ns is not None and look_ns < expiry_ns):
            return look_ns
        return expiry_ns

    def look_again(self, lanes: int, now_ns: int) -> Orders[T]:
        """Decides again on every job queued at these lanes (bit set): one of them is down, say."""
        orders: Orders[T] = Orders()
        self._look_at(lanes, now_ns, orders)
        return orders

    # --- inside: one job's way through ----------------------------------------------------------------------

    def _place(self, job: Job[T], assignment: Assignment, now_ns: int, orders: Orders[T]) -> None:
        run = Run(job, assignment)
        job.runs.append(run)
        self._n_open += 1
        # admission has just judged it: the start test is for jobs that waited
        if now_ns < job.deadline_ns and self._queues.occupy(assignment.lane, now_ns, job.qos.name):
            self._start(run, now_ns, orders)
        else:
            self._put(run)
            self._watch(run, now_ns)

    def _watch(self, run: Run[T], now_ns: int) -> None:
        """Sets the one timer of a queued run: at its predicted start."""
        if run.entry is not None and self._forecasts is not None and self.rules.re_decide:
            start_ns = run.job.arrival_ns + as_ns(self._forecasts.wait_s(run.assignment))
            run.timer = self._timers.set(run, max(start_ns, now_ns + LOOK_NS))

    def _fill(self, lane: int, now_ns: int, orders: Orders[T]) -> None:
        """Starts what the free slots of a lane allow."""
        while (entry := self._queues.head(lane, now_ns)) is not None:
            run = entry.job
            assert run is not None
            if not self._may_start(run, now_ns):
                self._queues.remove(entry)
                self._leave(run, "expired", "late_start", now_ns, orders)
            else:
                self._queues.start(entry, now_ns)
                self._start(run, now_ns, orders)

    def _may_start(self, run: Run[T], now_ns: int) -> bool:
        rules, job = self.rules, run.job
        if self._forecasts is None or not rules.start_test or (rules.spare_urgent and job.qos.priority == 0):
            return True
        return self._forecasts.may_start(run.assignment, (job.deadline_ns - now_ns) * 1e-9)

    def _start(self, run: Run[T], now_ns: int, orders: Orders[T]) -> None:
        self._timers.stop(run.timer)
        run.entry, run.timer, run.start_ns = None, None, now_ns
        self._policy.started(run.assignment)
        orders.start.append(run)
        if (
            self._forecasts is not None
            and self.rules.hedge
            and run.job.qos.priority == 0
            and not run.job.hedged
        ):
            run.timer = self._timers.set(run, now_ns + as_ns(self._forecasts.hedge_at_s(run.assignment)))

    def _reconsider(self, run: Run[T], now_ns: int, orders: Orders[T]) -> None:
        assert self._forecasts is not None
        assert run.entry is not None
        self._timers.stop(run.timer)
        left, bonus = run.lane, self.rules.stay_bonus
        run.assignment = self._forecasts.reconsider(run.assignment, self._mask(run), bonus)
        if run.lane != left:
            self._queues.remove(run.entry)
            self._put(run)
            run.job.n_moves += 1
            self._fill(run.lane, now_ns, orders)
        self._watch(run, now_ns)

    def _hedge(self, run: Run[T], now_ns: int, orders: Orders[T]) -> None:
        """One copy of a running job that is an outlier of its forecast, while that can still help it."""
        assert self._forecasts is not None
        job, copy = run.job, None
        if job.end is not None or now_ns >= job.deadline_ns:
            return
        if self._hedges >= 1.0:
            copy = self._forecasts.copy(run.assignment, self._mask(run))
        if copy is None:
            assert run.start_ns is not None
            age_ns = now_ns - run.start_ns
            run.timer = self._timers.set(run, now_ns + max(LOOK_NS, round(REARM * age_ns)))
        else:
            self._hedges -= 1.0
            self._place(job, copy, now_ns, orders)

    def _mask(self, run: Run[T]) -> int:
        """The lanes that a run may use: usable now, and not where the job's other run is."""
        mask = self._lanes()
        for other in run.job.runs:
            if other is not run and not other.settled:
                mask &= ~(1 << other.lane)
        return mask

    def _lanes(self) -> int:
        """Bit set of those that may be chosen now."""
        usable = None if self._usable is None else self._usable()
        return self._queues.lanes if usable is None else self._queues.lanes & usable

    def _heed(self, now_ns: int, orders: Orders[T]) -> None:
        if self._forecasts is not None and (lanes := self._forecasts.disturbed()):
            self._look_at(lanes, now_ns, orders)

    def _look_at(self, lanes: int, now_ns: int, orders: Orders[T]) -> None:
        if self._forecasts is None or not self.rules.re_decide:
            return
        for lane in range(lanes.bit_length()):
            if lanes >> lane & 1:
                for run in self._queues.queued(lane):
                    if run.entry is not None:
                        self._reconsider(run, now_ns, orders)
