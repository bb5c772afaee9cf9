# Waiting jobs that are served together: who, how many, and whether a free slot is held for more of them.

@cython.final
cdef class Joint:
    """How jobs of one model are joined; see `Batching`."""

    cdef double max_items
    cdef int64_t hold_ns
    cdef object at                      # which feature is the items; an object, since what it indexes is the caller's


@cython.final
cdef class Hold:
    """What a timer has of a lane whose free slot is held."""

    cdef int lane


@cython.final
cdef class Tightest:
    """Of each class among the members of a batch the first by queue order that would be in time if it ran alone:
    its deadline is the nearest of those that a larger batch could make late."""

    cdef list members                   # of (place in queue order, required probability, seconds left)
    cdef bint some_late                 # a member is below its class whatever is done


cdef class Joints(Places):
    """Places whose jobs may be served together. `Dispatch` inherits it."""

    cdef dict joints                    # model -> Joint
    cdef dict limits                    # (lane, model) -> items of a batch at most, where that is less than of the Joint
    cdef dict held                      # lane -> Timer of its hold, whether it came due or not
    cdef bint holds                     # may slots be held at all?
    cdef bint start_test, spare_urgent

    def __init__(self, slots, policy, min_share, batching, models):
        Places.__init__(self, slots, policy, min_share)
        cdef Joint joint
        declared = {model.name: model for model in models}
        self.joints, self.limits, self.held, self.holds = {}, {}, {}, False
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
        if joint is None or shape is None:
            return
        job.items = items_in(joint, job.features)
        if job.items <= joint.max_items:
            job.joint, job.key = joint, (job.model, shape)

    cdef bint may_start(self, Run run, int64_t now_ns) except -1:
        """The start test."""
        cdef Job job = run.job
        if not self.forecasts or not self.start_test or (self.spare_urgent and job.priority == 0):
            return True
        return self._policy.may_start(run.assignment, (job.deadline_ns - now_ns) * 1e-9)

    cdef list gather(self, Queued head, int64_t now_ns, Orders orders):
        """The places of the head and of those of its kin that fit beside it, in queue order; the start test drops
        some. All are out of their kin's heap: `put_back` those that do not start. Cost O(n log n)."""
        cdef Heap heap = head.kin.heap
        cdef Queued entry
        cdef Run run = <Run>head.job
        cdef double items = run.job.items, most = self.room_for(run)
        cdef list members = [head]
        while items < most and (entry := <Queued>heap.top()) is not None:
            heap.drop()
            if entry is head or entry.at_ns <= now_ns:      # left for `expire`
                continue
            run = <Run>entry.job
            if items + run.job.items > most:
                heap.push(entry, len(heap) + 1)
                break
            if self.may_start(run, now_ns):
                members.append(entry)
                items += run.job.items
            else:
                self._queues.leave(entry)
                self.leave(run, "expired", "late_start", now_ns, orders)
        return members

    cdef void put_back(self, list entries) except *:
        cdef Queued entry
        for entry in entries:
            if entry.open:
                entry.kin.heap.push(entry, entry.kin.n_open)

    cdef Tightest tightest(self, list members, int64_t now_ns):
        """Cost: a forecast a member at most, and a class at least."""
        cdef Tightest found = Tightest()
        cdef Queued entry
        cdef Job job
        cdef double left_s
        cdef Run run
        cdef set classes = set()
        found.members = []
        for i, entry in enumerate(members):
            job = (<Run>entry.job).job
            if job.qos.name in classes:
                continue
            left_s = (job.deadline_ns - now_ns) * 1e-9
            run = <Run>entry.job
            if self._policy.service_within_s(run.assignment, job.features, job.qos.on_time) <= left_s:
                classes.add(job.qos.name)
                found.members.append((i, job.qos.on_time, left_s))
            else:
                found.some_late = True
        return found

    cdef Py_ssize_t fit(self, list members, Tightest tightest) except -1:
        """How many of the first may be served together, so that none that would be in time alone is late for its
        class. The larger a batch, the longer it takes: found by bisection, in O(classes log n) forecasts."""
        cdef Py_ssize_t fits = 1, fails = len(members) + 1, n = len(members)
        while fails - fits > 1:
            if self.in_time(members, n, tightest):
                fits = n
            else:
                fails = n
            n = (fits + fails) // 2
        return fits

    cdef bint in_time(self, list members, Py_ssize_t n, Tightest tightest) except -1:
        cdef Run lead = <Run>(<Queued>members[0]).job
        x = features_of(members, n)
        for i, on_time, left_s in tightest.members:
            if i < n and self._policy.service_within_s(lead.assignment, x, on_time) > left_s:
                return False
        return True

    cdef int64_t held_until(self, list members, Tightest tightest, int64_t now_ns) except? -1:
        """When a batch that has room is to start at the latest; now_ns where it is not to be held."""
        cdef Queued entry
        cdef Run lead = <Run>(<Queued>members[0]).job
        cdef Joint joint = lead.job.joint
        cdef int64_t until_ns = min([(<Run>entry.job).job.arrival_ns for entry in members]) + joint.hold_ns
        if tightest is not None:
            if tightest.some_late:
                return now_ns
            x = one_more(features_of(members, len(members)), joint.at)
            for _, on_time, left_s in tightest.members:
                within_s = self._policy.service_within_s(lead.assignment, x, on_time)
                until_ns = min(until_ns, now_ns + nanoseconds(left_s - within_s))
        return until_ns

    cdef bint hold(self, list members, Tightest tightest, int64_t now_ns) except -1:
        """Whether the slot of a batch is held for more of its kin. Never while another job waits at the resource."""
        cdef Queued entry = <Queued>members[0]
        cdef Joint joint = (<Run>entry.job).job.joint
        cdef double items = 1.0
        cdef int64_t until_ns
        cdef Hold hold
        for entry in members:
            items += (<Run>entry.job).job.items
        if not joint.hold_ns or items > self.room_for(<Run>entry.job) or self._queues.line_of(entry.lane).length > len(members):
            return False
        until_ns = self.held_until(members, tightest, now_ns)
        if until_ns <= now_ns:
            return False
        hold = Hold()
        hold.lane = entry.lane
        self.timers.end(self.held.get(hold.lane))
        self.held[hold.lane] = self.timers.begin(hold, until_ns)
        return True

    cdef list begin_batch(self, Queued head, int64_t now_ns, Orders orders):
        """Takes the head of a lane, that has a free slot, and who is served with it out of the queue: their runs.
        None = the slot is held."""
        cdef list members = self.gather(head, now_ns, orders)
        cdef Tightest tightest = None
        cdef Py_ssize_t n = len(members)
        cdef bint held = False
        if self.sizes and (n > 1 or (<Run>head.job).job.joint.hold_ns):
            tightest = self.tightest(members, now_ns)
            n = self.fit(members, tightest)
        if n == len(members):
            held = self.hold(members, tightest, now_ns)
        if held:        # then all of its kin are here
            self.put_back(members)
            return None
        self.put_back(members[n:])
        runs = [self._queues.start(head, now_ns)]
        for entry in members[1:n]:
            runs.append(self._queues.start_along(<Queued>entry, now_ns))
        return runs

    cdef void start_batch(self, list runs, int64_t now_ns, Orders orders):
        """None of them is hedged: what is an outlier is the batch, and a copy of one job would not be as long."""
        cdef Batch batch = Batch()
        cdef Run run
        batch.runs, batch.n_open = tuple(runs), len(runs)
        for run in runs:
            self.begin(run, now_ns)
            run.together, run.n_together = batch, <int>batch.n_open
        orders.start.append(runs[0])
        if self.sizes:
            x = joined([(<Run>run).job.features for run in runs], (<Run>runs[0]).job.joint.at)
            self._policy.started_batch([(<Run>run).assignment for run in runs], x)
        else:
            for run in runs:
                self._policy.started(run.assignment)

    cdef void begin(self, Run run, int64_t now_ns):
        self.timers.end(run.timer)
        run.entry, run.timer = None, None
        run.started_ns, run.has_started = now_ns, True


cdef features_of(list members, Py_ssize_t n):
    """Of a run of the first n."""
    cdef Queued entry
    cdef Job job = (<Run>(<Queued>members[0]).job).job
    return joined([(<Run>entry.job).job.features for entry in members[:n]], job.joint.at)


cdef double items_in(Joint joint, features) except? -1.0:
    try:
        items = float(features[joint.at])
    except (TypeError, ValueError, IndexError):
        items = 0.0
    if not 0.0 < items < NEVER_S:
        raise InputError(f"submit: features={features!r}, a number of items > 0 is expected as number {joint.at}")
    return items
