# What a stream says of itself between its decision and its end. All checks come before the first change.

cdef one_signal(str call, Ticket ticket):
    return InputError(
        f"{call} is for models with signals=('ttft', 'tpot'); {ticket.route.model.name!r} has one, its service time")


cdef double count_of(value) except -1.0:
    """A number of tokens, exactly."""
    try:
        n = index(value)
    except TypeError:
        n = -1
    if type(value) is bool or not 0 <= n <= 1 << 40:
        raise InputError(f"tokens={value!r}: a whole number of tokens, 0 to 2**40, is expected")
    return n


cdef int say_first(Ticket ticket, double seconds, int64_t now_ns) except -1:
    cdef State* st = &ticket.route.core.st
    cdef TicketSlot* job = st.ticket + ticket.slot
    cdef int64_t start_ns = start_of(st, job)
    if not ticket.route.streams:
        raise one_signal("first()", ticket)
    if job.tokens > 0.0:
        raise InputError(f"first() was said {job.first_s:.6g} s after the start: say it once")
    if seconds < 0.0:
        seconds = ticket._since_start(now_ns)
    else:       # rounded up: the end, by the clock, never lies before the first token
        start_ns = now_ns - <int64_t>(1e9 * min(seconds, 1e8)) - 1
    cdef bint untimed = seconds < 0.0
    seconds = max(seconds, 1e-9)
    start_ticket(st, ticket.slot, start_ns, now_ns)     # who has a token has started,
    cdef bint sooner = start_ns < job.start_ns          # and no later than it took
    job.start_ns = min(job.start_ns, start_ns)
    job.first_s = seconds
    count_produced(st, job, 1.0)
    lane_changed(st, job.lane, sooner, True, now_ns)
    refute(st, job.lane, now_ns)
    if untimed:     # the clock went back
        st.head.n_untimed += 1
    elif not is_cold(st, job):
        learn_first(st, job, seconds, now_ns)
    return 0


cdef int say_progress(Ticket ticket, double tokens, int64_t now_ns) except -1:
    cdef State* st = &ticket.route.core.st
    cdef TicketSlot* job = st.ticket + ticket.slot
    if not ticket.route.streams:
        raise one_signal("progress()", ticket)
    if job.tokens == 0.0:
        raise InputError(f"progress({tokens:.0f}) before first(): say first() when the first token is there")
    if tokens < job.tokens:
        raise InputError(f"progress({tokens:.0f}) after {job.tokens:.0f} tokens: an answer does not get shorter")
    count_produced(st, job, tokens)
    lane_changed(st, job.lane, False, True, now_ns)
    return 0


cdef int check_end(const TicketSlot* job, double seconds, double tokens) except -1:
    """tokens < 0: unknown."""
    if job.tokens == 0.0:
        return 0
    if 0.0 <= tokens < job.tokens:
        raise InputError(f"complete(tokens={tokens:.0f}) after {job.tokens:.0f} tokens: say how many there were in all")
    if seconds < job.first_s:
        raise InputError(f"the end, {seconds:.6g} s after the start, lies before the first token at {job.first_s:.6g} s")
    return 0
