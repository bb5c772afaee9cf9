# Which queued job runs, where and when: decide, queue, start, look again, drop, hedge.

#: A queued job is looked at again at its newly predicted start, but not sooner than this: the residual of a job
#: that overstays may be forecast arbitrarily short.
cdef int64_t LOOK_NS = 1_000_000
#: Nor is a running one for a copy sooner than this after its start, where that is no more than a quarter of what its
#: deadline leaves: quick jobs in a row would wake their owner's timer in every look, and each of them cost 10 to 20 us
#: more of a processor by that (bench.executor), to be saved from a stall that hurts nobody.
cdef int64_t STALL_NS = 4_000_000
#: A refused hedge is asked for again when the running job is older by this share: O(log age) askings.
cdef double REARM = 0.25
#: Hedges that a quiet time can save up: bounds the extra load of a moment in which all jobs stall.
HEDGES_SAVED = 10.0
cdef double SAVED = HEDGES_SAVED
#: How a run may end that has started.
cdef tuple ENDS = ("completed", "failed", "cancelled", "timed_out")


cdef class Dispatch(Batches):
    """Owns the queues and slots of all resources, on behalf of a policy.

    No thread, no lock, no clock reading: the owner (executor, gateway, replay) passes `now_ns`, holds its own lock,
    and carries out the `Orders` that every call returns. What the policy raises comes through: the jobs are where they
    would be without it, and what was ordered by then is among the orders of the next call (of `free` with no slots,
    which goes on filling the lane, if there is none). Only what it raises once it has decided on a new job is handed
    out beside that job, which goes on, as `Orders.error`.

    slots: by lane; `set_slots` says them of a resource that joins later, or takes the lane of one that was removed.
    min_share: by class name, see `QoS`. usable: the lanes that may be chosen now (bit set, None = all that have
    slots here), asked at every decision. The rules but expiry need a policy that forecasts; with any other, jobs are
    queued, expire and start, and nothing else.
    batching: by model name, how its waiting jobs are joined (`Batching`); models: of the engine, which say what their
    items are, needed for it. When a slot frees and a job starts, those that wait at the resource for the same model
    and were submitted with an equal `shape` start with it, by queue order, whatever their class: as many as fit in
    `max_items` and end in time, while on a resource of one slot those that ride ahead of a higher class, which waits
    there for another model, leave it the time that it needs; for a policy that does not forecast joined jobs
    (`Joining`) as many as fit. The batch
    takes one slot and is one run; each of its jobs ends by itself (`ended`), and counts as a start of its class for
    min_share, so that after a batch of n another class may be owed as much as after n starts in a row.
    Raises ConfigError.
    """

    cdef readonly object rules
    cdef object usable
    cdef bint re_decide, hedges
    cdef double hedge_budget
    cdef double saved                   # hedges that the budget allows now

    __class_getitem__ = classmethod(GenericAlias)

    def __init__(self, slots, policy, *, min_share=None, rules=None, usable=None, batching=None, models=()):
        Batches.__init__(self, slots, policy, min_share, batching, models)
        rules = Rules() if rules is None else rules
        self.rules = rules
        self.start_test, self.spare_urgent = rules.start_test, rules.spare_urgent
        self.re_decide, self.hedges, self.hedge_budget = rules.re_decide, rules.hedge, rules.hedge_budget
        self.usable = usable
        self.saved = 0.0

    def submit(self, payload, model, qos, features, int64_t now_ns, *, deadline_s=None, shape=None):
        """Decides on a job that arrives now and queues it. deadline_s: its own budget, > 0; None = its class's.
        shape: hashable; it may be served together with jobs of its model and an equal one, where `batching` has the
        model. None = with none.

        model: of a model or, where the policy knows families, of one; then `job.model` is the variant that it chose.
        A refused job has `end` "rejected" and occupies nothing. Raises InputError, what the policy's `assign` does, and
        IndexError for a lane that there is not, and then changes nothing.
        """
        budget_s = min(qos.deadline_s, qos.ttft_s)      # as in a decision: of what the class bounds first
        if deadline_s is not None:
            own = is_positive(as_number(deadline_s))
            require(own, "submit", "deadline_s", deadline_s, "seconds > 0 or None", InputError)
            budget_s = float(deadline_s)
        if shape is not None:
            self.check_shape(model, features, shape)
        assignment = self._policy.assign(model, qos.name, features, self.open_lanes(), deadline_s)
        cdef Job job = Job.__new__(Job)
        cdef Orders orders = self.take_orders()
        job.payload, job.qos, job.features = payload, qos, features
        job.model = model if assignment.model is None else assignment.model
        job.arrival_ns = now_ns
        job.assignment = assignment
        job.deadline_s = budget_s
        job.deadline_ns = now_ns + nanoseconds(job.deadline_s)
        job.priority = qos.priority
        job.runs = []
        self.set_kin(job, shape)
        if self.saved < SAVED:
            self.saved += self.hedge_budget
        reason = assignment.reason
        if reason is not None:
            job.end, job.end_ns, job.reason = "rejected", now_ns, reason
            orders.ended.append(job)
        else:
            try:
                self.place(job, assignment, now_ns, orders)
            except Exception as error:
                if not job.runs:
                    raise
                orders.error = error
        return job, self.hand_out(orders)

    def ended(self, Run run not None, end, int64_t now_ns, *, bint slot_lost=False, bint warmup=False, tokens=None):
        """A started run has ended; its slot is free, unless it was lost with its worker (then `free` it later). Of a
        batch say it of each of `run.batch`, in any order: the slot is free with the last of them, unless it was said
        of any that it was lost; how long it took is learned from the lead.

        end: "completed", "failed", "cancelled", or "timed_out", given up while it ran. warmup: it was slow because
        nothing was warm (a model just loaded); tokens: of the whole answer of a model with two signals, None =
        unknown; both as in `Ticket.complete`, and heard by policies that forecast. Raises InputError, and TicketError
        where it has ended already or is still queued, and then changes nothing.
        """
        cdef Orders orders = self.take_orders()
        cdef Job job = run.job
        if end not in ENDS:
            raise InputError(f"ended: end={end!r}, {' or '.join(map(repr, ENDS))} is expected")
        if tokens is not None and not is_whole(tokens, 0, 1 << 40):
            raise InputError(f"ended: tokens={tokens!r}, a whole number of tokens, 0 to 2**40, or None is expected")
        if job is None:
            raise TicketError(f"the run on lane {run.lane} is {run.end} already: a run ends once")
        if not run.has_started:
            raise TicketError(f"the run on lane {run.lane} has not started: cancel its job instead")
        if job.speaker is not None and job.speaker is not run and end == "completed":
            end = "cancelled"
        try:
            self.settle(run, end, now_ns, warmup, tokens)
        finally:
            self.release(run, slot_lost)
            if job.end is None and (job.n_open == 0 or end == "completed" or job.speaker is run):
                self.end_job(job, run, end, None, now_ns, orders)
        self.heed(now_ns, orders)
        self.fill(run.lane, now_ns, orders)
        return self.hand_out(orders)

    def free(self, int lane, int n_slots, int64_t now_ns):
        """Slots that were lost with a worker are back."""
        cdef Orders orders = self.take_orders()
        for _ in range(n_slots):
            self._queues.release(lane)
        self.fill(lane, now_ns, orders)
        return self.hand_out(orders)

    def set_slots(self, lane, n_slots, int64_t now_ns):
        """How many jobs a lane serves at once from now on, >= 0; jobs in service beyond that end as ever. Those
        queued at a lane that has none are decided again where the policy forecasts and the rules re-decide; else
        they wait for slots, and expire.

        A lane that had none is usable from now on: the policy is asked for lanes with slots here and no others, so
        say this once a resource has joined the engine and its own queue (`Engine.add`, `Engine.own_queue`). Raises
        InputError, and then changes nothing.
        """
        cdef Orders orders = self.take_orders()
        self._queues.set_slots(lane, n_slots)
        if n_slots:
            self.fill(lane, now_ns, orders)
        else:
            self.look_at(1 << int(lane), now_ns, orders)
        return self.hand_out(orders)

    def due(self, int64_t now_ns):
        """What the clock brings: expiries, re-decisions, hedges. Call it at `next_due_ns`."""
        cdef Orders orders = self.take_orders()
        cdef Run run
        while (run := <Run>self._queues.expire_first(now_ns)) is not None:
            self.leave(run, "expired", "expired", now_ns, orders)
        self.heed(now_ns, orders)
        while (item := self.timers.due(now_ns)) is not None:
            if type(item) is Hold:
                self.fill((<Hold>item).lane, now_ns, orders)
            elif (<Run>item).entry is not None:
                self.reconsider(<Run>item, now_ns, orders)
            else:
                self.hedge(<Run>item, now_ns, orders)
        return self.hand_out(orders)

    def next_due_ns(self):
        """When `due` has work next; None while the clock brings nothing."""
        cdef Place expiry = self._queues._expiry.top(), look = self.timers._heap.top()
        if expiry is None or (look is not None and look.at_ns < expiry.at_ns):
            return None if look is None else look.at_ns
        return expiry.at_ns

    def look_again(self, lanes, int64_t now_ns):
        """Decides again on every job queued at these lanes (bit set): one of them is down, say."""
        cdef Orders orders = self.take_orders()
        self.look_at(lanes, now_ns, orders)
        return self.hand_out(orders)

    # --- inside: one job's way through ----------------------------------------------------------------------

    cdef void place(self, Job job, assignment, int64_t now_ns, Orders orders):
        cdef Run run = self.add_run(job, assignment)
        cdef bint may_be_held = job.joint is not None and job.joint.hold_ns
        # admission has just judged it: the start test is for jobs that waited
        if not may_be_held and now_ns < job.deadline_ns and self._queues.occupy(run.lane, now_ns, job.qos.name):
            self.start(run, now_ns, orders)
            return
        self.put(run)
        if self.holds:
            self.fill(run.lane, now_ns, orders, run)
        self.watch(run, now_ns)

    cdef void watch(self, Run run, int64_t now_ns):
        """Sets the one timer of a queued run: at its predicted start."""
        if run.entry is None or not self.forecasts or not self.re_decide:
            return
        cdef double wait_s = self._policy.wait_s(run.assignment)
        run.timer = self.timers.begin(run, max(run.job.arrival_ns + nanoseconds(wait_s), now_ns + LOOK_NS))

    cdef void fill(self, int lane, int64_t now_ns, Orders orders, Run fresh=None):
        """Starts what the free slots of a lane allow. fresh: a run that was admitted just now."""
        cdef Queued entry
        cdef Run run
        while (entry := self._queues.first(lane, now_ns)) is not None:
            run = <Run>entry.job
            if run is not fresh and not self.may_start(run, now_ns):
                self._queues.leave(entry)
                self.leave(run, "expired", "late_start", now_ns, orders)
            elif run.job.joint is None:
                self._queues.start(entry, now_ns)
                self.start(run, now_ns, orders)
            else:
                runs = self.begin_batch(entry, now_ns, orders)
                if runs is None:
                    return
                if len(runs) == 1:
                    self.start(run, now_ns, orders)
                else:
                    self.start_batch(runs, now_ns, orders)

    cdef void start(self, Run run, int64_t now_ns, Orders orders):
        cdef double hedge_at_s
        cdef int64_t soonest_ns
        self.begin(run, now_ns)
        orders.start.append(run)
        self._policy.started(run.assignment)
        if self.forecasts and self.hedges and run.job.priority == 0 and len(run.job.runs) == 1:
            hedge_at_s = self._policy.hedge_at_s(run.assignment)
            if hedge_at_s < NEVER_S:    # most jobs shorter than a look have ended by then
                soonest_ns = max(LOOK_NS, min(STALL_NS, (run.job.deadline_ns - now_ns) // 4))
                run.timer = self.timers.begin(run, now_ns + max(soonest_ns, nanoseconds(hedge_at_s)))

    cdef void reconsider(self, Run run, int64_t now_ns, Orders orders):
        cdef int left = run.lane
        assignment = self._policy.reconsider(run.assignment, self.mask(run), self.rules.stay_bonus)
        self._queues.line_of(assignment.lane)       # raises where there is no such lane: before it leaves its queue
        self.timers.end(run.timer)
        run.assignment, run.lane = assignment, assignment.lane
        if run.lane != left:
            self._queues.remove(run.entry)
            self.put(run)
            run.job.n_moves += 1
            self.fill(run.lane, now_ns, orders)
        self.watch(run, now_ns)

    cdef void hedge(self, Run run, int64_t now_ns, Orders orders):
        """One copy of a running job that is an outlier of its forecast, while that can still help it."""
        cdef Job job = run.job
        cdef int64_t again_ns
        copy = None
        if job.end is not None or job.speaker is not None or now_ns >= job.deadline_ns:
            return
        if self.saved >= 1.0:
            copy = self._policy.copy(run.assignment, self.mask(run))
        if copy is None:
            again_ns = max(LOOK_NS, llrint(REARM * (now_ns - run.started_ns)))
            run.timer = self.timers.begin(run, now_ns + again_ns)
        else:
            self.saved -= 1.0
            self.place(job, copy, now_ns, orders)

    cdef object mask(self, Run run):
        """The lanes that a run may use: usable now, and not where the job's other run is."""
        mask = self.open_lanes()
        cdef Run other
        if run.job.n_open > 1:
            for other in run.job.runs:
                if other is not run and other.end is None:
                    mask &= ~(1 << <object>other.lane)
        return mask

    cdef object open_lanes(self):
        """Bit set of those that may be chosen now."""
        usable = None if self.usable is None else self.usable()
        return self._queues.lanes if usable is None else self._queues.lanes & usable

    cdef void heed(self, int64_t now_ns, Orders orders):
        if self.forecasts and (lanes := self._policy.disturbed()):
            self.look_at(lanes, now_ns, orders)

    cdef void look_at(self, lanes, int64_t now_ns, Orders orders):
        cdef int lane
        cdef Run run
        if not self.forecasts or not self.re_decide:
            return
        for lane in range(lanes.bit_length()):
            if lanes >> <object>lane & 1:
                for run in self._queues.queued(lane):
                    if run.entry is not None:
                        self.reconsider(run, now_ns, orders)
