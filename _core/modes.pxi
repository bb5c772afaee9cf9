# Who decides: we, somebody else while we look on, or nobody. Selects come here only when it is not simply we.

cdef Ticket stand_aside(
    RouteCore route, const RouteInfo* info, x, Z, mask, double left_s, default, int64_t now_ns
):
    """The ticket of a job that we do not decide on; None when the choice is ours after all."""
    cdef State* st = &route.core.st
    cdef int n_tied = 1, fewest = -1, mode = st.head.mode
    cdef int theirs
    cdef double share = st.head.rollout if mode == MODE_PART else 0.0
    cdef bint ours = False
    cdef Ticket ticket
    cdef Request asked
    if mode == MODE_ACTIVE or mode == MODE_FROZEN:
        lane_of(route, "default", default)
        return None
    ticket = Ticket.__new__(Ticket)     # before anything is read, as in decide_job
    if mode != MODE_BYPASS:
        read_request(route, x, mask, &asked)
    else:
        asked.mask = route._read_words(mask, asked.words)
    with cython.critical_section(route.core):
        theirs = lane_of(route, "default", default)
        if mode != MODE_BYPASS:
            place_request(route, Z)
        if asked.mask != NULL and not names_candidate(st, route.info.model, asked.mask):
            raise no_candidate(route, mask)
        # from here on nothing is refused, and the generator may be asked
        if mode == MODE_PART:
            ours = <double>(draw(st.head.rng) >> 11) * 2.0 ** -53 < share
        if theirs < 0:
            theirs = least_loaded(st, route.info.model, asked.mask, st.head.rng, &n_tied, &fewest)
        if mode == MODE_BYPASS:
            return pass_by(route, ticket, theirs, n_tied, left_s, now_ns)
        if ours or theirs < 0:
            decide_request(route, info, ticket, &asked, Z, mask, left_s, now_ns)
            return shared(ticket, asked.mask, share, theirs, n_tied, fewest)
        return observe_request(route, info, ticket, &asked, Z, left_s, theirs, n_tied, share, now_ns)


cdef Ticket shared(Ticket ticket, const uint64_t* mask, double share, int theirs, int n_theirs, int fewest):
    """Our decision under a rollout: its propensity is that of both ways to the same resource. The others refuse nothing;
    with no lane for them (theirs < 0) we decide in any case."""
    cdef const State* st = &ticket.route.core.st
    cdef bint also_theirs = False
    cdef int lane
    if theirs < 0:
        return ticket
    if ticket.is_open:
        lane = st.ticket[ticket.slot].lane
        if fewest < 0:
            also_theirs = lane == theirs
        else:           # the job that was just counted aside
            also_theirs = may_take(st, ticket.route.info.model, lane, mask) and n_open(st.load + lane) - 1 == fewest
    ticket.f.chance = share * ticket.f.chance + (1.0 - share) * also_theirs * ticket.n_tied / n_theirs
    return ticket


cdef Ticket pass_by(RouteCore route, Ticket ticket, int lane, int n_tied, double left_s, int64_t now_ns):
    """`ticket`, a new one, holds nothing: bypass decides, claims and learns nothing."""
    forecast_nothing(&ticket.f, left_s)
    ticket.n_tied = n_tied
    if lane < 0:
        ticket.n_tied = 1
        ticket.verdict = NO_RESOURCE
    ticket._write(route)
    ticket.made_ns = now_ns
    if lane >= 0:
        ticket.chosen = resource_at(route.core, lane)
        ticket.lane = lane
        ticket.slot = -1
        ticket.is_open = True
    return ticket


cdef Ticket observe_request(
    RouteCore route, const RouteInfo* info, Ticket ticket, const Request* asked, Z, double left_s, int lane, int n_tied,
    double share, int64_t now_ns
):
    """Claims a job on the lane that somebody else chose, and keeps what we would have chosen.

    n_tied: among how many lanes theirs was drawn; share: with what probability the choice would have been ours.
    """
    cdef Core core = route.core
    cdef State* st = &core.st
    cdef Wish wish
    cdef double cost_s
    prefer(st, info, lane, asked.x, asked.mask, left_s, now_ns, &wish)
    cost_s = forecast_theirs(st, info, lane, asked.x, left_s, now_ns, &ticket.f)
    st.head.n_clipped += asked.clipped
    core.last_ns = now_ns
    ticket.observed = True
    ticket.n_tied = 1
    ticket.f.chance = (1.0 - share) / n_tied
    if share > 0.0:
        ticket.f.chance += share * wish.theirs
    if wish.lane >= 0:
        ticket.other = resource_at(core, wish.lane)
        ticket.regret = 0.0 if wish.lane == lane else cost_s - wish.cost_s
    ticket._issue(route, own_in(route, Z), now_ns)
    issue(st, ticket.slot, info.qos, &ticket.f, False)
    return ticket


cdef int lane_of(RouteCore route, str what, name) except -2:
    """The lane of a candidate; -1 for None."""
    if name is None:
        return -1
    lane = route.core.lanes.get(name) if isinstance(name, str) else None
    if lane is None:
        raise UnknownName(f"{what}={name!r}: no such resource; there are {', '.join(map(repr, route.core.lanes)) or 'none'}")
    if not is_candidate(&route.core.st, route.info.model, lane):
        raise InputError(f"{what}={name!r} cannot run model {route.model.name!r}: it is none of its candidates")
    return lane


@cython.no_gc_clear         # a ticket that is collected with it still needs the core
cdef class Observing(Explaining):
    """A route on which somebody else may choose."""

    def observe(self, resource, x, Z=None, *, mask=None, deadline_s=None, arrival_s=None, tpot_s=None):
        """Somebody else sent a job to `resource`: counts it there, to be settled and learned from like any other.

        The ticket is always admitted, and nothing is promised of it. `ticket.preferred` is what we would have chosen
        among the candidates that `mask` allows, `ticket.regret_s` how much less that would have cost. Changes exactly
        what a select of that resource would have changed. Parameters as in select. Raises UnknownName (no such
        resource), InputError (what select refuses; a resource that cannot run the model) or CapacityError, and then
        changes nothing. Cost: about two selects, and 30 ns a resource.
        """
        cdef int64_t now_ns = self.core.now()
        cdef double left_s = self._time_left(deadline_s, arrival_s, now_ns)
        cdef RouteInfo own
        cdef const RouteInfo* info = self._bounds(tpot_s, &own)
        cdef Ticket ticket = Ticket.__new__(Ticket)     # before anything is read, as in decide_job
        cdef Request asked
        cdef int lane
        read_request(self, x, mask, &asked)
        with cython.critical_section(self.core):
            lane = lane_of(self, "resource", resource)
            if lane < 0:
                raise UnknownName("resource=None: the name of the one that the job was sent to is expected")
            if asked.mask != NULL and not names_candidate(&self.core.st, self.info.model, asked.mask):
                raise no_candidate(self, mask)
            place_request(self, Z)
            return observe_request(self, info, ticket, &asked, Z, left_s, lane, 1, 0.0, now_ns)
