# A job as the queues' owner sees it, its places on resources, and what the owner is told to do.

@cython.final
@cython.freelist(64)
cdef class Job:
    """One submitted job. `end` is None until it has ended; then `last` is the run that ended it."""

    cdef readonly object payload        #: the owner's
    cdef readonly object model, qos
    cdef readonly object features
    cdef readonly int64_t arrival_ns
    cdef readonly object assignment     #: as decided at arrival
    cdef readonly double deadline_s     #: from arrival: its own, else its class's
    cdef readonly int64_t deadline_ns   #: the moment
    cdef readonly list runs             #: one; two when hedged
    cdef readonly int n_moves           #: how often a re-decision took it to another resource
    cdef readonly object end
    cdef readonly int64_t end_ns
    cdef readonly object reason         #: stable id: of a refusal, or "expired" and "late_start" of a dropped job
    cdef readonly Run last
    cdef Run speaker                    # that gives its answer in parts; None = none has begun to
    cdef readonly object shape          #: jobs of one model and equal shape may be served together; None = none
    cdef double items                   # of its features, what is summed when it is
    cdef Joint joint                    # how; None = it is served alone
    cdef object key                     # of its kin in a queue
    cdef int n_open                     # runs that are not settled
    cdef int64_t priority
    cdef object __weakref__

    __class_getitem__ = classmethod(GenericAlias)

    @property
    def hedged(self):
        return len(self.runs) > 1

    def __repr__(self):
        return f"<Job {self.payload!r} of {self.model!r}, {self.end or 'open'}>"


@cython.final
cdef class Batch:
    """Runs that started together, in one slot."""

    cdef tuple runs                     # the lead first; None once all have ended
    cdef Py_ssize_t n_open
    cdef bint slot_lost


@cython.final
@cython.freelist(64)
cdef class Run:
    """One place of a job: in the queue of a resource, then in service on it."""

    cdef readonly Job job               #: None once the run is settled: no ended job waits for the collector
    cdef readonly object assignment
    cdef readonly int lane
    cdef Queued entry                   # its place while it is queued
    cdef Timer timer                    # of when it is looked at again
    cdef bint has_started
    cdef int64_t started_ns
    cdef Batch together                 # None = it was started alone
    cdef readonly int n_together        #: runs that were started as one with this one, itself counted
    cdef readonly object end
    cdef readonly int64_t end_ns

    __class_getitem__ = classmethod(GenericAlias)

    @property
    def start_ns(self):
        """None before the start."""
        return self.started_ns if self.has_started else None

    @property
    def batch(self):
        """The runs that are served as one with this one, the lead first: `Orders.start` holds the lead. Itself alone
        where it was started alone, and once all of them have ended."""
        return (self,) if self.together is None or self.together.runs is None else self.together.runs

    @property
    def settled(self):
        return self.end is not None

    def __repr__(self):
        return f"<Run on lane {self.lane}, {self.end or ('started' if self.has_started else 'queued')}>"


@cython.final
@cython.freelist(8)
cdef class Orders:
    """What the owner has to do now: hand these runs to their resources, tell the callers of these jobs."""

    cdef public list start
    cdef public list ended
    cdef public object error            #: what the policy raised once `submit` had decided; the job goes on

    __class_getitem__ = classmethod(GenericAlias)

    def __cinit__(self):
        self.start = []
        self.ended = []
