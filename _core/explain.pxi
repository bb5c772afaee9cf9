# What decisions compare, for people and tests.

cdef enum:
    N_DRAWS = 256       # behind a propensity where the policy draws: its standard error is at most 1/32

@cython.no_gc_clear         # a ticket that is collected with it still needs the core
cdef class Explaining(RouteCore):
    """A route that tells every candidate's numbers; nothing is claimed and nothing changes."""

    def _forecasts(self, x, Z=None, *, mask=None, deadline_s=None, arrival_s=None, tpot_s=None):
        """Every candidate's numbers, as a list of dicts; nothing is claimed and nothing changes (see `peek`)."""
        cdef int64_t now_ns = self.core.now()
        cdef RouteInfo own
        return self._see(
            self._bounds(tpot_s, &own), x, Z, mask, self._time_left(deadline_s, arrival_s, now_ns), now_ns)

    cdef list _see(self, const RouteInfo* info, x, Z, mask, double left_s, int64_t now_ns):
        cdef Request asked
        read_request(self, x, mask, &asked)
        return self._rows(info, asked.x, asked.mask, Z, left_s, now_ns)

    cdef list _rows(
        self, const RouteInfo* info, const double* x, const uint64_t* mask, Z, double left_s, int64_t now_ns
    ):
        """Between rows, too, nobody else decides: what they say is in the engine's scratch."""
        cdef int held = hold_collector()
        try:
            with cython.critical_section(self.core):
                self._read_given(Z)
                return self._weigh_rows(info, x, mask, left_s, now_ns)
        finally:
            release_collector(held)

    cdef list _weigh_rows(
        self, const RouteInfo* info, const double* x, const uint64_t* mask, double left_s, int64_t now_ns
    ):
        cdef State* st = &self.core.st
        cdef Forecast f
        cdef int lane, i, static
        cdef list share, left, rows = []
        share, left, bound = self._shares(info, x, mask, left_s, now_ns)
        for lane in range(<int>len(share)):
            static = st.excluded[info.model * st.head.max_resources + lane]
            if (mask != NULL and not get_bit(mask, lane)) or not (static or is_candidate(st, info.model, lane)):
                continue
            forecast_lane(st, info, lane, x, left_s, now_ns, &f)
            rows.append(dict(
                lane=lane, rank_s=rank_of(st, info, lane), score=value_of(st, info, lane), wait_s=f.wait_s,
                service_s=f.mean_s, ln_service=f.m, spread=f.s, dof=f.dof, availability=f.availability,
                p_on_time=f.claim, p_raw=f.p_on_time, propensity=share[lane],
                throughput_per_s=throughput_of(st, info.model, lane, items_of(st.model + info.model, x), occupied_s(&f), now_ns),
                **stream_of(info, st, &f),
                excluded=None if left[lane] else REASONS[static] if static else self._excluded(lane, bound),
                features=np.array([f.x[i] for i in range(st.model[info.model].d)])))
        return rows

    cdef tuple _shares(
        self, const RouteInfo* info, const double* x, const uint64_t* mask, double left_s, int64_t now_ns
    ):
        """Chance of each lane over N_DRAWS draws (one where the policy draws nothing), whether it was left to choose
        from in the last, and the bound that left none. A probe of an ejected or a silent lane is not in it."""
        cdef State* st = &self.core.st
        cdef uint64_t[4] rng = [st.head.rng[0], st.head.rng[1], st.head.rng[2], st.head.rng[3]]
        cdef int k, bound = 0, n = st.head.n_resources, n_draws = N_DRAWS if info.policy == THOMPSON else 1
        cdef list share = [0.0] * n, left = []
        for k in range(n_draws):
            bound = foresee(st, info, x, mask, left_s, now_ns)
            left = [bound == 0 and st.pick[lane] < INFINITY for lane in range(n)]
            narrow_to_best(st, info)
            tied = tied_lanes(st)
            for lane in tied:
                share[lane] += (bound == 0) / <double>(len(tied) * n_draws)
        for k in range(4):
            st.head.rng[k] = rng[k]
        return share, left, bound

    cdef str _excluded(self, int lane, int bound):
        """Why a candidate is not left to choose from: shut, or the bound that it breaks."""
        cdef State* st = &self.core.st
        if st.load[lane].drained:
            return "drained"
        if st.cost[lane] < INFINITY:
            return REASONS[bound] if bound else "guarantee" if self.info.guaranteed else "late"
        if st.load[lane].ejected and not get_bit(st.head.open_lanes, lane):
            return "ejected"
        return "throughput" if -st.mean_s[lane] * st.price[lane // LANES].cost_per_s[lane % LANES] \
            >= -0.9999 * self.info.max_cost else "cost"

    def _outlook(self, x, Z=None, *, mask=None, deadline_s=None, arrival_s=None, tpot_s=None):
        """What a choice among variants compares of this one: the bound that leaves no candidate (a number, later in
        the order of bounds is larger; 0 = some are left), whether any ends on time, whether no candidate has ever
        shown a result and one is idle, the least score and the rank it has, the highest P(on time). Nothing changes."""
        cdef State* st = &self.core.st
        cdef Request asked
        cdef int64_t now_ns = self.core.now()
        cdef double left_s = self._time_left(deadline_s, arrival_s, now_ns)
        cdef RouteInfo own
        cdef const RouteInfo* info = self._bounds(tpot_s, &own)
        cdef uint64_t[4] rng
        cdef int lane, bound
        cdef double p = 0.0, score = INFINITY, rank_s = INFINITY
        cdef bint untried = False, tried = False
        read_request(self, x, mask, &asked)
        with cython.critical_section(self.core):
            self._read_given(Z)
            memcpy(rng, st.head.rng, sizeof(rng))
            bound = foresee(st, info, asked.x, asked.mask, left_s, now_ns)
            narrow_to_best(st, info)
            for lane in range(4):
                st.head.rng[lane] = rng[lane]
            for lane in range(st.head.n_resources):
                if not st.cost[lane] < INFINITY:
                    continue
                p = max(p, st.on_time[lane])
                tried |= not get_bit(st.model[self.info.model].untried, lane)
                untried |= n_open(st.load + lane) == 0 and not get_bit(st.model[self.info.model].absent, lane)
                if st.pick[lane] < rank_s:
                    rank_s = st.pick[lane]
                    score = value_of(st, info, lane)
        return dict(bound=bound, feasible=p >= self.info.on_time - 1e-4, untried=untried and not tried and learns(st), score=score,
                    rank_s=rank_s, p_on_time=p)

    def _weigh(self, x, Z=None, *, mask=None):
        """What decide_among compares, float32 (n_resources,): rank_s, var and model_var of ln(service), mean_s, on_time."""
        cdef State* st = &self.core.st
        cdef Request asked
        cdef int64_t now_ns = self.core.now()
        cdef int n
        read_request(self, x, mask, &asked)
        with cython.critical_section(self.core):
            self._read_given(Z)
            n = st.head.n_resources
            score_all(st, &self.info, asked.x, self.info.deadline_s, now_ns)
            if asked.mask != NULL:
                mask_cost(st.cost, asked.mask, n)
            weigh_all(st, &self.info, asked.x, self.info.deadline_s, now_ns, True)
            return dict(rank_s=floats(st.cost, n), var=floats(st.var, n), model_var=floats(st.model_var, n),
                        mean_s=floats(st.mean_s, n), on_time=floats(st.on_time, n))


cdef dict stream_of(const RouteInfo* info, const State* st, const Forecast* f):
    """What follows the first token, where the model has two signals."""
    if not f.streams:
        return {}
    return dict(
        tpot_s=f.stream.mean_s, ln_tpot=f.stream.m, tpot_spread=f.stream.s, tokens=f.stream.tokens,
        busy_s=f.stream.busy_s, tpot_bound_s=tightest_s(st, f.lane, info.tpot_s))


cdef floats(const float* values, int n):
    return np.array([values[i] for i in range(n)], dtype=np.float32)


cdef list tied_lanes(const State* st):
    """The lanes among which choose() draws."""
    cdef int lane, n = st.head.n_resources
    cdef double least = min([st.pick[lane] for lane in range(n)])
    near = [lane for lane in range(n) if st.pick[lane] < INFINITY and st.pick[lane] <= <float>(least + 1e-4 * fabs(least))]
    fewest = min([n_open(st.load + <int>lane) for lane in near], default=0)
    return [lane for lane in near if n_open(st.load + <int>lane) == fewest]


cdef double rank_of(const State* st, const RouteInfo* route, int lane):
    """(wait + median service) / availability + offset, as st.cost has it where the lane was not taken out."""
    cdef const float* row = served_block(st, route.model, 0, lane // LANES) + lane % LANES
    cdef double offset = row[ROW_OFFSET * LANES]
    if st.cost[lane] < INFINITY:
        return st.cost[lane]
    return (st.waiting[lane] + st.service[lane]) * row[ROW_INV_AVAIL * LANES] + (offset if isfinite(offset) else 0.0)


cdef explain_ticket(Ticket t):
    cdef Explaining route = t.route
    cdef RouteInfo info = paced_by(&route.info, t.f.tpot_bound_s)
    cdef int64_t now_ns = route.core.clock.read()
    if t.f.x[0] != 1.0:
        raise TicketError("nothing was decided on this ticket (the engine was bypassed): there is nothing to explain")
    chosen = t.resource
    verdict = f"rejected ({t.reason})" if t.reason else f"{chosen.name} chosen" + (" as a probe" if t.probe else "")
    if t.seen is not None:
        return route._explanation(t.seen, verdict=verdict)
    rows = route._rows(&info, t.f.x, NULL, None, t.f.left_s, now_ns)
    for row in rows:
        if route.core.resources[row["lane"]] is chosen:
            row.update(
                wait_s=t.f.wait_s, service_s=t.f.mean_s, ln_service=t.f.m, spread=t.f.s, dof=t.f.dof, p_on_time=t.f.claim, p_raw=t.f.p_on_time,
                propensity=t.f.chance / t.n_tied, excluded=t.reason)
    return route._explanation(rows, verdict=verdict, recomputed=True)


cdef retry_after(Ticket t):
    """Bisection for the longest wait that still reaches the bound; its variance shrinks with it."""
    cdef double p = t.route.info.on_time if t.verdict == GUARANTEE else t.route.info.reject_below
    cdef double low = 0.0, high = t.f.wait_s
    cdef int k
    if t.verdict not in (LATE, GUARANTEE) or t.f.left_s <= 0.0 or t.route.streams or p_at_wait(t, 0.0) < p:
        return None
    for k in range(40):
        if p_at_wait(t, 0.5 * (low + high)) >= p:
            low = 0.5 * (low + high)
        else:
            high = 0.5 * (low + high)
    return t.f.wait_s - low


cdef double p_at_wait(Ticket t, double wait_s):
    """What admission compares, the ticket's claim or raw P, if its wait were this long, between 0 and what it was: with
    the backlog the age of who is queued longest goes, too."""
    cdef Forecast f
    if t.verdict == GUARANTEE:
        return t.f.availability * read_claim(
            &t.route.core.st.certificate[t.route.info.qos].claims,
            cell_u(spreads_left(t.f.left_s, wait_s + t.f.idle_mean_s, t.f.idle_s)),
            <int>(t.f.h * (wait_s / t.f.wait_s)) if t.f.wait_s > 0.0 else 0)
    forecast_nothing(&f, t.f.left_s)
    f.mean_s = t.f.mean_s
    f.var_s2 = service_var(t.f.mean_s, t.f.s)
    f.wait_s = wait_s
    f.wait_var = 0.0
    if t.f.wait_s > 0.0:
        f.wait_var = max(0.0, expm1(t.f.s_total * t.f.s_total) * (t.f.wait_s + t.f.mean_s) ** 2 - f.var_s2) * wait_s / t.f.wait_s
    f.dof = t.f.dof
    f.availability = t.f.availability
    forecast_total(&f, t.f.left_s)
    return f.p_on_time
