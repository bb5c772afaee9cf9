# Another try of a job that failed: elsewhere, within what is left of its deadline.

cdef Ticket retry_job(Ticket failed, Z, mask, int64_t now_ns):
    """Decides again without the resources that the job's attempts were on. Writes nothing when it raises."""
    cdef RouteCore route = failed.route
    cdef State* st = &route.core.st
    cdef Ticket ticket = Ticket.__new__(Ticket)
    cdef Ticket attempt = failed
    cdef double left_s = failed.left - <double>(now_ns - failed.made_ns) * 1e-9
    cdef int n_tied = 1, fewest = -1, lane
    cdef Forecast f
    while attempt is not None:      # by name: a lane may belong to somebody else by now
        lane = -1 if attempt.chosen is None else route.core.lanes.get(attempt.chosen.name, -1)
        if lane >= 0:
            set_bit(route.words, lane, False)
        attempt = attempt.last
    if st.head.mode == MODE_BYPASS or failed.slot < 0:
        lane = least_loaded(st, route.info.model, route.words, st.head.rng, &n_tied, &fewest)
        ticket = pass_by(route, None, lane, n_tied, left_s, now_ns)
    else:
        if st.head.free_ticket < 0:
            raise all_open(st)
        ticket.verdict = decide_any(st, &route.info, failed.x, route.words, left_s, now_ns, &f, &ticket.n_tied)
        route.core.last_ns = now_ns
        read_own(route, Z, &f)
        ticket.x = failed.x
        ticket._issue(route, &f, now_ns)
    ticket.last = failed
    return ticket


cdef int read_retry(RouteCore route, Z, mask) except -1:
    """Z and the mask (all lanes without one) of another try, into the route's scratch."""
    if route.n_given or Z is not None:
        route._read_given(Z)
    if mask is not None:
        route._read_mask(mask)
    else:
        memset(route.words, 0xFF, sizeof(route.words))
    return 0
