# What one decision says of itself. What can be said and asked of it afterwards is Ticket's (ticket.pxi).

cdef tuple REASONS = (None, "late", "no_resource", "guarantee", "affinity", "memory", "accuracy", "cost", "throughput")  # by Verdict


cdef extern from *:
    PyObject* list_item "PyList_GET_ITEM"(PyObject* items, Py_ssize_t i) nogil     # of cpython.list takes a reference


cdef inline object resource_at(Core core, int lane):
    """Only in the engine's section, which alone writes the list: no lock of the list's own is waited for in it."""
    return <object>list_item(<PyObject*>core.resources, lane)


@cython.freelist(512)      # of Tickets, too: they add no field
@cython.no_gc_clear         # collected in a reference cycle, it must still know its route, and that its core
@cython.auto_pickle(False)
cdef class Decision:
    """The read-only half of a Ticket.

    Where nothing was forecast, since no candidate took the job ('no_resource') or nothing was decided (bypass mode), every
    forecast is None: p_on_time, p_raw, wait_s, service_s, median_s, expected_s, end_s, tpot_s, tokens, bound_s and hedge_at_s.
    """

    cdef RouteCore route
    cdef object chosen, other
    cdef int slot, generation, n_tied, verdict
    cdef readonly int lane              #: of `resource` in masks and in the columns of Z; -1 = there is none
    cdef bint is_open, observed
    cdef double regret, z_bound
    cdef Forecast f                     # of the job on that lane; its lane is -1 where nothing was forecast, and then of x
                                        # only the request's features are there, and of bypass mode not even those
    cdef int64_t made_ns                #: when it was decided
    cdef Decision last                    #: the attempt that failed before this one
    cdef list seen                      #: every candidate's numbers at the decision, where it was asked for
    cdef object __weakref__

    def __init__(self):
        raise by_hand()

    def __reduce__(self):
        raise TicketError("a ticket stands for one place in this engine: it cannot be copied or pickled")

    @property
    def admitted(self):
        """False when admission refused the job; `reason` says why."""
        return self.verdict == ADMITTED

    @property
    def reason(self):
        """None when admitted, else a stable id: 'late' (P(on time) too low on the nearest candidate), 'guarantee'
        (no candidate's claim reaches the promise), 'no_resource' (every candidate that the mask allows is drained,
        ejected or removed), or the bound that left no candidate, in the order in which they hold: 'affinity',
        'memory', 'accuracy', 'cost', 'throughput'."""
        return REASONS[self.verdict]

    @property
    def probe(self):
        """True when it was sent to learn, outside the promise: to an ejected or a silent resource, or else refused."""
        return bool(self.f.probe)

    @property
    def resource(self):
        """The Resource that should run the job; of one rejected as 'late' the nearest candidate, of
        'no_resource' None."""
        with cython.critical_section(self.route.core):      # it may move
            return self.chosen

    @property
    def preferred(self):
        """The Resource that we would have chosen; `resource` itself where the choice was ours. None when no candidate
        took the job, and in bypass mode, where nothing is decided."""
        return self.other if self.observed or self.slot < 0 else self.resource

    @property
    def regret_s(self):
        """Seconds of rank that the choice cost more than `preferred`; 0 where it was ours. Below 0 where a mask, a
        drain or an objective other than completion kept us from the faster one. None without a `preferred`."""
        return None if self.preferred is None else self.regret

    @property
    def model(self):
        """The Model that the job runs: where a family was asked for, the variant that was chosen."""
        return self.route.model

    @property
    def settled(self):
        """True once complete, fail, timeout or cancel was called (or nothing was admitted)."""
        return not self.is_open

    @property
    def p_on_time(self):
        """The claim, in [0, 1]: P(the job succeeds within its deadline), by its forecast and by what became of jobs of
        its class with forecasts like it. For one candidate it never falls when the deadline grows, nor rises when the
        backlog does."""
        return self.f.claim if self.f.lane >= 0 else None

    @property
    def p_raw(self):
        """P(on time) by the forecast alone, in [0, 1]: what choices compare, and `reject_below` refuses by."""
        return self.f.p_on_time if self.f.lane >= 0 else None

    @property
    def left_s(self):
        """Seconds that were left to the deadline at the decision (where the class has a ttft_s: to the first token);
        <= 0 when it was over."""
        return self.f.left_s

    @property
    def wait_s(self):
        """Expected seconds from arrival to start."""
        return self.f.wait_s if self.f.lane >= 0 else None

    @property
    def service_s(self):
        """Expected seconds from start to end; of a model with two signals to its first token."""
        return self.f.mean_s if self.f.lane >= 0 else None

    @property
    def median_s(self):
        """Median seconds from start to end: what candidates are ranked by."""
        return exp(self.f.m) if self.f.lane >= 0 else None

    @property
    def expected_s(self):
        """Expected seconds from arrival to what the class bounds first: the first token (ttft_s), else the end."""
        return self.f.wait_s + (self.f.mean_s if self.route.info.first else occupied_s(&self.f)) if self.f.lane >= 0 else None

    @property
    def end_s(self):
        """Expected seconds from arrival to end."""
        return self.f.wait_s + occupied_s(&self.f) if self.f.lane >= 0 else None

    @property
    def tpot_s(self):
        """Expected seconds per token after the first; None where the model has one signal."""
        return self.f.stream.mean_s if self.f.lane >= 0 and self.route.streams else None

    @property
    def tokens(self):
        """Expected tokens of the answer; None where the model has one signal."""
        return self.f.stream.tokens if self.f.lane >= 0 and self.route.streams else None

    @property
    def bound_s(self):
        """Seconds within which the job ends (where the class has a ttft_s: has its first token) with the class's required
        probability, given that it succeeds. inf or 0 where the certificate asks for such a bound."""
        if not self.f.lane >= 0:
            return None
        if self.z_bound == INFINITY or self.z_bound == -INFINITY:
            return INFINITY if self.z_bound > 0.0 else 0.0
        return exp(self.f.m_total + self.f.s_total * student_quantile(self.z_bound, self.f.dof))

    @property
    def hedge_at_s(self):
        """Seconds of service after which this job is an outlier of its own forecast: exp(m + 2 s)."""
        return exp(self.f.m + 2.0 * self.f.s) if self.f.lane >= 0 else None

    @property
    def alone(self):
        """True while no other resource can run the job's model, drained ones counted: there is none for a copy of it."""
        return self.route.core.st.model[self.route.info.model].n_candidates < 2

    @property
    def residual_s(self):
        """Seconds that the job is expected to take yet, from its start or now; outliers of its resource counted in."""
        cdef TicketSlot* job = self.route.core.st.ticket + self.slot
        cdef int64_t now_ns = self.route.core.now()
        with cython.critical_section(self.route.core):
            self._check("a job that has ended takes no longer")
            return job.mean_s if job.state == TICKET_QUEUED else mean_residual(&self.route.core.st, job, now_ns)

    @property
    def propensity(self):
        """Probability with which this was decided (this resource, admitted or not), in (0, 1]; exact: 1 / n among n
        tied candidates, times the share of probes or the rest of it where one was drawn. None under the policy
        "thompson": its choice has no closed form; `peek` estimates it by redrawing."""
        return None if isnan(self.f.chance) else self.f.chance / self.n_tied

    @property
    def features(self):
        """The encoded features that the decision saw and `complete` will learn from, float64 (d,), a copy."""
        cdef TicketSlot* job = self.route.core.st.ticket + self.slot
        cdef double[PADDED_D] x    # to be let go, and its place given to another, the job needs but one new list
        cdef int i, d
        with cython.critical_section(self.route.core):
            self._check("features are kept while a ticket is open")
            x = job.x
            d = job.d
        return np.array([x[i] for i in range(d)])

    cdef void _write(self, RouteCore route):
        """Of the forecast that was written into `f`."""
        self.route = route
        self.lane = self.f.lane
        if self.lane >= 0:
            self.chosen = resource_at(route.core, self.lane)
        self.z_bound = route.core.st.certificate[route.info.qos].z

    cdef void _issue(self, RouteCore route, const double* own, int64_t now_ns):
        """Writes the decision down and, when it is an admission, counts the job on its lane at once."""
        self._write(route)
        self.made_ns = now_ns
        if self.verdict == ADMITTED:
            self.slot = open_ticket(&route.core.st, &self.f, own, route.info.model, route.info.level, now_ns)
            self.generation = route.core.st.ticket[self.slot].generation
            self.is_open = True

    def explain(self):
        """An Explanation: every candidate's wait, service, P(on time), score, and what excluded it.

        Of a `select(..., explain=True)`: exactly what the decision saw. Otherwise the beliefs have moved on since, and
        it says so (`recomputed`): the chosen candidate's numbers are the decision's, the others are worked out now
        for the same request, without the mask and the given columns of the call, which a ticket does not keep.
        Cost: tens of microseconds.
        """
        return explain_ticket(<Ticket>self)

    @property
    def retry_after_s(self):
        """Of a job refused as 'late' or 'guarantee': seconds after which a job like it, with as much time left, would
        be admitted here if no more work came (the wait shrinks by a second a second); None where waiting cannot
        help, nothing was refused, or the model has two signals. Cost: 20 microseconds."""
        return retry_after(<Ticket>self)

    cdef int _check(self, str expected) except -1:
        if self.is_open and self.slot < 0:
            raise TicketError("ticket of bypass mode: nothing was decided or is kept of its job; it can only be settled")
        if self.is_open and self.route.core.st.ticket[self.slot].generation == self.generation:
            return 0
        if self.verdict != ADMITTED:
            raise TicketError(f"ticket was rejected ({self.reason}): there is nothing to settle; test `admitted`")
        raise TicketError(f"ticket is settled already: {expected}")

    cdef bint _holds_nothing(self):
        """An open ticket of bypass mode: whatever is said of its job goes nowhere."""
        return self.slot < 0 and self.is_open

    @property
    def attempt(self):
        """1, or how many tickets this job has had with this one: see `retry`."""
        cdef int n = 1
        cdef Decision before = self.last
        while before is not None:
            n += 1
            before = before.last
        return n

    def __repr__(self):
        state = "rejected: " + self.reason if not self.admitted else ("open" if self.is_open else "settled")
        chosen = self.resource
        name = "-" if chosen is None else chosen.name
        told = f"P(on time) {self.f.claim:.3f}, expected {self.expected_s:.4g} s" if self.f.lane >= 0 else "nothing forecast"
        return f"<Ticket {name} {state}, {told}>"
