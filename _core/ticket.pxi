# One decision, settled exactly once.

cdef tuple REASONS = (None, "late", "no_resource")


@cython.freelist(64)
@cython.final
@cython.no_gc_clear         # collected in a reference cycle, it must still know its route, and that its core
@cython.auto_pickle(False)
cdef class Ticket:
    """One decision. Settle it exactly once: `complete`, `fail`, `cancel`, or `with ticket:`.

    A rejected ticket (`admitted` False) occupies nothing and has nothing to settle. An admitted one that is
    dropped unsettled is cancelled when it is collected, and counted in `engine.counters["n_abandoned"]`.
    """

    cdef RouteCore route
    cdef object chosen
    cdef int slot, generation, n_tied, verdict
    cdef bint is_open
    cdef double p, left, wait, service_mean, m, s, dof, m_total, s_total
    cdef object __weakref__

    def __init__(self):
        raise TicketError("tickets are made by route.select(), not by hand")

    def __reduce__(self):
        raise TicketError("a ticket stands for one place in this engine: it cannot be copied or pickled")

    @property
    def admitted(self):
        """False when admission refused the job; `reason` says why."""
        return self.verdict == ADMITTED

    @property
    def reason(self):
        """None when admitted, else a stable id: 'late' (P(on time) too low on the nearest candidate) or
        'no_resource' (every candidate that the mask allows is drained, ejected or removed)."""
        return REASONS[self.verdict]

    @property
    def resource(self):
        """The Resource that should run the job; of one rejected as 'late' the nearest candidate, of
        'no_resource' None (its forecasts are then infinite and P(on time) 0)."""
        return self.chosen

    @property
    def settled(self):
        """True once complete, fail or cancel was called (or nothing was admitted)."""
        return not self.is_open

    @property
    def p_on_time(self):
        """The claim: predictive probability in [0, 1] that the job succeeds within its deadline."""
        return self.p

    @property
    def left_s(self):
        """Seconds that were left to the deadline at the decision; <= 0 when it was over."""
        return self.left

    @property
    def wait_s(self):
        """Expected seconds from arrival to start."""
        return self.wait

    @property
    def service_s(self):
        """Expected seconds from start to end."""
        return self.service_mean

    @property
    def expected_s(self):
        """Expected seconds from arrival to end."""
        return self.wait + self.service_mean

    @property
    def bound_s(self):
        """Seconds within which the job ends with the class's required probability, given that it succeeds."""
        return exp(self.m_total + self.s_total * student_quantile(self.route.z_on_time, self.dof))

    @property
    def hedge_at_s(self):
        """Seconds of service after which this job is an outlier of its own forecast: exp(m + 2 s)."""
        return exp(self.m + 2.0 * self.s)

    @property
    def propensity(self):
        """Probability with which the choice fell on this resource: 1, or 1 / n among n tied candidates."""
        return 1.0 / self.n_tied

    @property
    def features(self):
        """The encoded features that the decision saw and `complete` will learn from, float64 (d,), a copy."""
        self._check("features are kept while a ticket is open")
        cdef TicketSlot* job = self.route.core.st.ticket + self.slot
        cdef int i
        return np.array([job.x[i] for i in range(job.d)])

    cdef int _check(self, str expected) except -1:
        if self.is_open and self.route.core.st.ticket[self.slot].generation == self.generation:
            return 0
        if self.verdict != ADMITTED:
            raise TicketError(f"ticket was rejected ({self.reason}): there is nothing to settle; test `admitted`")
        raise TicketError(f"ticket is settled already: {expected}")

    def start(self):
        """Says that service begins now. Needed where the caller owns the queue (`discipline="priority"`);
        on a fifo resource starts are inferred from its slots. Raises TicketError. A second call changes nothing."""
        cdef int64_t now_ns = self.route.core.clock.read()
        self._check("start() comes before complete, fail or cancel")
        start_ticket(&self.route.core.st, self.slot, now_ns)

    def complete(self, service_s=None):
        """Settles as completed and teaches the (resource, model) profile.

        service_s: seconds from start to end, finite, >= 0; None = now minus the start of service.
        Raises InputError or TicketError and then changes nothing. Cost: <= 600 ns amortised over rebuilds.
        """
        cdef double seconds = -1.0 if service_s is None else seconds_of(service_s)
        # a user's clock runs Python, and another thread may settle meanwhile: it is read before the check
        cdef int64_t now_ns = self.route.core.clock.read()
        self._check("complete() once, or not at all")
        self._complete(now_ns, seconds)

    cdef void _complete(self, int64_t now_ns, double seconds):
        cdef Core core = self.route.core
        cdef TicketSlot* job = core.st.ticket + self.slot
        cdef int64_t start_ns = job.start_ns
        if seconds < 0.0:
            if job.state == TICKET_QUEUED:   # never seen to start: not before a slot was last freed
                start_ns = max(job.arrival_ns, core.st.load[job.lane].freed_ns)
            seconds = <double>(now_ns - start_ns) * 1e-9
        # one nanosecond is what the clock resolves; zero has no logarithm
        learn_service(&core.st, job, seconds if seconds > 1e-9 else 1e-9, now_ns)
        self._close(now_ns)

    def fail(self):
        """Settles as failed: counts against availability, teaches nothing about latency. Raises TicketError."""
        cdef int64_t now_ns = self.route.core.clock.read()
        self._check("fail() once, or not at all")
        learn_failure(&self.route.core.st, self.route.core.st.ticket + self.slot, now_ns)
        self._close(now_ns)

    def cancel(self):
        """Settles as cancelled: frees its place, teaches nothing. Raises TicketError."""
        cdef int64_t now_ns = self.route.core.clock.read()
        self._check("cancel() once, or not at all")
        self._close(now_ns)

    cdef void _close(self, int64_t now_ns):
        self.is_open = False
        close_ticket(&self.route.core.st, self.slot, now_ns)

    def __enter__(self):
        self._check("enter it once")
        return self

    def __exit__(self, kind, error, traceback):
        """Normal exit completes, an Exception fails, cancellation and KeyboardInterrupt cancel."""
        if not self.is_open:
            return
        if kind is None:
            self.complete()
        elif issubclass(kind, Exception):
            self.fail()
        else:
            self.cancel()

    def __dealloc__(self):
        # nobody can settle it any more; its place must not stay taken
        if self.is_open and self.route is not None:
            self.route.core.st.head.n_abandoned += 1
            close_ticket(&self.route.core.st, self.slot, self.route.core.last_ns)

    def __repr__(self):
        state = "rejected: " + self.reason if not self.admitted else ("open" if self.is_open else "settled")
        name = "-" if self.chosen is None else self.chosen.name
        return f"<Ticket {name} {state}, P(on time) {self.p:.3f}, expected {self.expected_s:.4g} s>"


cdef double seconds_of(value) except -1.0:
    cdef double seconds
    try:
        seconds = value
    except (TypeError, OverflowError):
        raise InputError(f"service_s={value!r}: seconds as a number >= 0 are expected") from None
    if not isfinite(seconds) or seconds < 0.0:
        raise InputError(f"service_s={value!r}: seconds must be finite and >= 0; a job without an end is fail() or cancel()")
    return seconds
