# Jobs in their queues and slots: put there, taken out, and settled with the policy, once each. No rule is here.

cdef double NEVER_S = 1e9                       # thirty years
cdef int64_t NEVER_NS = 1_000_000_000_000_000_000


cdef inline int64_t nanoseconds(double seconds) noexcept:
    """To the nearest; thirty years, either way, are as good as for ever."""
    if not seconds < NEVER_S:
        return NEVER_NS
    return llrint(seconds * 1e9) if seconds > -NEVER_S else -NEVER_NS


cdef class Places:
    """The runs of all jobs; `Dispatch` inherits it and decides where they are put."""

    cdef readonly Queues _queues
    cdef Timers timers
    cdef Py_ssize_t n_open
    cdef object _policy
    cdef bint forecasts, sizes          # does the policy forecast, and so jobs that are joined?
    cdef Orders owed                    # of a call that the policy ended with an exception; None = of none

    def __cinit__(self, *_, **__):
        self._queues = Queues(())
        self.timers = Timers()

    def __init__(self, slots, policy, min_share=None):
        self._queues = Queues(slots, min_share)
        self.policy = policy

    @property
    def policy(self):
        """Who decides. It is replaced while no run is open, since it hears of the end of each that it decided on:
        else raises ConfigError."""
        return self._policy

    @policy.setter
    def policy(self, policy):
        if self.n_open:
            raise ConfigError(f"policy: {self.n_open} runs are open; replace it once they have ended (drain first)")
        self._policy = policy
        self.forecasts = isinstance(policy, Forecasting)
        self.sizes = isinstance(policy, Joining)

    def queued(self, int lane):
        """What waits for a lane, by priority, then deadline."""
        return self._queues.queued(lane)

    @property
    def n_queued(self):
        """Runs that wait, on all lanes."""
        return self._queues.n_waiting

    def load(self, int lane):
        """(slots that are taken, runs that wait) of a lane."""
        cdef Line line = self._queues.line_of(lane)
        return line.slots - line.free, line.length

    def __len__(self):
        """Open runs: queued or in service, copies and what is left of ended jobs included."""
        return self.n_open

    def cancel(self, Job job not None, int64_t now_ns):
        """Takes a job out of the queues. What already runs goes on, and then the job ends as that does."""
        cdef Orders orders = self.take_orders()
        self.withdraw(job, now_ns, orders)
        return self.hand_out(orders)

    def clear(self, int64_t now_ns):
        """Cancels everything that is queued."""
        cdef Orders orders = self.take_orders()
        cdef Queued entry
        for place in self._queues._expiry.in_order():
            entry = <Queued>place
            if entry.open:
                self.leave(<Run>self._queues.leave(entry), "cancelled", None, now_ns, orders)
        return self.hand_out(orders)

    def speaks(self, Run run not None, int64_t now_ns):
        """A started run has handed out a part of its answer: its job ends as this run does. It gets no copy from now
        on, one that is queued leaves, and one that runs counts as cancelled at its end."""
        cdef Job job = run.job
        if job is None or job.end is not None or job.speaker is not None:
            return
        job.speaker = run
        self.withdraw(job, now_ns, self.owed)       # it orders nothing: the job is open

    cdef Orders take_orders(self):
        if self.owed is None:
            self.owed = Orders.__new__(Orders)
        return self.owed

    cdef Orders hand_out(self, Orders orders):
        self.owed = None
        return orders

    cdef void withdraw(self, Job job, int64_t now_ns, Orders orders):
        cdef Run run
        for run in job.runs:
            if run.entry is not None and self._queues.remove(run.entry):
                self.leave(run, "cancelled", None, now_ns, orders)

    cdef Run add_run(self, Job job, assignment):
        self._queues.line_of(assignment.lane)       # raises where there is no such lane: before anything is counted
        cdef Run run = Run.__new__(Run)
        run.job = job
        run.assignment = assignment
        run.lane = assignment.lane
        run.n_together = 1
        job.runs.append(run)
        job.n_open += 1
        self.n_open += 1
        return run

    cdef void put(self, Run run):
        cdef Job job = run.job
        run.entry = self._queues.line_up(run, run.lane, job.priority, job.deadline_ns, job.qos.name, job.key)

    cdef void leave(self, Run run, end, reason, int64_t now_ns, Orders orders):
        """A run that left its queue without a start. The job ends with it when it was the last, and as failed or timed
        out where another one was: that has an error to tell."""
        cdef Job job = run.job
        cdef Run other
        run.entry = None
        try:
            self.settle(run, end, now_ns)
        finally:
            if job.end is None and job.n_open == 0:
                for other in job.runs:
                    if other.end == "failed" or other.end == "timed_out":
                        run, end, reason = other, other.end, None
                        break
                self.end_job(job, run, end, reason, now_ns, orders)

    cdef void end_job(self, Job job, Run run, end, reason, int64_t now_ns, Orders orders):
        """First result wins: a copy that is still queued leaves, one that runs ends by itself and teaches."""
        cdef Run other
        job.end, job.end_ns, job.reason, job.last = end, now_ns, reason, run
        orders.ended.append(job)
        if job.n_open:
            for other in job.runs:
                if other.entry is not None and self._queues.remove(other.entry):
                    self.leave(other, "cancelled", None, now_ns, orders)

    cdef void settle(self, Run run, end, int64_t now_ns, bint warmup=False, tokens=None):
        cdef Job job = run.job
        self.timers.end(run.timer)
        run.timer, run.end, run.end_ns = None, end, now_ns
        run.job = None
        job.n_open -= 1
        self.n_open -= 1
        # a clock that went back must not lose the job
        cdef double service_s = max(now_ns - run.started_ns, 0) * 1e-9 if run.has_started else 0.0
        cdef double completion_s = max(now_ns - job.arrival_ns, 0) * 1e-9
        if self.forecasts and (warmup or tokens is not None):
            self._policy.ended(run.assignment, end, service_s, completion_s, warmup=warmup, tokens=tokens)
        else:       # a tenth of a microsecond less
            self._policy.ended(run.assignment, end, service_s, completion_s)
