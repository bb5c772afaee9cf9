# When the world changes: alarms, and an operator's word for it.

@cython.no_gc_clear
cdef class Changes(Beliefs):
    """Which resources are not what they were."""

    @cython.critical_section
    def detect_change(self, bint on):
        """Whether completions are tested for a change of their resource, and running jobs for a hang (default: yes)."""
        self.st.head.detects_change = on

    @cython.critical_section
    def watch_gaps(self, double idle_gap_s):
        """From now on the first completion of a profile after so long without a job on its lane is a warm-up."""
        self.st.head.idle_gap_ns = <int64_t>(1e9 * idle_gap_s)

    def alarms(self, int lane):
        """Alarms of one lane, ever."""
        return self.st.load[lane].n_alarms

    def overdue(self, int lane):
        """Running jobs of one lane beyond the 99.9% quantile of their forecast and twice its mean, at the last look."""
        return self.st.load[lane].n_overdue

    def admit(self, resource, capacity, joins, profiles):
        """A resource joins, ready before anybody can see it; returns its lane. capacity: as of add_resource; joins: by model,
        seconds of offset (+inf = it cannot run it) and the static bound that excludes it (None = none does); profiles: of
        each given one what `give` takes, the lane aside. Raises ConfigError, CapacityError.
        """
        cdef int64_t now_ns = self.clock.read()
        cdef int held, lane, model, s, slots
        cdef bint in_order, soft
        cdef double kv_limit, cost_per_s = resource.cost_per_s, power_w = resource.power_w
        name, kind = resource.name, resource.kind
        slots, in_order, soft, kv_limit = capacity
        held = hold_collector()
        try:
            with cython.critical_section(self):
                if name in self.lanes:
                    raise ConfigError(f"add: resource {name!r} is there already; remove it first")
                lane = self.take_lane(resource, name, kind, slots, in_order, soft, kv_limit)
                self.set_price(lane, cost_per_s, power_w)
                for model, (offset_s, bound) in enumerate(joins):
                    join_model(&self.st, model, lane, offset_s, now_ns)
                    serve_newcomer(&self.st, model, lane, now_ns)
                    for s in range(self.st.model[model].n_signals):
                        serve_some_cold(&self.st, model, s, now_ns)
                    self.shut_out(model, lane, bound)
                for model, ln_median, spread, weight, slopes in profiles:
                    self.install(model, lane, ln_median, spread, weight, slopes)
                openness_changed(&self.st, lane)
                return lane
        finally:
            release_collector(held)

    def reset(self, resource, models):
        """Forgets its profiles of these models (indices): the prior is left, as it was given. Raises UnknownName."""
        cdef int64_t now_ns = self.clock.read()
        cdef int lane, model
        with cython.critical_section(self):
            lane = self.find(resource)
            for model in models:
                reset_belief(&self.st, model, lane, now_ns)

    def changed(self, resource):
        """It is not what it was: latency and availability of all its models count as at most 8 results, its breaker
        forgets, and where it is passed over it is probed. Raises UnknownName."""
        cdef int64_t now_ns = self.clock.read()
        cdef int lane
        with cython.critical_section(self):
            lane = self.find(resource)
            raise_alarm(&self.st, lane, False, now_ns)
            doubt_slowness(&self.st, lane)
            discount_availability(&self.st, lane)
            rebuild_lane(&self.st, lane, now_ns)
            forgive(&self.st, lane, now_ns)
