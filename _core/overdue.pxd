# Does a lane hang? Nobody calls in when nothing completes, so running jobs are looked at from decisions and settlements
# of any lane once a horizon has passed: one compare with head.next_look_ns, a pass over the lanes that are due.
# A pass reads every lane, 4 ns each, so there is at most one in a microsecond a lane: .4% of a core at any rate of jobs,
# and a look that comes a microsecond a lane late is none that is missed. No call looks at more than LOOKED_AT lanes.
#
# A job is overdue beyond twice its mean and the 99.9% quantile of its forecast. One of them may be an outlier (a lane
# has them at 1 in 300 or so), so the odds that the lane hangs are taken as even; a second one at the same time is
# another 1 in 250 if it does not. A completion after a job became overdue shows that the lane does not hang.
# That holds of jobs that are found overdue one after the other. Several at about the same time may have a common cause,
# a stall of this process, after which the completions of all of them are still to be told: within a mean one counts.
from libc.math cimport exp
from libc.stdint cimport INT64_MAX

from _core.lanes cimport disturb
from _core.layout cimport LANES, Load, ROW_INV_AVAIL, State, TicketSlot, int64_t, served_block
from _core.served cimport served_inv_availability
from _core.student cimport student_quantile
from _core.wait cimport refresh

cdef extern from *:
    """
    #define TW_Z_OVERDUE 3.0902323061678132     /* the normal 99.9% quantile */
    """
    const double Z_OVERDUE "TW_Z_OVERDUE"


cdef enum:
    LOOKED_AT = 64
    FIRST_PROBE_NS = 5_000_000_000  # a doubted lane is offered to one job after 5, 10, 20 .. s: 3 of the 4000 that 100
                                    # jobs/s are in 40 s, and ever fewer


cdef inline int64_t after(int64_t start_ns, double seconds) noexcept nogil:
    """A moment; thirty years are as good as never."""
    return start_ns + <int64_t>(1e9 * (seconds if seconds < 1e9 else 1e9))


cdef inline int64_t overdue_ns(const TicketSlot* job) noexcept nogil:
    cdef double seconds = exp(job.m + job.s * student_quantile(Z_OVERDUE, job.dof))
    return after(job.start_ns, max(2.0 * job.mean_s, seconds))


cdef inline int64_t pass_gap_ns(const State* st) noexcept nogil:
    return 1000 * <int64_t>st.head.n_resources


cdef inline double doubt_of(int n) noexcept nogil:
    """Odds that a lane with n unrefuted overdue jobs hangs: 250^(n - 1), at most a million."""
    cdef double odds = 0.0
    while n > 0 and odds < 1e6:
        odds = min(250.0 * odds, 1e6) if odds > 0.0 else 1.0
        n -= 1
    return odds


cdef inline void watch(State* st, TicketSlot* job, int64_t now_ns) noexcept nogil:
    """A job starts. Its first look is at twice its mean: the quantile costs an exp, and few jobs get that old."""
    cdef Load* load = st.load + job.lane
    job.overdue = 0
    job.look_ns = INT64_MAX
    if not st.head.detects_change:
        return
    job.look_ns = max(after(now_ns, 2.0 * job.mean_s), now_ns + pass_gap_ns(st))
    if load.is_probed:      # the one job that a doubted lane was to get; look again at once
        load.is_probed = 0
        job.look_ns = now_ns
    load.look_ns = min(load.look_ns, job.look_ns)
    st.head.next_look_ns = min(st.head.next_look_ns, job.look_ns)
    st.head.first_look_ns = min(st.head.first_look_ns, job.look_ns)


