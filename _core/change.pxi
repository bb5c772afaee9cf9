# When the world changes: alarms, and an operator's word for it.

@cython.no_gc_clear
cdef class Changes(Beliefs):
    """Which resources are not what they were."""

    def detect_change(self, bint on):
        """Whether completions are tested for a change of their resource, and running jobs for a hang (default: yes)."""
        self.st.head.detects_change = on

    def watch_gaps(self, double idle_gap_s):
        """From now on the first completion of a profile after so long without a job on its lane is a warm-up."""
        self.st.head.idle_gap_ns = <int64_t>(1e9 * idle_gap_s)

    def alarms(self, int lane):
        """Alarms of one lane, ever."""
        return self.st.load[lane].n_alarms

    def overdue(self, int lane):
        """Running jobs of one lane beyond the 99.9% quantile of their forecast and twice its mean, at the last look."""
        return self.st.load[lane].n_overdue

    def reset(self, int model, int lane):
        """Forgets one profile: its prior is left, as it was given."""
        cdef int64_t now_ns = self.clock.read()
        reset_belief(&self.st, model, lane, now_ns)

    def changed(self, int lane):
        """The lane is not what it was: latency and availability of all its models count as at most 8 results, its breaker
        forgets, and where it is passed over it is probed."""
        cdef int64_t now_ns = self.clock.read()
        raise_alarm(&self.st, lane, False, now_ns)
        doubt_slowness(&self.st, lane)
        discount_availability(&self.st, lane)
        rebuild_lane(&self.st, lane, now_ns)
        forgive(&self.st, lane, now_ns)
