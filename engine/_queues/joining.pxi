# Waiting jobs that may be served together: what is said of their models, who is kin, who fits beside a head.

@cython.final
cdef class Joint:
    """How jobs of one model are joined; see `Batching`."""

    cdef double max_items
    cdef int64_t hold_ns
    cdef object at                      # which feature is the items; an object, since what it indexes is the caller's


cdef class Joints(Places):
    """Places whose jobs may be served together. `Batches` inherits it."""

    cdef dict joints                    # model -> Joint
    cdef dict limits                    # (lane, model) -> items of a batch at most, where that is less than of the Joint
    cdef frozenset singles              # models whose jobs may wait behind a batch of others, of one signal
    cdef bint holds                     # may slots be held at all?
    cdef bint start_test, spare_urgent

    def __init__(self, slots, policy, min_share, batching, models):
        Places.__init__(self, slots, policy, min_share)
        cdef Joint joint
        declared = {model.name: model for model in models}
        self.joints, self.limits, self.holds = {}, {}, False
        self.singles = frozenset(name for name, model in declared.items() if batching and not model.streams)
        for name, rule in (batching or {}).items():
            require(isinstance(rule, Batching), "Dispatch", f"batching[{name!r}]", rule, "a Batching")
            require(name in declared, "Dispatch", "batching", name, f"names of models={list(declared)!r}")
            joint = Joint()
            joint.max_items, joint.hold_ns = rule.max_items, nanoseconds(rule.hold_s)
            joint.at = items_at(declared[name])
            self.joints[name] = joint
            self.holds = self.holds or joint.hold_ns > 0

    def limit_batch(self, int lane, model, max_items):
        """A resource holds no larger batches of the model for now, of jobs that are not larger by themselves (it ran
        out of memory, say). max_items > 0; None = as many as `batching` says. Raises InputError."""
        if max_items is None:
            self.limits.pop((lane, model), None)
            return
        require(is_positive(as_number(max_items)), "limit_batch", "max_items", max_items, "a number > 0 or None", InputError)
        self.limits[lane, model] = float(max_items)

    cdef double room_for(self, Run run):
        """Items of a batch that the run is the lead of, at most."""
        cdef Joint joint = run.job.joint
        if not self.limits:
            return joint.max_items
        return min(joint.max_items, self.limits.get((run.lane, run.job.model), joint.max_items))

    cdef void check_shape(self, model, features, shape) except *:
        """Before anything is decided. Raises InputError."""
        cdef Joint joint = self.joints.get(model)
        try:
            hash(shape)
        except TypeError:
            raise InputError(f"submit: shape={shape!r}, something hashable or None is expected") from None
        if joint is not None:
            items_in(joint, features)

    cdef void release(self, Run run, bint slot_lost):
        """A run has ended, and its slot is free with the last of those that it was started with."""
        cdef Batch batch = run.together
        if batch is not None:
            batch.n_open -= 1
            slot_lost = batch.slot_lost = batch.slot_lost or slot_lost
            if batch.n_open:
                return
            batch.runs = None       # they hold each other
        if not slot_lost:
            self._queues.release(run.lane)

    cdef void set_kin(self, Job job, shape) except *:
        """What a new job may be served with."""
        cdef Joint joint = self.joints.get(job.model)
        job.shape = shape
        if joint is not None and shape is not None:
            job.items = items_in(joint, job.features)
            if job.items <= joint.max_items:
                job.joint, job.key = joint, (job.model, shape)
                return
        if job.model in self.singles:
            job.key = (job.model, None)

    cdef bint may_start(self, Run run, int64_t now_ns) except -1:
        """The start test."""
        cdef Job job = run.job
        if not self.forecasts or not self.start_test or (self.spare_urgent and job.priority == 0):
            return True
        return self._policy.may_start(run.assignment, (job.deadline_ns - now_ns) * 1e-9)

    cdef void gather(self, list members, int64_t now_ns, Orders orders):
        """Adds to the place of a head those of its kin that fit beside it, in queue order; the start test drops
        some. They are out of their kin's heap: `put_back` those that do not start. Cost O(n log n)."""
        cdef Queued head = <Queued>members[0]
        cdef Heap heap = head.kin.heap
        cdef Queued entry
        cdef Run run = <Run>head.job
        cdef double items = run.job.items, most = self.room_for(run)
        while items < most and (entry := <Queued>heap.top()) is not None:
            heap.drop()
            entry.aside = True
            if entry is head or entry.at_ns <= now_ns:      # left for `expire`
                continue
            run = <Run>entry.job
            members.append(entry)
            if items + run.job.items > most:
                self.put_back([members.pop()])
                break
            if self.may_start(run, now_ns):
                items += run.job.items
            else:
                members.pop()
                self._queues.leave(entry)
                self.leave(run, "expired", "late_start", now_ns, orders)

    cdef void put_back(self, list entries) except *:
        """Into the heaps of their kin; nothing for one that is there."""
        cdef Queued entry
        for entry in entries:
            if entry.open and entry.aside:
                entry.aside = False
                entry.kin.heap.push(entry, entry.kin.n_open)


cdef double items_in(Joint joint, features) except? -1.0:
    try:
        items = float(features[joint.at])
    except (TypeError, ValueError, IndexError):
        items = 0.0
    if not 0.0 < items < NEVER_S:
        raise InputError(f"submit: features={features!r}, a number of items > 0 is expected as number {joint.at}")
    return items
