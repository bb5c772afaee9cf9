# One decision, settled exactly once. What a user's Python is read for (numbers, the clock) comes before the section in which
# a call is alone on the engine's state: it checks, and does, what no other thread comes between.

@cython.final
@cython.no_gc_clear         # collected in a reference cycle, it must still know its route, and that its core
@cython.auto_pickle(False)
cdef class Ticket(Beginning):
    """One decision. Settle it exactly once: `complete`, `fail`, `timeout`, `cancel`, or `with ticket:`.

    A rejected ticket (`admitted` False) occupies nothing and has nothing to settle. An admitted one that is
    dropped unsettled is cancelled when it is collected, and counted in `engine.counters["n_abandoned"]`.
    """

    def reconsider(self, Z=None, *, mask=None, bonus=0.1):
        """Decides again for a queued job: True when it moved, and then `resource` is another one.

        Z, mask: as in select; given columns that are not given again are unknown elsewhere and as they were here.
        bonus: another resource must be better by this share, in [0, 1). Forecasts follow (`wait_s` counts from
        arrival still); what was promised stays: `p_on_time`, `bound_s`, `propensity`.
        Raises TicketError once the job has started, InputError; then nothing changed. Cost: as select.
        """
        return reconsider_job(self, Z, mask, bonus_of(bonus))

    def copy(self, Z=None, *, mask=None):
        """A second ticket for a running job (a hedge), on the best resource that has none of its open tickets; None
        when the job is expected to end sooner where it runs, or when no such resource or ticket is free.

        Both tickets are settled on their own: the first result is the job's, and settles what the first ticket promised;
        the other one's end still teaches. Nothing is promised of the copy's own numbers.
        Z, mask: as in select. Raises TicketError unless it runs, and alone; InputError. Cost: as select.
        """
        return copy_job(self, Z, mask)

    def first(self, ttft_s=None):
        """Says that the first token is there, for a model with two signals; teaches the time to it at once.

        ttft_s: seconds from start to first token, finite, >= 0: the job has started so long ago, if it was taken for
        waiting or for started later. None = now minus the start. Never said, it is not inferred: the job then teaches
        neither signal. After an idle gap none is learned until the first job has completed. Raises InputError (one signal; said before), TicketError;
        then nothing changed. Cost: as complete.
        """
        cdef double seconds = -1.0 if ttft_s is None else seconds_of("ttft_s", ttft_s)
        cdef int64_t now_ns = self.route.core.now()
        with cython.critical_section(self.route.core):
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
        with cython.critical_section(self.route.core):
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
        changes nothing. Cost: 300 to 400 ns amortised over rebuilds of a warm profile. One call with a rebuild takes 5 to
        30 us and with an alarm up to 150, whatever the number of resources; learn.pxd has the bounds.
        """
        cdef double seconds = -1.0 if service_s is None else seconds_of("service_s", service_s)
        cdef double n = -1.0 if tokens is None else count_of(tokens)
        cdef TicketSlot* job = self.route.core.st.ticket + self.slot
        cdef bint untimed = False
        cdef int64_t now_ns = self.route.core.now()
        with cython.critical_section(self.route.core):
            if self._holds_nothing():
                self.is_open = False
                return
            self._check("complete() once, or not at all")
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
            if job.state == TICKET_RIDING:
                self._report_rider(seconds, now_ns)
                return
            if first_after_gap(&self.route.core.st, job) or warmup or untimed:
                learn_warmup(&self.route.core.st, job, now_ns)
            elif self.route.streams:
                learn_stream(&self.route.core.st, job, seconds, n, now_ns)
            else:
                learn_service(&self.route.core.st, job, seconds, now_ns)
            refute(&self.route.core.st, job.lane, now_ns)
            note_success(&self.route.core.st, self.slot, now_ns)
            if self.route.info.first:
                report_stream(&self.route.core.st, self.slot, &self.route.info, self.f.tpot_bound_s, seconds, n, now_ns)
            else:
                report_result(&self.route.core.st, self.slot, seconds, now_ns)
            self._close(now_ns)

    cdef void _report_rider(self, double seconds, int64_t now_ns) noexcept:
        """What there was to learn of its run, the lead's end teaches."""
        report_result(&self.route.core.st, self.slot, seconds, now_ns)
        self._close(now_ns)

    cdef double _since_start(self, int64_t now_ns):
        cdef State* st = &self.route.core.st
        cdef const TicketSlot* job = st.ticket + self.slot
        return <double>(now_ns - start_of(st, job)) * 1e-9

    def fail(self, *, retry_after_s=None):
        """Settles as failed: counts against availability and towards the breaker, teaches nothing about latency.

        retry_after_s: when the resource said how long it wants to be left alone (HTTP's Retry-After), seconds in
        0..1e9: it gets nothing before, however few its failures were. Raises InputError or TicketError and then
        changes nothing. Cost: less than complete; where the breaker opens or closes, O(models lanes that are shut).
        """
        cdef double away_s = 0.0 if retry_after_s is None else away_of(retry_after_s)
        cdef int64_t now_ns = self.route.core.now()
        with cython.critical_section(self.route.core):
            if self._holds_nothing():
                self.is_open = False
                return
            self._check("fail() once, or not at all")
            count_failure(&self.route.core.st, self.slot, away_s, now_ns)
            report_failure(&self.route.core.st, self.slot, now_ns)
            self._close(now_ns)

    def retry(self, Z=None, *, mask=None, retry_after_s=None):
        """Another try of a job that failed: a new Ticket, on none of the resources that this job was on before. Of one
        that is open still, on none of those that its copies are on, either.

        A ticket that is still open is settled by `fail(retry_after_s=...)` first. The request's features are kept; Z and
        mask are as in select. What has passed since the first decision is gone from the deadline: the new ticket may be
        refused as 'late', or as 'no_resource' when no other candidate is left. What the job's first ticket promised
        stands, and the new one carries it on; of a job that fail() was said of nothing is promised any more. Raises
        TicketError when this one was refused, InputError, CapacityError; then nothing changed. Cost: as select.
        """
        cdef double away_s = 0.0 if retry_after_s is None else away_of(retry_after_s)
        cdef Ticket second = Ticket.__new__(Ticket)     # first of all: the collector may come, and free tickets
        cdef int64_t now_ns = self.route.core.now()
        cdef int mate = -1
        cdef Promise kept
        cdef uint64_t[MASK_WORDS] lanes
        memset(&kept, 0, sizeof(kept))
        if self.verdict != ADMITTED:
            raise TicketError(f"ticket was rejected ({self.reason}): nothing failed, and nothing can be tried again")
        if self.route._read_words(mask, lanes) == NULL:
            memset(lanes, 0xFF, sizeof(lanes))
        with cython.critical_section(self.route.core):
            leave_out_tried(self, lanes)
            self.route._read_given(Z)
            if self.is_open and self.slot >= 0:
                count_failure(&self.route.core.st, self.slot, away_s, now_ns)
                leave_out_job(&self.route.core.st, self.slot, lanes)
                mate = set_aside(&self.route.core.st, self.slot, &kept)
                self._close(now_ns)
            self.is_open = False
            return retry_job(self, second, Z, lanes, mate, &kept, now_ns)

    def timeout(self):
        """Settles as timed out: nobody waits for it any longer. In service it counts as a failure, and
        teaches that the job takes at least this long (right-censored); still queued, it is as good as cancelled.

        Raises TicketError. Cost: as complete, and a microsecond for what is expected beyond.
        """
        cdef TicketSlot* job = self.route.core.st.ticket + self.slot
        cdef int64_t now_ns = self.route.core.now()
        with cython.critical_section(self.route.core):
            if self._holds_nothing():
                self.is_open = False
                return
            self._check("timeout() once, or not at all")
            if job.state == TICKET_RUNNING:
                learn_failure(&self.route.core.st, job, now_ns)
                learn_censored(&self.route.core.st, job, now_ns)
                note_failure(&self.route.core.st, self.slot, 0.0, now_ns)
            report_failure(&self.route.core.st, self.slot, now_ns)
            self._close(now_ns)

    def cancel(self):
        """Settles as cancelled: frees its place. A job in service for longer than the median of its forecast teaches
        that it takes at least this long (right-censored); any other teaches nothing. Raises TicketError."""
        cdef int64_t now_ns = self.route.core.now()
        with cython.critical_section(self.route.core):
            if self._holds_nothing():
                self.is_open = False
                return
            self._check("cancel() once, or not at all")
            learn_censored(&self.route.core.st, self.route.core.st.ticket + self.slot, now_ns)
            report_cancel(&self.route.core.st, self.slot, &self.route.info, now_ns)
            self._close(now_ns)

    def drop(self):
        """Settles as dropped while queued, since it would be late: as cancel, and it counts as not on time in the
        certificate, whenever it comes. Raises TicketError."""
        cdef int64_t now_ns = self.route.core.now()
        with cython.critical_section(self.route.core):
            if self._holds_nothing():
                self.is_open = False
                return
            self._check("drop() once, or not at all")
            report_failure(&self.route.core.st, self.slot, now_ns)
            self._close(now_ns)

    cdef void _close(self, int64_t now_ns) noexcept:
        self.is_open = False
        close_ticket(&self.route.core.st, self.slot, now_ns)

    def __enter__(self):
        with cython.critical_section(self.route.core):
            if not self._holds_nothing():
                self._check("enter it once")
            return self

    def __exit__(self, kind, error, traceback):
        """Normal exit completes, an Exception fails, cancellation and KeyboardInterrupt cancel."""
        if not self.is_open:
            return
        try:
            if kind is None:
                self.complete()
            elif issubclass(kind, Exception):
                self.fail()
            else:
                self.cancel()
        except TicketError:
            if self.is_open:        # else another thread settled it just now, as somebody inside might have
                raise

    def __dealloc__(self):
        # nobody can settle it any more; its place must not stay taken
        if self.is_open and self.slot >= 0 and self.route is not None:
            with cython.critical_section(self.route.core):
                self.route.core.st.head.n_abandoned += 1
                report_cancel(&self.route.core.st, self.slot, &self.route.info, self.route.core.last_ns)
                close_ticket(&self.route.core.st, self.slot, self.route.core.last_ns)


cdef inline void count_failure(State* st, int t, double away_s, int64_t now_ns) noexcept nogil:
    """A rider's failure is its run's, and counts with the lead."""
    if st.ticket[t].state != TICKET_RIDING:
        learn_failure(st, st.ticket + t, now_ns)
        note_failure(st, t, away_s, now_ns)


cdef by_hand():
    return TicketError("tickets are made by route.select(), not by hand")


cdef PyObject* refuse_by_hand(PyTypeObject* kind, PyObject* args, PyObject* kwargs) except NULL:
    raise by_hand()


# What Python calls for Ticket.__new__(Ticket), whose route would lead nowhere; Cython's own __new__ goes past it.
(<PyTypeObject*>Decision).tp_new = <newfunc>refuse_by_hand
(<PyTypeObject*>Beginning).tp_new = <newfunc>refuse_by_hand
(<PyTypeObject*>Ticket).tp_new = <newfunc>refuse_by_hand