cdef inline void rewrite_availability(State* st, int lane, int64_t now_ns) noexcept nogil:
    cdef int m, s
    for m in range(st.head.n_models):
        for s in range(st.model[m].n_signals):
            served_block(st, m, s, lane // LANES)[ROW_INV_AVAIL * LANES + lane % LANES] = \
                served_inv_availability(st, m, lane, now_ns)


cdef inline void set_doubt(State* st, int lane, double doubt, int64_t now_ns) noexcept nogil:
    cdef Load* load = st.load + lane
    if doubt == load.doubt:
        return
    if doubt > load.doubt:
        disturb(st, lane)
    load.doubt = doubt
    rewrite_availability(st, lane, now_ns)


cdef inline int count_overdue(State* st, int lane, int64_t now_ns) noexcept nogil:
    """Renews n_overdue and look_ns; returns how many overdue jobs no completion has refuted. Cost O(running jobs)."""
    cdef Load* load = st.load + lane
    cdef TicketSlot* job
    cdef int64_t due_ns
    cdef int t = load.first_running, n = 0
    load.n_overdue = 0
    load.look_ns = INT64_MAX
    while t >= 0:
        job = st.ticket + t
        if job.overdue or job.look_ns <= now_ns:
            due_ns = overdue_ns(job)
            job.overdue = due_ns <= now_ns
            job.look_ns = INT64_MAX if job.overdue else due_ns
            load.n_overdue += job.overdue
            if job.overdue and due_ns > load.completed_ns:
                n += 1
        load.look_ns = min(load.look_ns, job.look_ns)
        t = job.next
    return n


cdef inline void look_at(State* st, int lane, int64_t now_ns) noexcept nogil:
    """Doubts a lane with overdue jobs. Since they may never be settled, a free slot is offered to one job as a probe
    after as long again as the lane has been doubted: O(log time) of them."""
    cdef Load* load = st.load + lane
    cdef int before = load.n_overdue
    cdef int n = count_overdue(st, lane, now_ns)
    cdef int found = min(n, load.n_doubted + (load.n_doubted == 0 or now_ns >= load.doubt_ns))
    if before or load.n_overdue:    # only what is overdue makes the lane's line another one
        load.job_left_s = 0.0
        refresh(st, lane, now_ns)
    if n == 0:
        load.doubted_ns = load.is_probed = load.n_doubted = 0
        set_doubt(st, lane, 0.0, now_ns)
        return
    if found > load.n_doubted:
        load.doubt_ns = after(now_ns, st.ticket[load.first_running].mean_s)
    load.n_doubted = found
    if found < n:
        load.look_ns = min(load.look_ns, load.doubt_ns)
    if load.doubted_ns == 0:
        load.doubted_ns = now_ns
        load.probe_ns = now_ns + FIRST_PROBE_NS
    if now_ns >= load.probe_ns and load.n_running < load.slots:
        load.is_probed = 1
        load.probe_ns = now_ns + (now_ns - load.doubted_ns)
    set_doubt(st, lane, 0.0 if load.is_probed else doubt_of(found), now_ns)
    if load.n_running < load.slots:
        load.look_ns = min(load.look_ns, load.probe_ns)


cdef inline void look_around(State* st, int64_t now_ns) noexcept nogil:
    """Looks at those that are due of the next LOOKED_AT lanes: the next call goes on, until all were looked at. A pass
    begins once in about twice the mean of the shortest running job, and pass_gap_ns after the last one at most."""
    cdef int lane = st.head.next_look, end = min(lane + LOOKED_AT, st.head.n_resources)
    cdef int64_t first = INT64_MAX if lane == 0 else st.head.first_look_ns
    for lane in range(lane, end):
        if st.load[lane].look_ns <= now_ns:
            look_at(st, lane, now_ns)
        first = min(first, st.load[lane].look_ns)
    st.head.first_look_ns = first
    st.head.next_look = end
    if end == st.head.n_resources:
        st.head.next_look = 0
        st.head.next_look_ns = max(first, now_ns + pass_gap_ns(st))


cdef inline void refute(State* st, int lane, int64_t now_ns) noexcept nogil:
    """A job has completed: whatever was overdue until now, the lane does not hang."""
    cdef Load* load = st.load + lane
    load.completed_ns = now_ns
    if load.n_overdue:
        load.doubted_ns = load.is_probed = load.n_doubted = 0
        set_doubt(st, lane, 0.0, now_ns)
