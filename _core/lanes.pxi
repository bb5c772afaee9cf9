# Resources as jobs see them.

@cython.no_gc_clear
cdef class Lanes(Block):
    """Load, columns and openness of each lane."""

    def store(self, int model, int column, int lane, double value):
        """Writes a reported column, raw; NaN = unknown."""
        store_column(&self.st, model, column, lane, value)

    def load(self, int lane):
        """(jobs in service, jobs queued) that tickets put on the lane."""
        cdef const Load* load = self.st.load + lane
        return load.n_running, n_open(load) - load.n_running

    def drain(self, int lane, bint on):
        """on: the lane takes no more jobs, those it has go on. Off: it takes jobs again, unless it is ejected."""
        self.st.load[lane].drained = on
        openness_changed(&self.st, lane)

    def is_open(self, int lane):
        """Whether the lane takes jobs: neither drained nor ejected."""
        return bool(get_bit(self.st.head.open_lanes, lane))

    def own_queue(self, int lane):
        """From now on the queue's owner says when service starts, and levels are served in order."""
        self.st.load[lane].in_order = 0
        update_ahead(&self.st, lane)

    def take_disturbed(self):
        """Bit set (int) of lanes on which an alarm or the breaker went off since the last call."""
        lanes = 0
        cdef int lane
        for lane in range(self.st.head.n_resources):
            if get_bit(self.st.head.disturbed, lane):
                lanes |= 1 << lane
        memset(self.st.head.disturbed, 0, sizeof(self.st.head.disturbed))
        return lanes
