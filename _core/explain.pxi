# What decisions compare, for people and tests.

@cython.no_gc_clear         # a ticket that is collected with it still needs the core
cdef class Explaining(RouteCore):
    """A route that tells every candidate's numbers; nothing is claimed and nothing changes."""

    def forecasts(self, x, Z=None, *, mask=None, deadline_s=None, arrival_s=None):
        """Every candidate's numbers, as a list of dicts; nothing is claimed and nothing changes (see `peek`)."""
        cdef State* st = &self.core.st
        cdef Forecast f
        cdef double[MAX_D] encoded
        cdef int64_t clipped = 0
        cdef int64_t now_ns = self.core.clock.read()
        cdef double left_s
        cdef int lane, i
        left_s = self._time_left(deadline_s, arrival_s, now_ns)
        self._read_features(x, encoded, &clipped)
        if self.n_given or Z is not None:
            self._read_given(Z)
        if mask is not None:
            self._read_mask(mask)
        score_all(st, &self.info, encoded, now_ns)
        if mask is not None:
            mask_cost(st.cost, self.words, st.head.n_resources)
        if st.head.n_shut:
            mask_shut(st, &self.info, now_ns)
        if self.info.explore:
            favour_untried(st, self.info.model)
        rows = []
        for lane in range(st.head.n_resources):
            if not isfinite(st.cost[lane]):
                continue
            forecast_lane(st, &self.info, lane, encoded, left_s, now_ns, &f)
            rows.append(dict(
                lane=lane, rank_s=st.cost[lane], wait_s=f.wait_s, service_s=f.mean_s, ln_service=f.m, spread=f.s,
                dof=f.dof, availability=f.availability, p_on_time=f.p_on_time, **stream_of(&self.info, st, &f),
                features=np.array([f.x[i] for i in range(st.model[self.info.model].d)])))
        return rows

    def weigh(self, x, Z=None, *, mask=None):
        """What decide_among compares, float32 (n_resources,): rank_s, var and model_var of ln(service), mean_s, on_time."""
        cdef State* st = &self.core.st
        cdef double[MAX_D] encoded
        cdef int64_t clipped = 0
        cdef int64_t now_ns = self.core.clock.read()
        cdef int n = st.head.n_resources
        self._read_features(x, encoded, &clipped)
        if self.n_given or Z is not None:
            self._read_given(Z)
        if mask is not None:
            self._read_mask(mask)
        score_all(st, &self.info, encoded, now_ns)
        if mask is not None:
            mask_cost(st.cost, self.words, n)
        weigh_all(st, &self.info, encoded, self.info.deadline_s)
        return dict(rank_s=floats(st.cost, n), var=floats(st.var, n), model_var=floats(st.model_var, n),
                    mean_s=floats(st.mean_s, n), on_time=floats(st.on_time, n))


cdef dict stream_of(const RouteInfo* info, const State* st, const Forecast* f):
    """What follows the first token, where the model has two signals."""
    if not f.streams:
        return {}
    held = st.load[f.lane].pace
    return dict(
        tpot_s=f.stream.mean_s, ln_tpot=f.stream.m, tpot_spread=f.stream.s, tokens=f.stream.tokens,
        busy_s=f.stream.busy_s, tpot_bound_s=min(info.tpot_s, 1.0 / held if held > 0.0 else INFINITY))


cdef floats(const float* values, int n):
    return np.array([values[i] for i in range(n)], dtype=np.float32)
