# What a call asks for, read and decided.

cdef struct Request:                # what a call asks for
    double[MAX_D] x                 # encoded
    int64_t clipped
    const uint64_t* mask            # words; NULL = all candidates
    uint64_t[MASK_WORDS] words      # of the lanes that there are


cdef inline int read_request(RouteCore route, x, mask, Request* out) except -1:
    """What may run Python of the user's (an array, a float, an int of his own), and so any other call: none of it is read
    from the engine or left in it."""
    out.clipped = 0
    out.mask = NULL
    route._read_features(x, out.x, &out.clipped)
    if mask is not None:
        out.mask = route._read_words(mask, out.words)
    return 0


cdef inline int place_request(RouteCore route, Z) except -1:
    """The rest of what a call is refused for, mask without a candidate aside. From here to its decision no Python runs, and
    in no other thread a call on the engine."""
    if route.n_given or Z is not None:
        route._read_given(Z)
    if route.core.st.head.free_ticket < 0:
        raise all_open(&route.core.st)
    return 0


cdef inline Ticket decide_job(RouteCore route, const RouteInfo* info, x, Z, mask, double left_s, int64_t now_ns):
    """Reads the request, decides, and counts the job where it goes. A refused call changes nothing. info: the route's, or
    that of a job with bounds of its own."""
    cdef Ticket ticket = Ticket.__new__(Ticket)     # first of all: the collector may come, and run Python
    cdef Request asked
    read_request(route, x, mask, &asked)
    with cython.critical_section(route.core):
        place_request(route, Z)
        decide_request(route, info, ticket, &asked, Z, mask, left_s, now_ns)
    return ticket


cdef inline int decide_request(
    RouteCore route, const RouteInfo* info, Ticket ticket, const Request* asked, Z, mask, double left_s, int64_t now_ns
) except -1:
    cdef State* st = &route.core.st
    decide_row(route, info, ticket, asked.x, asked.mask, own_in(route, Z), left_s, now_ns, True)
    if ticket.verdict == NO_RESOURCE and asked.mask != NULL and not names_candidate(st, route.info.model, asked.mask):
        raise no_candidate(route, mask)
    st.head.n_clipped += asked.clipped
    return 0


cdef inline void decide_row(
    RouteCore route, const RouteInfo* info, Ticket ticket, const double* x, const uint64_t* mask, const double* own,
    double left_s, int64_t now_ns, bint is_new
):
    """Decides on a job of features x (MAX_D,), encoded, counts it where it goes and, when it is a new one, makes it a
    promise; own as in own_in."""
    cdef State* st = &route.core.st
    ticket.verdict = decide_any(st, info, x, mask, left_s, now_ns, &ticket.f, &ticket.n_tied)
    route.core.last_ns = now_ns
    if ticket.f.lane < 0:       # all that explain() and retry() have of the job
        memcpy(ticket.f.x, x, MAX_D * sizeof(double))
        ticket.f.tpot_bound_s = info.tpot_s
    ticket._issue(route, own, now_ns)
    if is_new and ticket.verdict == ADMITTED:
        issue(st, ticket.slot, info.qos, &ticket.f, True)


cdef all_open(const State* st):
    return CapacityError(
        f"{st.head.n_open} tickets are open, the engine's capacity: settle them, or build it with more")


cdef no_candidate(RouteCore route, mask):
    return InputError(f"mask={mask!r} leaves no candidate of model {route.model.name!r}: set a bit of one")
