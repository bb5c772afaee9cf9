# Who decides: we, somebody else while we look on, or nobody. Selects come here only when it is not simply we.

cdef Ticket stand_aside(
    RouteCore route, x, Z, mask, double left_s, default, int64_t now_ns
):
    """The ticket of a job that we do not decide on; None when the choice is ours after all."""
    cdef State* st = &route.core.st
    cdef int theirs = -1 if default is None else lane_of(route, "default", default)
    cdef int n_tied = 1, fewest = -1, mode = st.head.mode
    cdef uint64_t[4] rng
    cdef bint ours = False
    cdef double share = 0.0
    if mode == MODE_ACTIVE or mode == MODE_FROZEN:
        return None
    memcpy(rng, st.head.rng, sizeof(rng))
    try:
        if mode == MODE_PART:
            share = st.head.rollout
            ours = <double>(draw(st.head.rng) >> 11) * 2.0 ** -53 < share
        if theirs < 0:
            if mask is not None:
                route._read_mask(mask)
            theirs = least_loaded(
                st, route.info.model, NULL if mask is None else route.words, st.head.rng, &n_tied, &fewest)
        if ours or (theirs < 0 and mode != MODE_BYPASS):
            return shared(decide_job(route, x, Z, mask, left_s, now_ns), share, theirs, n_tied, fewest)
        if mode == MODE_BYPASS:
            return pass_by(route, mask, theirs, n_tied, left_s, now_ns)
        return observe_job(route, x, Z, mask, left_s, theirs, n_tied, share, now_ns)
    except BaseException:
        memcpy(st.head.rng, rng, sizeof(rng))   # a refused call changes nothing
        raise


cdef Ticket shared(Ticket ticket, double share, int theirs, int n_theirs, int fewest):
    """Our choice under a rollout: its propensity is that of both ways to the same resource. With no lane for the others
    (theirs < 0) we decide in any case."""
    cdef const State* st = &ticket.route.core.st
    cdef bint also_theirs = False
    if share > 0.0 and theirs >= 0 and ticket.is_open:
        if fewest < 0:
            also_theirs = st.ticket[ticket.slot].lane == theirs
        else:           # the job that was just counted aside
            also_theirs = n_open(st.load + st.ticket[ticket.slot].lane) - 1 == fewest
        ticket.chance = share * ticket.chance + (1.0 - share) * also_theirs * ticket.n_tied / n_theirs
    return ticket


cdef Ticket pass_by(RouteCore route, mask, int lane, int n_tied, double left_s, int64_t now_ns):
    """A ticket that holds nothing: bypass decides, claims and learns nothing."""
    cdef Ticket ticket = Ticket.__new__(Ticket)
    cdef Forecast f
    forecast_nothing(&f, left_s)
    ticket.n_tied = n_tied
    if lane < 0:
        if mask is not None and not names_candidate(&route.core.st, route.info.model, route.words):
            raise no_candidate(route, mask)
        ticket.n_tied = 1
        ticket.verdict = NO_RESOURCE
    f.chance = 1.0
    ticket._write(route, &f)
    ticket.made_ns = now_ns
    if lane >= 0:
        ticket.chosen = route.core.resources[lane]
        ticket.p = ticket.raw = NAN
        ticket.slot = -1
        ticket.is_open = True
    return ticket


cdef Ticket observe_job(
    RouteCore route, x, Z, mask, double left_s, int lane, int n_tied, double share, int64_t now_ns
):
    """Claims a job on the lane that somebody else chose, and keeps what we would have chosen.

    n_tied: among how many lanes theirs was drawn; share: with what probability the choice would have been ours.
    """
    cdef Core core = route.core
    cdef State* st = &core.st
    cdef Ticket ticket = Ticket.__new__(Ticket)
    cdef const uint64_t* words = NULL
    cdef double[MAX_D] encoded
    cdef int64_t clipped = 0
    cdef Forecast f
    cdef Wish wish
    cdef double cost_s
    route._read_features(x, encoded, &clipped)
    if route.n_given or Z is not None:
        route._read_given(Z)
    if mask is not None:
        route._read_mask(mask)
        words = route.words
        if not names_candidate(st, route.info.model, words):
            raise no_candidate(route, mask)
    if st.head.free_ticket < 0:
        raise all_open(st)
    prefer(st, &route.info, lane, encoded, words, left_s, now_ns, &wish)
    cost_s = forecast_theirs(st, &route.info, lane, encoded, left_s, now_ns, &f)
    st.head.n_clipped += clipped
    core.last_ns = now_ns
    ticket.observed = True
    ticket.n_tied = 1
    f.chance = (1.0 - share) / n_tied + share * wish.theirs
    if wish.lane >= 0:
        ticket.other = core.resources[wish.lane]
        ticket.regret = 0.0 if wish.lane == lane else cost_s - wish.cost_s
    ticket.x = encoded
    ticket._issue(route, &f, own_in(route, Z), now_ns)
    issue(st, ticket.slot, route.info.qos, &f, False)
    return ticket


cdef int lane_of(RouteCore route, str what, name) except -1:
    lane = route.core.lanes.get(name) if isinstance(name, str) else None
    if lane is None:
        raise UnknownName(f"{what}={name!r}: no such resource; there are {', '.join(map(repr, route.core.lanes)) or 'none'}")
    if not is_candidate(&route.core.st, route.info.model, lane):
        raise InputError(f"{what}={name!r} cannot run model {route.model.name!r}: it is none of its candidates")
    return lane


@cython.no_gc_clear         # a ticket that is collected with it still needs the core
cdef class Observing(Explaining):
    """A route on which somebody else may choose."""

    def observe(self, resource, x, Z=None, *, mask=None, deadline_s=None, arrival_s=None):
        """Somebody else sent a job to `resource`: counts it there, to be settled and learned from like any other.

        The ticket is always admitted, and nothing is promised of it. `ticket.preferred` is what we would have chosen
        among the candidates that `mask` allows, `ticket.regret_s` how much less that would have cost. Changes exactly
        what a select of that resource would have changed. Parameters as in select. Raises UnknownName (no such
        resource), InputError (what select refuses; a resource that cannot run the model) or CapacityError, and then
        changes nothing. Cost: about two selects, and 30 ns a resource.
        """
        cdef int64_t now_ns = self.core.now()
        cdef int lane = lane_of(self, "resource", resource)
        cdef double left_s = self._time_left(deadline_s, arrival_s, now_ns)
        return observe_job(self, x, Z, mask, left_s, lane, 1, 0.0, now_ns)
