# The queues of everyone who queues: one per resource, by priority, then earliest deadline; expiry by the clock.

@cython.final
cdef class Kin:
    """Jobs of one queue that may be served together."""

    cdef object key
    cdef Heap heap
    cdef Py_ssize_t n_open

    def __cinit__(self, key):
        self.key = key
        self.heap = Heap(True)


@cython.final
@cython.freelist(64)
cdef class Queued(Place):
    """A job's place in a queue. Once it was started, expired or removed, `open` is False and the job is let go."""

    cdef readonly object job
    cdef readonly int lane
    cdef readonly int group             #: index of its class among those with a minimum share; 0 = none
    cdef Kin kin                        # with whom it may be served together; None = with nobody
    cdef bint aside                     # out of its kin's heap while it is seen who is served together

    __class_getitem__ = classmethod(GenericAlias)


@cython.final
cdef class Line:
    """What waits for one lane, and its slots."""

    cdef int slots, free
    cdef Py_ssize_t length              # jobs that wait
    cdef list ready                     # of Heap, by group
    cdef dict kin                       # key -> Kin of those that wait

    def __repr__(self):
        return f"{self.length} wait, {self.free} of {self.slots} slots free"

    cdef inline Queued first(self, int group, int64_t now_ns):
        """The first of a group that may still start; those before it are let go, to expire."""
        cdef Heap heap = <Heap>self.ready[group]
        cdef Place place = heap.top()
        while place is not None and place.at_ns <= now_ns:
            heap.drop()
            place = heap.top()
        return <Queued>place

    cdef list firsts(self, int64_t now_ns):
        """By group."""
        return [self.first(group, now_ns) for group in range(len(self.ready))]


