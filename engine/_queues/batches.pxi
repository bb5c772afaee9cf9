# Batches: how many of those that fit beside a head start with it, and whether its slot is held for more of them.

@cython.final
cdef class Hold:
    """What a timer has of a lane whose free slot is held."""

    cdef int lane


@cython.final
cdef class Tightest:
    """Of each class the first by queue order that would be in time with those alone that go before it: its deadline is
    the nearest of those that a larger batch could make late. Among the members of a batch, and among those of other
    kin that wait behind it for its slot."""

    cdef list members                   # of (members before it, required probability, seconds that the run may take)
    cdef bint some_late                 # a member is below its class whatever is done


cdef class Batches(Joints):
    """Joints whose runs are put together. `Dispatch` inherits it."""

    cdef dict held                      # lane -> Timer of its hold, whether it came due or not

    def __init__(self, slots, policy, min_share, batching, models):
        Joints.__init__(self, slots, policy, min_share, batching, models)
        self.held = {}

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
        self.add_rivals(found, members, now_ns)
        return found

    cdef void add_rivals(self, Tightest found, list members, int64_t now_ns) except *:
        """Those of other kin and a higher class than some member, which rides ahead of them. Of their own class they
        are not: it would gain nothing by smaller batches. On a resource of several slots they wait for whichever is
        free next, and none is added. Cost: two forecasts a class at least, and at most as many a kin."""
        cdef Queued lead = <Queued>members[0], last = <Queued>members[len(members) - 1], place
        cdef Heap rivals = Heap(True)
        cdef Line line = self._queues.line_of(lead.lane)
        cdef Py_ssize_t before
        cdef double left_s
        cdef Run run
        cdef set classes = set()
        if line.slots > 1 or len(members) == 1:
            return
        for kin in line.kin.values():
            place = <Queued>(<Kin>kin).heap.top()
            if kin is not lead.kin and place is not None and place.level < last.level:
                rivals.push(place, len(rivals))
        for place in rivals.in_order():
            run = <Run>place.job
            if run.job.qos.name in classes:
                continue
            before = 1
            while (<Queued>members[before]).level <= place.level:
                before += 1
            on_time = run.job.qos.on_time
            left_s = (run.job.deadline_ns - now_ns) * 1e-9
            left_s -= <double>self._policy.service_within_s(run.assignment, run.job.features, on_time)
            x = features_of(members, before)
            if self._policy.service_within_s((<Run>lead.job).assignment, x, on_time) <= left_s:
                classes.add(run.job.qos.name)
                found.members.append((before, on_time, left_s))

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
        cdef list members = [head]
        cdef Tightest tightest = None
        cdef Py_ssize_t n
        cdef bint held = False
        try:
            self.gather(members, now_ns, orders)
            n = len(members)
            if self.sizes and (n > 1 or (<Run>head.job).job.joint.hold_ns):
                tightest = self.tightest(members, now_ns)
                n = self.fit(members, tightest)
            if n == len(members):
                held = self.hold(members, tightest, now_ns)
        except BaseException:   # of the policy: they wait as before
            self.put_back(members)
            raise
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
