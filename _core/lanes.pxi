# Resources as jobs see them.

@cython.no_gc_clear
cdef class Lanes(Block):
    """Load, columns and openness of each lane."""

    cdef int find(self, resource) except -1:
        """The lane of a resource, for what is done to it before any Python runs: then it may be another's."""
        lane = self.lanes.get(resource) if isinstance(resource, str) else None
        if lane is None:
            raise UnknownName(f"no resource {resource!r}; there are {', '.join(map(repr, self.lanes)) or 'none'}")
        return lane

    @cython.critical_section
    def lane(self, resource):
        """The index of a resource in masks and in the columns of Z. Raises UnknownName."""
        return self.find(resource)

    def report(self, resource, at, running, waiting, columns):
        """What a resource says of itself; ignored when it is older than its last report. at: seconds, None = now, and
        what lies ahead. running, waiting: how many jobs of everybody are there: float, NaN = became unknown, None = not
        said. columns: (model, column, value, NaN = unknown) of each that was said. Raises UnknownName.
        """
        cdef int64_t now_ns = self.clock.read(), at_ns
        cdef double now_s = 1e-9 * now_ns
        # by another clock, or from before this one went back, it must not make the next ones look old
        cdef double at_s = now_s if at is None else min(<double>at, now_s)
        cdef int lane, model, column
        cdef double value
        with cython.critical_section(self):
            lane = self.find(resource)
            if at_s < min(<double>self.reported_s.get(lane, -INFINITY), now_s):
                return
            self.reported_s[lane] = at_s
            if running is not None or waiting is not None:
                at_ns = min(now_ns, <int64_t>llround(max(-LATEST_S, min(LATEST_S, at_s)) * 1e9))
                note_report(
                    &self.st, lane, running is not None, 0.0 if running is None else running, waiting is not None,
                    0.0 if waiting is None else waiting, at_ns)
                refresh(&self.st, lane, now_ns)
            for model, column, value in columns:
                store_column(&self.st, model, column, lane, value)

    def foreign(self, int lane):
        """Others' jobs on the lane: running and waiting as last reported, and the waiting ones' worth now."""
        cdef int64_t now_ns = self.clock.read()
        cdef const Foreign* f = &self.st.load[lane].foreign
        with cython.critical_section(self):
            return dict(running=f.running, waiting=f.waiting, worth=worth(f, f.waiting_ns, now_ns))

    @cython.critical_section
    def takes_jobs(self, int lane):
        """Whether a lane is open: neither drained, ejected nor removed."""
        return get_bit(self.st.head.open_lanes, lane)

    @cython.critical_section
    def load(self, int lane):
        """(jobs in service, jobs queued) that tickets put on the lane."""
        cdef const Load* load = self.st.load + lane
        return load.n_running, n_open(load) - load.n_running

    def remove_resource(self, resource):
        """Shuts its lane for good and forgets what was learned of it; its open tickets can still be settled.
        Raises UnknownName."""
        cdef int64_t now_ns = self.clock.read()
        cdef int lane
        with cython.critical_section(self):
            lane = self.find(resource)
            remove_lane(&self.st, lane, now_ns)
            self.reported_s.pop(lane, None)
            del self.lanes[resource]
            self.resources[lane] = None

    @cython.critical_section
    def candidates(self, int model):
        """Lanes that can run a model, shut ones too."""
        cdef int lane
        return tuple([lane for lane in range(self.st.head.n_resources) if is_candidate(&self.st, model, lane)])

    @cython.critical_section
    def set_load(self, resource, int model, double load_s):
        """What loading the model would make its next job wait, seconds >= 0; 0 = it is loaded. Raises UnknownName, InputError."""
        cdef int lane = self.find(resource)
        if not is_candidate(&self.st, model, lane):
            raise InputError(f"resource {resource!r} cannot run that model: there is nothing to load")
        set_load(&self.st, model, lane, load_s)

    def load_s(self, int model, int lane):
        return profile_at(&self.st, model, lane).load_s

    @property
    def n_lanes(self):
        """Entries that a mask and a row of Z have: lanes in use or waiting to be used again."""
        return self.st.head.n_resources

    @cython.critical_section
    def drain(self, resource, bint on):
        """on: it takes no more jobs, those it has go on. Off: it takes jobs again, unless it is ejected.
        Raises UnknownName."""
        cdef int lane = self.find(resource)
        self.st.load[lane].drained = on
        openness_changed(&self.st, lane)

    @cython.critical_section
    def own_queue(self, resource):
        """From now on the queue's owner says when service starts, and levels are served in order. Raises UnknownName,
        ConfigError."""
        cdef int lane = self.find(resource)
        if self.st.load[lane].soft:
            raise ConfigError(
                f"Resource {resource!r} has max_running and queues by itself: slots are expected of an owned queue")
        split_line(&self.st, lane)

    def now_s(self):
        """The clock, in seconds."""
        return 1e-9 * self.clock.read()

    @cython.critical_section
    def take_disturbed(self):
        """Bit set (int) of lanes on which an alarm or the breaker went off since the last call."""
        lanes = 0
        cdef int lane
        for lane in range(self.st.head.n_resources):
            if get_bit(self.st.head.disturbed, lane):
                lanes |= 1 << lane
        memset(self.st.head.disturbed, 0, sizeof(self.st.head.disturbed))
        return lanes