@cython.final
cdef class Queues:
    """Queues and free slots of every resource.

    A job leaves exactly once: started, returned by `expire`, or removed. Heaps keep a dead entry until it surfaces or
    most are dead, so each operation costs O(log n) amortised, and O(classes with a minimum share) more to start one.
    """

    cdef list lines                     # of Line, by lane
    cdef dict groups                    # class with a minimum share -> group
    cdef readonly Shares _shares
    cdef readonly Heap _expiry
    cdef int64_t n_ever
    cdef Py_ssize_t n_waiting
    cdef readonly object lanes          #: bit set of those with slots

    __class_getitem__ = classmethod(GenericAlias)

    def __cinit__(self, *_, **__):
        self.lines = []
        self.groups = {}
        self._shares = Shares([])
        self._expiry = Heap()
        self.lanes = 0

    def __init__(self, slots, min_share=None):
        """slots: jobs that each resource serves at once, by lane. min_share: by class, see `QoS`; absent = none."""
        shares = {name: share for name, share in (min_share or {}).items() if share > 0.0}
        self.groups = {name: group for group, name in enumerate(shares, 1)}
        self._shares = Shares([float(share) for share in shares.values()])
        for lane, n_slots in enumerate(slots):
            self.set_slots(lane, n_slots)

    def set_slots(self, lane, n_slots):
        """How many jobs a lane serves at once from now on; those in service go on. Lanes may be added by it.
        Raises InputError, and then changes nothing."""
        cdef Line line
        for name, value in (("lane", lane), ("n_slots", n_slots)):
            require(is_whole(value, 0, 2**31 - 1), "set_slots", name, value, "an int of 0 .. 2147483647", InputError)
        lane, n_slots = int(lane), int(n_slots)     # a shift of NumPy's ends at 64 bits
        while lane >= len(self.lines):
            line = Line.__new__(Line)
            line.ready = [Heap(True) for _ in range(1 + len(self.groups))]
            line.kin = {}
            self.lines.append(line)
            self._shares.add_lane()
        line = self.line_of(lane)
        line.free += <int>n_slots - line.slots
        line.slots = n_slots
        self.lanes = self.lanes | (1 << lane) if n_slots else self.lanes & ~(1 << lane)

    def put(self, job, int lane, int64_t priority, int64_t deadline_ns, qos=""):
        """Queues a job of class `qos`; equal priority and deadline keep their order of arrival."""
        return self.line_up(job, lane, priority, deadline_ns, qos)

    def occupy(self, int lane, int64_t now_ns, qos=""):
        """A job of class `qos` starts without queueing; False where no slot is free or one waits for it: `put` it."""
        cdef Line line = self.line_of(lane)
        cdef int group
        if line.free <= 0 or self.first(lane, now_ns) is not None:
            return False
        if self.groups:
            group = self.groups.get(qos, 0)
            self._shares.started(lane, group, [g == group for g in range(1 + len(self.groups))])
        line.free -= 1
        return True

    def head(self, int lane, int64_t now_ns):
        """The place of the job that should start next on a free slot of `lane`; None without a slot or a job.

        A job whose deadline has come is left for `expire`: an answer nobody waits for is not worth a slot.
        """
        return self.first(lane, now_ns)

    def start(self, Queued entry not None, int64_t now_ns):
        """Takes out the job at the head of its lane, which occupies a slot from now on. Raises InputError where it has
        left already, and then changes nothing."""
        if not entry.open:
            raise InputError(f"start: the job has left the queue of lane {entry.lane} already; start what `head` gives")
        cdef Line line = self.line_of(entry.lane)
        if self.groups:
            self._shares.started(entry.lane, entry.group, [first is not None for first in line.firsts(now_ns)])
        line.free -= 1
        return self.leave(entry)

    cdef object start_along(self, Queued entry, int64_t now_ns):
        """As `start`, of a job that is served in the slot of another one. It counts as a start of its class."""
        cdef Line line = self.line_of(entry.lane)
        if self.groups:
            self._shares.started(entry.lane, entry.group, [first is not None for first in line.firsts(now_ns)])
        return self.leave(entry)

    def take(self, int lane, int64_t now_ns):
        """Starts the job at the head of a lane, or None."""
        cdef Queued entry = self.first(lane, now_ns)
        return None if entry is None else self.start(entry, now_ns)

    def release(self, int lane):
        """A started job of `lane` has ended: its slot is free."""
        cdef Line line = self.line_of(lane)
        line.free += 1

    def remove(self, Queued entry not None):
        """Takes a queued job out (cancelled, dropped, or moved elsewhere); False when it has left already."""
        if not entry.open:
            return False
        self.leave(entry)
        return True

    def expire(self, int64_t now_ns):
        """Takes out every queued job whose deadline has come, earliest first."""
        cdef list expired = []
        while (job := self.expire_first(now_ns)) is not None:
            expired.append(job)
        return expired

    def clear(self):
        """Takes out everything that is queued, by deadline."""
        return [self.leave(<Queued>place) for place in self._expiry.in_order()]

    def next_expiry_ns(self):
        """When `expire` has work next; None while nothing is queued."""
        cdef Place first = self._expiry.top()
        return None if first is None else first.at_ns

    def queued(self, int lane):
        """The jobs of one queue by priority, then deadline; none of a lane that is not ours. Cost O(n log n)."""
        if lane >= len(self.lines):
            return []
        cdef Heap every = Heap(True)
        for heap in self.line_of(lane).ready:
            every.places += [place for place in (<Heap>heap).places if (<Place>place).open]
        every.sweep()
        return [(<Queued>place).job for place in every.in_order()]

    def length(self, int lane):
        """Jobs queued on a resource."""
        return self.line_of(lane).length

    def __len__(self):
        return self.n_waiting

    def __repr__(self):
        return f"<Queues: {'; '.join(map(repr, self.lines))}>"

    def _kept(self, int lane):
        """Places in the queues of a lane, those of jobs that left included, for tests."""
        return sum(len(heap) for heap in self.line_of(lane).ready)

    cdef inline Line line_of(self, int lane):
        if not 0 <= lane < len(self.lines):
            raise IndexError(f"lane {lane}: there are {len(self.lines)}")
        return <Line>self.lines[lane]

    cdef Queued line_up(self, job, int lane, int64_t priority, int64_t deadline_ns, qos, key=None):
        """key: of those of the lane that it may be served with."""
        cdef Line line = self.line_of(lane)
        cdef Kin kin
        cdef Queued entry = Queued.__new__(Queued)
        self.n_ever += 1
        entry.level, entry.at_ns, entry.number = priority, deadline_ns, self.n_ever
        entry.job = job
        entry.lane = lane
        entry.group = self.groups.get(qos, 0) if self.groups else 0
        entry.open = True
        # mostly places of jobs that left: nothing may start there for long, and their deadlines may be far
        (<Heap>line.ready[entry.group]).push(entry, line.length)
        self._expiry.push(entry, self.n_waiting)
        line.length += 1
        self.n_waiting += 1
        if key is not None:
            kin = line.kin.get(key)
            if kin is None:
                kin = line.kin[key] = Kin(key)
            kin.n_open += 1
            kin.heap.push(entry, kin.n_open)
            entry.kin = kin
        return entry

    cdef Queued first(self, int lane, int64_t now_ns):
        """See `head`."""
        cdef Line line = self.line_of(lane)
        cdef Queued best = None, head
        cdef list heads
        cdef int owed
        if line.free <= 0 or not line.length:
            return None
        if not self.groups:
            return line.first(0, now_ns)
        heads = line.firsts(now_ns)
        owed = self._shares.owed(lane, [head is not None for head in heads])
        if owed:
            return <Queued>heads[owed]
        for head in heads:
            if head is not None and (best is None or precedes(head, best, True)):
                best = head
        return best

    cdef object expire_first(self, int64_t now_ns):
        """One of `expire`, None = there is none: whoever takes them singly loses none to an exception."""
        cdef Place first = self._expiry.top()
        if first is None or first.at_ns > now_ns:
            return None
        self._expiry.drop()
        return self.leave(<Queued>first)

    cdef object leave(self, Queued entry):
        cdef Line line = self.line_of(entry.lane)
        job = entry.job
        entry.open = False
        entry.job = None
        line.length -= 1
        self.n_waiting -= 1
        if entry.kin is not None:
            entry.kin.n_open -= 1
            if entry.kin.n_open == 0:
                del line.kin[entry.kin.key]
            entry.kin = None
        return job
