# One decision, settled exactly once.

cdef tuple REASONS = (None, "late", "no_resource", "guarantee", "affinity", "memory", "accuracy", "cost", "throughput")  # by Verdict


@cython.freelist(64)
@cython.final
@cython.no_gc_clear         # collected in a reference cycle, it must still know its route, and that its core
@cython.auto_pickle(False)
cdef class Ticket:
    """One decision. Settle it exactly once: `complete`, `fail`, `timeout`, `cancel`, or `with ticket:`.

    A rejected ticket (`admitted` False) occupies nothing and has nothing to settle. An admitted one that is
    dropped unsettled is cancelled when it is collected, and counted in `engine.counters["n_abandoned"]`.
    """

    cdef RouteCore route
    cdef object chosen, other
    cdef int slot, generation, n_tied, verdict
    cdef bint is_open, observed
    cdef readonly bint probe            #: admitted to learn, outside the promise: a breaker's probe, or a refusal otherwise
    cdef double regret, p, chance, left, wait, service_mean, m, s, dof, availability, m_total, s_total, z_bound
    cdef double tpot, length, busy      # two signals: E[seconds per token], E[tokens], E[start to end]
    cdef double[MAX_D] x                #: the request's encoded features, for explain()
    cdef int64_t made_ns                #: when it was decided
    cdef Ticket last                    #: the attempt that failed before this one
    cdef list seen                      #: every candidate's numbers at the decision, where it was asked for
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
        """None when admitted, else a stable id: 'late' (P(on time) too low on the nearest candidate), 'guarantee'
        (no candidate's claim reaches the promise), 'no_resource' (every candidate that the mask allows is drained,
        ejected or removed), or the bound that left no candidate, in the order in which they hold: 'affinity',
        'memory', 'accuracy', 'cost', 'throughput'."""
        return REASONS[self.verdict]

    @property
    def resource(self):
        """The Resource that should run the job; of one rejected as 'late' the nearest candidate, of
        'no_resource' None (its forecasts are then infinite and P(on time) 0)."""
        return self.chosen

    @property
    def preferred(self):
        """The Resource that we would have chosen; `resource` itself where the choice was ours. None when no candidate
        took the job, and in bypass mode, where nothing is decided."""
        return self.other if self.observed or self.slot < 0 else self.chosen

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
        """The claim: predictive probability in [0, 1] that the job succeeds within its deadline."""
        return self.p

    @property
    def left_s(self):
        """Seconds that were left to the deadline at the decision (where the class has a ttft_s: to the first token);
        <= 0 when it was over."""
        return self.left

    @property
    def wait_s(self):
        """Expected seconds from arrival to start."""
        return self.wait

    @property
    def service_s(self):
        """Expected seconds from start to end; of a model with two signals to its first token."""
        return self.service_mean

    @property
    def median_s(self):
        """Median seconds from start to end: what candidates are ranked by."""
        return exp(self.m)

    @property
    def expected_s(self):
        """Expected seconds from arrival to what the class bounds first: the first token (ttft_s), else the end."""
        return self.wait + (self.service_mean if self.route.info.first else self.busy)

    @property
    def end_s(self):
        """Expected seconds from arrival to end."""
        return self.wait + self.busy

    @property
    def tpot_s(self):
        """Expected seconds per token after the first; None where the model has one signal."""
        return self.tpot if self.route.streams else None

    @property
    def tokens(self):
        """Expected tokens of the answer; None where the model has one signal."""
        return self.length if self.route.streams else None

    @property
    def bound_s(self):
        """Seconds within which the job ends (where the class has a ttft_s: has its first token) with the class's required
        probability, given that it succeeds."""
        if self.z_bound == INFINITY or self.z_bound == -INFINITY:
            return INFINITY if self.z_bound > 0.0 else 0.0
        return exp(self.m_total + self.s_total * student_quantile(self.z_bound, self.dof))

    @property
    def hedge_at_s(self):
        """Seconds of service after which this job is an outlier of its own forecast: exp(m + 2 s)."""
        return exp(self.m + 2.0 * self.s)

    @property
    def residual_s(self):
        """Seconds that the job is expected to take yet, from its start or now; outliers of its resource counted in."""
        cdef int64_t now_ns = self.route.core.now()
        self._check("a job that has ended takes no longer")
        cdef TicketSlot* job = self.route.core.st.ticket + self.slot
        return mean_residual(&self.route.core.st, job, now_ns) if job.state == TICKET_RUNNING else job.mean_s

    @property
    def propensity(self):
        """Probability with which this was decided (this resource, admitted or not), in (0, 1]; exact: 1 / n among n
        tied candidates, times the share of probes or the rest of it where one was drawn. None under the policy
        "thompson": its choice has no closed form; `peek` estimates it by redrawing."""
        return None if isnan(self.chance) else self.chance / self.n_tied

    @property
    def features(self):
        """The encoded features that the decision saw and `complete` will learn from, float64 (d,), a copy."""
        self._check("features are kept while a ticket is open")
        cdef TicketSlot* job = self.route.core.st.ticket + self.slot
        cdef int i
        return np.array([job.x[i] for i in range(job.d)])

    cdef void _write(self, RouteCore route, const Forecast* f):
        self.route = route
        if f.lane >= 0:
            self.chosen = route.core.resources[f.lane]
        self.chance = f.chance
        self.p = f.p_on_time
        self.left = f.left_s
        self.wait = f.wait_s
        self.service_mean = f.mean_s
        self.busy = occupied_s(f)
        if f.streams:
            self.tpot = f.stream.mean_s
            self.length = f.stream.tokens
        self.m = f.m
        self.s = f.s
        self.dof = f.dof
        self.availability = f.availability
        self.z_bound = route.core.st.certificate[route.qos_index].z
        self.m_total = f.m_total
        self.s_total = f.s_total
        self.probe = f.probe

    cdef void _issue(self, RouteCore route, const Forecast* f, int64_t now_ns):
        """Writes the decision down and, when it is an admission, counts the job on its lane at once."""
        self._write(route, f)
        self.made_ns = now_ns
        if self.verdict == ADMITTED:
            self.slot = open_ticket(&route.core.st, f, route.info.model, route.info.level, now_ns)
            issue(&route.core.st, self.slot, route.qos_index, f)
            self.generation = route.core.st.ticket[self.slot].generation
            self.is_open = True

    def explain(self):
        """An Explanation: every candidate's wait, service, P(on time), score, and what excluded it.

        Of a `select(..., explain=True)`: exactly what the decision saw. Otherwise the beliefs have moved on since, and
        it says so (`recomputed`): the chosen candidate's numbers are the decision's, the others are worked out now
        for the same request, without the mask and the given columns of the call, which a ticket does not keep.
        Cost: tens of microseconds.
        """
        return explain_ticket(self)

    @property
    def retry_after_s(self):
        """Of a job refused as 'late' or 'guarantee': seconds after which a job like it, with as much time left, would
        be admitted here if no more work came (the wait shrinks by a second a second); None where waiting cannot
        help, nothing was refused, or the model has two signals. Cost: 20 microseconds."""
        return retry_after(self)

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

    def start(self):
        """Says that service begins now. Needed where the caller owns the queue (`discipline="priority"`);
        on a fifo resource starts are inferred from its slots. Raises TicketError. A second call changes nothing."""
        cdef int64_t now_ns = self.route.core.now()
        if self._holds_nothing():
            return
        self._check("start() comes before complete, fail or cancel")
        start_ticket(&self.route.core.st, self.slot, now_ns)

    def may_start(self, double left_s):
        """The start test, for who owns the queue: may the job start now, `left_s` seconds before its deadline?

        False when its profile knows (n >= 8) that the median service takes longer: better drop it. But once a
        second, a profile that nothing was learned of passes a job of a class that explores as a probe: it may be
        faster by now.
        Raises TicketError. Cost: a tenth of a microsecond.
        """
        cdef int64_t now_ns = self.route.core.now()
        if self._holds_nothing():
            return True
        self._check("may_start() comes before start()")
        cdef State* st = &self.route.core.st
        return may_start(st, st.ticket + self.slot, self.route.info.explore, left_s, now_ns)

    def reconsider(self, Z=None, *, mask=None, double bonus=0.1):
        """Decides again for a queued job: True when it moved, and then `resource` is another one.

        Z, mask: as in select; given columns that are not given again are unknown elsewhere and as they were here.
        bonus: another resource must be better by this share, in [0, 1). Forecasts follow (`wait_s` counts from
        arrival still); what was promised stays: `p_on_time`, `bound_s`, `propensity`.
        Raises TicketError once the job has started, InputError; then nothing changed. Cost: as select.
        """
        cdef int64_t now_ns = self.route.core.now()
        cdef const uint64_t* words = self._read_second(Z, mask)
        cdef State* st = &self.route.core.st
        cdef TicketSlot* job = st.ticket + self.slot
        cdef RouteInfo info
        cdef Forecast f
        cdef double waited_s
        cdef bint moved
        if self._holds_nothing():
            return False
        self._check("reconsider() comes before start()")
        if not 0.0 <= bonus < 1.0:
            raise InputError(f"bonus={bonus!r}: a share in [0, 1) is expected")
        if job.state != TICKET_QUEUED:
            raise TicketError("the job has started: it cannot move any more")
        info = unrefusing(&self.route.info)
        if Z is None:
            keep_given(st, job)
        waited_s = <double>(now_ns - job.arrival_ns) * 1e-9
        moved = reconsider(st, self.slot, &info, words, bonus, self.left - waited_s, now_ns, &f)
        self.route.core.last_ns = now_ns
        if moved:       # and not where it stays: its resource may have been removed
            self.chosen = self.route.core.resources[f.lane]
        self.wait = waited_s + f.wait_s
        self.service_mean = f.mean_s
        self.busy = occupied_s(&f)
        if f.streams:
            self.tpot = f.stream.mean_s
            self.length = f.stream.tokens
        self.m = f.m
        self.s = f.s
        return moved

    def copy(self, Z=None, *, mask=None):
        """A second ticket for a running job (a hedge), on the best other resource; None when the job is expected
        to end sooner where it runs, or when no other resource or ticket is free.

        Both tickets are settled on their own: the first result is the job's, the other one's end still teaches.
        Z, mask: as in select. Raises TicketError unless it runs, InputError. Cost: as select.
        """
        cdef int64_t now_ns = self.route.core.now()
        cdef Ticket second = Ticket.__new__(Ticket)
        cdef const uint64_t* words = self._read_second(Z, mask)
        cdef State* st = &self.route.core.st
        cdef TicketSlot* job = st.ticket + self.slot
        cdef RouteInfo info
        cdef Forecast f
        cdef double left_s
        if self._holds_nothing():
            return None
        self._check("copy() comes while the job runs")
        if job.state != TICKET_RUNNING:
            raise TicketError("the job waits still: copy() is for one that runs, reconsider() for this one")
        if st.head.free_ticket < 0:
            return None
        info = unrefusing(&self.route.info)
        left_s = self.left - <double>(now_ns - job.arrival_ns) * 1e-9
        if not find_copy(st, job, &info, words, left_s, now_ns, &f, &second.n_tied):
            return None
        second.x = self.x
        second._issue(self.route, &f, now_ns)
        st.ticket[second.slot].copy = 1
        unpromise(st, second.slot)
        return second

    cdef const uint64_t* _read_second(self, Z, mask) except? NULL:
        """Z and mask of another decision on this job, into the route's scratch."""
        if self.route.n_given or Z is not None:
            self.route._read_given(Z)
        if mask is None:
            return NULL
        self.route._read_mask(mask)
        return self.route.words

    def first(self, ttft_s=None):
        """Says that the first token is there, for a model with two signals; teaches the time to it at once.

        ttft_s: seconds from start to first token, finite, >= 0; None = now minus the start. Never said, it is not
        inferred: the job then teaches neither signal. Raises InputError (one signal; said before), TicketError;
        then nothing changed. Cost: as complete.
        """
        cdef double seconds = -1.0 if ttft_s is None else seconds_of("ttft_s", ttft_s)
        cdef int64_t now_ns = self.route.core.now()
        if self._holds_nothing():
            return
        self._check("first() comes before complete, fail or cancel")
        say_first(self, seconds, now_ns)

    def progress(self, tokens):
        """Says that the answer has `tokens` tokens now, for columns that track kv_tokens. Never needed otherwise.

        tokens: int, at least what was said last. Raises InputError (one signal; before first(); a smaller count),
        TicketError; then nothing changed. Cost: O(models with tracked columns).
        """
        cdef double n = count_of(tokens)
        cdef int64_t now_ns = self.route.core.now()
        if self._holds_nothing():
            return
        self._check("progress() comes before complete, fail or cancel")
        say_progress(self, n, now_ns)

    def complete(self, service_s=None, *, tokens=None, bint warmup=False):
        """Settles as completed and teaches the (resource, model) profile.

        service_s: seconds from start to end, finite, >= 0; None = now minus the start of service.
        tokens: of the whole answer, int, for a model with two signals; None = unknown. Then seconds per token
        = (service_s - ttft)/(tokens - 1) are learned where first() was said and tokens >= 2, and tokens >= 1 as the
        length of an answer. warmup: the job was slow because nothing was warm (after an idle gap, a model load): it
        counts for availability, and its times are not learned. So it is, too, where no time is given and the clock
        has gone back since the start, or reads less than first() said (counted in `engine.counters["n_untimed"]`).
        Raises InputError (also: tokens below progress(), a service_s before the first token) or TicketError and then
        changes nothing. Cost: <= 600 ns amortised over rebuilds.
        """
        cdef double seconds = -1.0 if service_s is None else seconds_of("service_s", service_s)
        cdef double n = -1.0 if tokens is None else count_of(tokens)
        # a user's clock runs Python, and another thread may settle meanwhile: it is read before the check
        cdef int64_t now_ns = self.route.core.now()
        if self._holds_nothing():
            self.is_open = False
            return
        self._check("complete() once, or not at all")
        cdef TicketSlot* job = self.route.core.st.ticket + self.slot
        cdef bint untimed = False
        cdef double waited_s
        if seconds < 0.0:
            seconds = self._since_start(now_ns)
            untimed = seconds < (job.first_s if job.tokens > 0.0 else 0.0)
        # one nanosecond is what the clock resolves; zero has no logarithm
        seconds = max(seconds, 1e-9)
        if self.route.streams and not untimed:
            check_end(job, seconds, n)
        elif n >= 0.0 and not self.route.streams:
            raise one_signal("complete(tokens=...)", self)
        self.route.core.st.head.n_untimed += untimed
        if first_after_gap(&self.route.core.st, job, now_ns) or warmup or untimed:
            learn_warmup(&self.route.core.st, job, now_ns)
        elif self.route.streams:
            learn_stream(&self.route.core.st, job, seconds, n, now_ns)
        else:
            learn_service(&self.route.core.st, job, seconds, now_ns)
        refute(&self.route.core.st, job.lane, now_ns)
        note_success(&self.route.core.st, self.slot, now_ns)
        # a job takes no less than its service, whatever a clock says that stood still or went back
        waited_s = max(0.0, <double>(now_ns - job.arrival_ns) * 1e-9 - seconds)
        if self.route.info.first:
            report_first_token(&self.route.core.st, self.slot, &self.route.info, waited_s, seconds, n)
        else:
            report_end(&self.route.core.st, self.slot, waited_s + seconds)
        self._close(now_ns)

    cdef double _since_start(self, int64_t now_ns):
        cdef State* st = &self.route.core.st
        cdef const TicketSlot* job = st.ticket + self.slot
        return <double>(now_ns - start_of(st, job)) * 1e-9

    def fail(self, *, retry_after_s=None):
        """Settles as failed: counts against availability and towards the breaker, teaches nothing about latency.

        retry_after_s: when the resource said how long it wants to be left alone (HTTP's Retry-After), seconds in
        0..1e9: it gets nothing before, however few its failures were. Raises InputError or TicketError and then
        changes nothing.
        """
        cdef double away_s = 0.0 if retry_after_s is None else away_of(retry_after_s)
        cdef int64_t now_ns = self.route.core.now()
        if self._holds_nothing():
            self.is_open = False
            return
        self._check("fail() once, or not at all")
        learn_failure(&self.route.core.st, self.route.core.st.ticket + self.slot, now_ns)
        note_failure(&self.route.core.st, self.slot, away_s, now_ns)
        report_end(&self.route.core.st, self.slot, INFINITY)
        self._close(now_ns)

    def retry(self, Z=None, *, mask=None, retry_after_s=None):
        """Another try of a job that failed: a new Ticket, on none of the resources that this job was on before.

        A ticket that is still open is settled by `fail(retry_after_s=...)` first. The request's features are kept; Z and
        mask are as in select. What has passed since the first decision is gone from the deadline: the new ticket may be
        refused as 'late', or as 'no_resource' when no other candidate is left. Raises TicketError when this one was
        refused, InputError, CapacityError; then nothing changed. Cost: as select.
        """
        cdef double away_s = 0.0 if retry_after_s is None else away_of(retry_after_s)
        cdef int64_t now_ns = self.route.core.now()
        if self.verdict != ADMITTED:
            raise TicketError(f"ticket was rejected ({self.reason}): nothing failed, and nothing can be tried again")
        if self.is_open and self.slot >= 0:
            self._check("retry() while it is open, or after it has failed")
        read_retry(self.route, Z, mask)
        if self.is_open and self.slot >= 0:
            learn_failure(&self.route.core.st, self.route.core.st.ticket + self.slot, now_ns)
            note_failure(&self.route.core.st, self.slot, away_s, now_ns)
            report_end(&self.route.core.st, self.slot, INFINITY)
            self._close(now_ns)
        self.is_open = False
        return retry_job(self, Z, mask, now_ns)

    @property
    def attempt(self):
        """1, or how many tickets this job has had with this one: see `retry`."""
        cdef int n = 1
        cdef Ticket before = self.last
        while before is not None:
            n += 1
            before = before.last
        return n

    def timeout(self):
        """Settles as timed out: nobody waits for it any longer. In service it counts as a failure, and
        teaches that the job takes at least this long (right-censored); still queued, it is as good as cancelled.

        Raises TicketError. Cost: about a microsecond.
        """
        cdef int64_t now_ns = self.route.core.now()
        if self._holds_nothing():
            self.is_open = False
            return
        self._check("timeout() once, or not at all")
        cdef TicketSlot* job = self.route.core.st.ticket + self.slot
        if job.state == TICKET_RUNNING:
            learn_failure(&self.route.core.st, job, now_ns)
            learn_censored(&self.route.core.st, job, now_ns)
            note_failure(&self.route.core.st, self.slot, 0.0, now_ns)
        report_end(&self.route.core.st, self.slot, INFINITY)
        self._close(now_ns)

    def cancel(self):
        """Settles as cancelled: frees its place. A job in service for longer than the median of its forecast teaches
        that it takes at least this long (right-censored); any other teaches nothing. Raises TicketError."""
        cdef int64_t now_ns = self.route.core.now()
        if self._holds_nothing():
            self.is_open = False
            return
        self._check("cancel() once, or not at all")
        learn_censored(&self.route.core.st, self.route.core.st.ticket + self.slot, now_ns)
        report_cancel(&self.route.core.st, self.slot, now_ns)
        self._close(now_ns)

    def drop(self):
        """Settles as dropped while queued, since it would be late: as cancel, and it counts as not on time in the
        certificate, whenever it comes. Raises TicketError."""
        cdef int64_t now_ns = self.route.core.now()
        if self._holds_nothing():
            self.is_open = False
            return
        self._check("drop() once, or not at all")
        report_end(&self.route.core.st, self.slot, INFINITY)
        self._close(now_ns)

    cdef void _close(self, int64_t now_ns):
        self.is_open = False
        close_ticket(&self.route.core.st, self.slot, now_ns)

    def __enter__(self):
        if not self._holds_nothing():
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
        if self.is_open and self.slot >= 0 and self.route is not None:
            self.route.core.st.head.n_abandoned += 1
            report_cancel(&self.route.core.st, self.slot, self.route.core.last_ns)
            close_ticket(&self.route.core.st, self.slot, self.route.core.last_ns)

    def __repr__(self):
        state = "rejected: " + self.reason if not self.admitted else ("open" if self.is_open else "settled")
        name = "-" if self.chosen is None else self.chosen.name
        return f"<Ticket {name} {state}, P(on time) {self.p:.3f}, expected {self.expected_s:.4g} s>"


cdef double seconds_of(str name, value) except -1.0:
    cdef double seconds
    try:
        seconds = value
    except (TypeError, OverflowError):
        raise InputError(f"{name}={value!r}: seconds as a number >= 0 are expected") from None
    if not isfinite(seconds) or seconds < 0.0:
        raise InputError(f"{name}={value!r}: seconds must be finite and >= 0; a job without an end is fail() or cancel()")
    return seconds


cdef double away_of(value) except -1.0:
    cdef double seconds
    try:
        seconds = value
    except (TypeError, OverflowError):
        raise InputError(f"retry_after_s={value!r}: seconds as a number are expected") from None
    if not 0.0 <= seconds <= 1e9:
        raise InputError(f"retry_after_s={value!r}: seconds in 0..1e9 are expected, None where the resource said nothing")
    return seconds
