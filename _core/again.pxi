# Decided again: a queued job, a copy of a running one, one that has failed.

cdef bint reconsider_job(Ticket ticket, Z, mask, double bonus) except -1:
    cdef int64_t now_ns = ticket.route.core.now()
    cdef uint64_t[MASK_WORDS] own_words
    cdef const uint64_t* words = ticket.route._read_words(mask, own_words)
    cdef State* st = &ticket.route.core.st
    cdef TicketSlot* job = st.ticket + ticket.slot
    cdef RouteInfo info
    cdef Forecast f
    cdef double waited_s
    cdef bint moved
    with cython.critical_section(ticket.route.core):
        ticket.route._read_given(Z)
        if ticket._holds_nothing():
            return False
        ticket._check("reconsider() comes before start()")
        if job.state != TICKET_QUEUED:
            raise TicketError("the job has started: it cannot move any more")
        info = paced_by(&ticket.route.info, ticket.f.tpot_bound_s)
        info = unrefusing(&info, job.budget_s)
        if Z is None:
            keep_given(st, job)
        waited_s = <double>(now_ns - job.arrival_ns) * 1e-9
        moved = reconsider(
            st, ticket.slot, &info, words, own_in(ticket.route, Z), bonus, ticket.f.left_s - waited_s, now_ns, &f)
        ticket.route.core.last_ns = now_ns
        if moved:       # and not where it stays: its resource may have been removed
            ticket.lane = f.lane
        ticket.f.wait_s = waited_s + f.wait_s
        ticket.f.mean_s = f.mean_s
        ticket.f.stream = f.stream
        ticket.f.m = f.m
        ticket.f.s = f.s
        if moved:       # last: the one that it leaves may end with it, and run Python
            ticket.chosen = resource_at(ticket.route.core, f.lane)
        return moved


cdef Ticket copy_job(Ticket ticket, Z, mask):
    cdef int64_t now_ns = ticket.route.core.now()
    cdef Ticket second = Ticket.__new__(Ticket)
    cdef uint64_t[MASK_WORDS] own_words
    cdef const uint64_t* words = ticket.route._read_words(mask, own_words)
    cdef State* st = &ticket.route.core.st
    cdef TicketSlot* job = st.ticket + ticket.slot
    cdef RouteInfo info
    cdef double left_s
    with cython.critical_section(ticket.route.core):
        ticket.route._read_given(Z)
        if ticket._holds_nothing():
            return None
        ticket._check("copy() comes while the job runs")
        if job.state == TICKET_RIDING or job.n_riders:
            raise TicketError("the job is served together with others: nobody can run a copy of it alone")
        if job.state != TICKET_RUNNING:
            raise TicketError("the job waits still: copy() is for one that runs, reconsider() for this one")
        if st.head.free_ticket < 0:
            return None
        left_s = ticket.f.left_s - <double>(now_ns - job.arrival_ns) * 1e-9
        info = paced_by(&ticket.route.info, ticket.f.tpot_bound_s)
        info = unrefusing(&info, left_s)
        if not find_copy(st, ticket.slot, &info, words, left_s, now_ns, &second.f, &second.n_tied):
            return None
        second._issue(ticket.route, own_in(ticket.route, Z), now_ns)
        join_job(st, second.slot, ticket.slot)
        return second


cdef Ticket retry_job(
    Ticket failed, Ticket ticket, Z, const uint64_t* lanes, int mate, const Promise* kept, int64_t now_ns
):
    """`ticket`, a new one, decides again on the lanes that are left.

    mate, kept: the failed ticket's, as `set_aside` gave them. Neither survives the collector, which may free the slot
    `mate`: nothing is allocated before the promise is where it belongs.
    """
    cdef RouteCore route = failed.route
    cdef State* st = &route.core.st
    cdef double left_s = failed.f.left_s - <double>(now_ns - failed.made_ns) * 1e-9
    cdef RouteInfo info = paced_by(&route.info, failed.f.tpot_bound_s)
    cdef int n_tied = 1, fewest = -1, lane
    if st.head.mode == MODE_BYPASS or failed.slot < 0:
        lose(st, mate, kept, now_ns)
        lane = least_loaded(st, route.info.model, lanes, st.head.rng, &n_tied, &fewest)
        pass_by(route, ticket, lane, n_tied, left_s, now_ns)
    else:
        if st.head.free_ticket < 0:
            raise all_open(st)
        decide_row(route, &info, ticket, failed.f.x, lanes, own_in(route, Z), left_s, now_ns, False)
        if not ticket.is_open:      # nobody tries again
            lose(st, mate, kept, now_ns)
        else:
            if mate >= 0:
                join_job(st, ticket.slot, mate)
            st.ticket[ticket.slot].promise = kept[0]
    ticket.last = failed
    return ticket


cdef int leave_out_tried(Ticket failed, uint64_t* lanes) except -1:
    """Clears the lanes of the resources that the job's attempts were on."""
    cdef RouteCore route = failed.route
    cdef Ticket attempt = failed
    cdef int lane
    while attempt is not None:      # by name: a lane may belong to somebody else by now
        lane = -1 if attempt.chosen is None else route.core.lanes.get(attempt.chosen.name, -1)
        if lane >= 0:
            set_bit(lanes, lane, False)
        attempt = attempt.last
    return 0
