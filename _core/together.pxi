# From the queue into service: one job, or several as one run.

@cython.no_gc_clear         # collected in a reference cycle, it must still know its route, and that its core
@cython.auto_pickle(False)
cdef class Beginning(Decision):
    """A Ticket up to its start."""

    def start(self):
        """Says that service begins now. Needed where the caller owns the queue (`discipline="priority"`);
        on a fifo resource starts are inferred from its slots. Raises TicketError. A second call changes nothing."""
        cdef int64_t now_ns = self.route.core.now()
        with cython.critical_section(self.route.core):
            if self._holds_nothing():
                return
            self._check("start() comes before complete, fail or cancel")
            start_ticket(&self.route.core.st, self.slot, now_ns, now_ns)

    def may_start(self, left_s):
        """The start test, for who owns the queue: may the job start now, `left_s` seconds before its deadline?

        False when its profile knows (n >= 8) that the median service takes longer: better drop it. But once a
        second, a profile that nothing was learned of passes a job of a class that explores as a probe: it may be
        faster by now.
        Raises TicketError, InputError. Cost: a tenth of a microsecond.
        """
        cdef double seconds = as_seconds("left_s", left_s)
        cdef State* st = &self.route.core.st
        cdef int64_t now_ns = self.route.core.now()
        with cython.critical_section(self.route.core):
            if self._holds_nothing():
                return True
            self._check("may_start() comes before start()")
            return may_start(st, st.ticket + self.slot, self.route.info.explore, seconds, now_ns)

    def start_batch(self, others, x):
        """Says that service of this job and of `others` begins now, together, as one run.

        others: their tickets, any sequence and classes, each queued on the same resource for the same model. x: raw
        features of the run, as in select: its items summed, say. The run counts as one job in service, with the
        forecast that is made for x now. How it ends is said of this ticket, the lead, and teaches: its service_s at
        x, a success or a failure. The others ride: their forecasts are the run's, each keeps its promise and is
        settled on its own, in any order, which reports whether it was kept and teaches nothing. So settle the lead
        when the run ends. None of them can be copied. From then on what waits of the model counts for as much of
        its own service as the last runs took of the sum of what their jobs were forecast to take.
        Raises TicketError (one that does not wait, or waits elsewhere), InputError (another model or engine, one
        twice, two signals, bad features); then nothing changed. Cost: .7 us, and .05 for each of the others.
        """
        begin_together(<Ticket>self, others, x)

    def service_within_s(self, x, probability):
        """Seconds within which a run with raw features x, as in select, would end with `probability` in (0, 1),
        started now where this job is; None in bypass mode. Nothing changes.

        The service alone, by its forecast, given that it succeeds: what `start_batch` makes every member wait.
        Raises InputError (two signals, too), TicketError. Cost: .3 us.
        """
        return forecast_quantile(<Ticket>self, x, share_of(probability))


cdef double share_of(value) except -1.0:
    cdef str expected = "a probability in (0, 1) is expected"
    cdef double p = number_of("probability", value, expected)
    if not 0.0 < p < 1.0:
        raise InputError(f"probability={value!r}: {expected}")
    return p


cdef forecast_quantile(Ticket ticket, x, double probability):
    cdef double[MAX_D] encoded
    cdef int64_t clipped = 0
    cdef State* st = &ticket.route.core.st
    cdef Forecast f
    refuse_streams("service_within_s", ticket)
    ticket.route._read_features(x, encoded, &clipped)
    with cython.critical_section(ticket.route.core):
        if ticket._holds_nothing():
            return None
        ticket._check("service_within_s() comes before complete, fail or cancel")
        keep_given(st, st.ticket + ticket.slot)
        forecast_service(st, ticket.route.info.model, st.ticket[ticket.slot].lane, encoded, st.given, &f)
        return exp(f.m + f.s * student_quantile(normal_quantile(probability), f.dof))


cdef int begin_together(Ticket lead, others, x) except -1:
    cdef double[MAX_D] encoded
    cdef int64_t clipped = 0, now_ns
    cdef State* st = &lead.route.core.st
    cdef tuple members
    cdef Ticket ticket, first = None
    cdef Forecast f
    refuse_streams("start_batch", lead)
    members = members_of(lead, others)
    lead.route._read_features(x, encoded, &clipped)
    now_ns = lead.route.core.now()
    with cython.critical_section(lead.route.core):
        for ticket in members:
            if ticket._holds_nothing():     # of bypass mode: whoever is left makes the run
                continue
            first = ticket if first is None else first
            check_waits(ticket, first)
        if first is None:
            return 0
        lead_out(st, first.slot)
        for ticket in members:
            if ticket is not first and not ticket._holds_nothing():
                take_along(st, ticket.slot, first.slot, now_ns)
        set_out(st, first.slot, &first.route.info, encoded, first.f.left_s, now_ns, &f)
        st.head.n_clipped += clipped
        lead.route.core.last_ns = now_ns
        for ticket in members:
            if not ticket._holds_nothing():
                if ticket is not first:
                    share_forecast(st, ticket.slot, first.slot)
                ticket.f.m, ticket.f.s, ticket.f.mean_s = f.m, f.s, f.mean_s
    return 0


cdef int refuse_streams(str call, Ticket ticket) except -1:
    if ticket.route.streams:
        raise InputError(
            f"{call}() is for models with the one signal 'service'; {ticket.route.model.name!r} has two: its server "
            "batches continuously, and first() and progress() are said of each")
    return 0


cdef tuple members_of(Ticket lead, others):
    """The lead, then the others. What can be said of them before anything is read of the engine."""
    cdef Ticket ticket
    try:
        riders = tuple(others)
    except TypeError:
        raise InputError(f"others={others!r}: a sequence of tickets is expected") from None
    for rider in riders:
        if type(rider) is not Ticket:
            raise InputError(f"others: {rider!r} is no ticket")
        ticket = rider
        if ticket.route.core is not lead.route.core:
            raise InputError(f"others: {ticket!r} is of another engine")
        if ticket.route.info.model != lead.route.info.model:
            raise InputError(
                f"others: {ticket!r} is of model {ticket.route.model.name!r}, the lead of {lead.route.model.name!r}")
    members = (lead, *riders)
    if len(set(members)) < len(members):
        raise InputError("others: a job is served once, but one of the tickets is there twice")
    return members


cdef int check_waits(Ticket ticket, Ticket first) except -1:
    cdef const TicketSlot* job = ticket.route.core.st.ticket + ticket.slot
    ticket._check("start_batch() comes before start, complete, fail or cancel")
    if job.state != TICKET_QUEUED:
        raise TicketError(
            f"{ticket!r} has started: start_batch() is for jobs that wait, where the caller owns the queue "
            "(discipline='priority')")
    if job.lane != first.route.core.st.ticket[first.slot].lane:
        raise TicketError(f"{ticket!r} waits for another resource than {first!r}: one serves them together")
    return 0
