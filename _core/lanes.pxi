# Resources as jobs see them.

@cython.no_gc_clear
cdef class Lanes(Block):
    """Load, columns and openness of each lane."""

    def store(self, int model, int column, int lane, double value):
        """Writes a reported column, raw; NaN = unknown."""
        store_column(&self.st, model, column, lane, value)

    def report_jobs(self, int lane, running, waiting, double at):
        """How many jobs of everybody are on the resource: float, NaN = became unknown, None = not said. at: seconds."""
        cdef int64_t now_ns = self.clock.read()
        cdef int64_t at_ns = min(now_ns, <int64_t>llround(max(-LATEST_S, min(LATEST_S, at)) * 1e9))
        note_report(
            &self.st, lane, running is not None, 0.0 if running is None else running, waiting is not None,
            0.0 if waiting is None else waiting, at_ns)
        refresh(&self.st, lane, now_ns)

    def foreign(self, int lane):
        """Others' jobs on the lane: running and waiting as last reported, and the waiting ones' worth now."""
        cdef int64_t now_ns = self.clock.read()
        cdef const Foreign* f = &self.st.load[lane].foreign
        return dict(running=f.running, waiting=f.waiting, worth=worth(f, f.waiting_ns, now_ns))

    def load(self, int lane):
        """(jobs in service, jobs queued) that tickets put on the lane."""
        cdef const Load* load = self.st.load + lane
        return load.n_running, n_open(load) - load.n_running

    def join(self, int model, int lane, double offset_s):
        """Makes a lane a candidate of a model, to be learned from nothing. Cost O(resources d^2)."""
        cdef int64_t now_ns = self.clock.read()
        cdef int s
        join_model(&self.st, model, lane, offset_s, now_ns)
        for s in range(self.st.model[model].n_signals):
            serve_cold(&self.st, model, s, now_ns)

    def remove_resource(self, int lane):
        """Shuts a lane for good and forgets what was learned of it; its open tickets can still be settled."""
        cdef int64_t now_ns = self.clock.read()
        remove_lane(&self.st, lane, now_ns)
        del self.lanes[self.resources[lane].name]
        self.resources[lane] = None

    def candidates(self, int model):
        """Lanes that can run a model, shut ones too."""
        cdef int lane
        return tuple([lane for lane in range(self.st.head.n_resources) if is_candidate(&self.st, model, lane)])

    @property
    def n_lanes(self):
        """Entries that a mask and a row of Z have: lanes in use or waiting to be used again."""
        return self.st.head.n_resources

    def drain(self, int lane, bint on):
        """on: the lane takes no more jobs, those it has go on. Off: it takes jobs again, unless it is ejected."""
        self.st.load[lane].drained = on
        openness_changed(&self.st, lane)

    def own_queue(self, int lane):
        """From now on the queue's owner says when service starts, and levels are served in order."""
        split_line(&self.st, lane)

    def now_s(self):
        """The clock, in seconds."""
        return 1e-9 * self.clock.read()

    def take_disturbed(self):
        """Bit set (int) of lanes on which an alarm or the breaker went off since the last call."""
        lanes = 0
        cdef int lane
        for lane in range(self.st.head.n_resources):
            if get_bit(self.st.head.disturbed, lane):
                lanes |= 1 << lane
        memset(self.st.head.disturbed, 0, sizeof(self.st.head.disturbed))
        return lanes
