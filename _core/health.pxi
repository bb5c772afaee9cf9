# The breakers: their rules in, their state out.

@cython.no_gc_clear
cdef class Breakers(Lanes):
    """What opens and closes each lane's breaker, and where it stands."""

    @cython.critical_section
    def set_health(self, int consecutive_failures, double min_success, double backoff_s, double max_backoff_s,
                   double max_ejected):
        """consecutive_failures = 0: only what a resource itself asks for opens its breaker."""
        cdef HealthRules* rules = &self.st.head.health
        rules.consecutive_failures = consecutive_failures
        rules.min_success = min_success
        rules.backoff_s = backoff_s
        rules.max_backoff_s = max_backoff_s
        rules.max_ejected = max_ejected

    def breaker(self, int lane):
        """One lane's breaker now, as a dict (see `tailwise.Breaker`)."""
        cdef const Load* load = self.st.load + lane
        cdef int64_t now_ns = self.clock.read()
        with cython.critical_section(self):
            state = "closed"
            if load.ejected:
                state = "half-open" if has_ended(&load.breaker, now_ns) or load.breaker.probe else "open"
            return dict(
                state=state, failures=load.breaker.n_failures, success=1.0 - load.breaker.failing,
                until_s=load.breaker.until_ns * 1e-9 if load.ejected else None)
