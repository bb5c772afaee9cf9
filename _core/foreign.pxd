# Jobs that others put on a resource: counted from its reports, less our own at that time, worth less with age.
from libc.math cimport exp, isnan

from _core.lanes cimport is_candidate
from _core.layout cimport (
    Foreign, LANES, Load, MAX_LEVELS, PAST_JOBS, ROW_MEAN, State, TicketSlot, int64_t, served_block,
)

cdef enum:
    WORTH = 8   # mean services after which a report counts 1 / e; measured in tests/guarantees/test_g13_reports.py


cdef inline void note_past(Load* load, const TicketSlot* job, int64_t now_ns) noexcept nogil:
    """Remembers when a job of ours was on the lane that it now leaves: a report may come that is older than that."""
    cdef Foreign* f = &load.foreign
    f.past_came_ns[f.next_past] = job.came_ns
    f.past_start_ns[f.next_past] = job.start_ns
    f.past_left_ns[f.next_past] = now_ns
    f.next_past = (f.next_past + 1) % PAST_JOBS


cdef inline void note_service(Load* load, double service_s) noexcept nogil:
    """Mean and mean square of the last 32 services or so: what others' jobs are taken to need."""
    cdef Foreign* f = &load.foreign
    f.n_services = min(f.n_services + 1.0, 32.0)
    f.mean_s += (service_s - f.mean_s) / f.n_services
    f.square_s2 += (service_s * service_s - f.square_s2) / f.n_services


cdef inline bint was_there(const Load* load, int64_t came_ns, int64_t start_ns, int64_t at_ns) noexcept nogil:
    """Jobs that we still held in our own queue were not on the resource."""
    return came_ns <= at_ns if load.in_order else start_ns <= at_ns


cdef inline void own_at(const State* st, int lane, int64_t at_ns, double* running, double* waiting) noexcept nogil:
    """Our own jobs on the lane at a past moment  # OUT. Exact while at most PAST_JOBS have left since."""
    cdef const Load* load = st.load + lane
    cdef const Foreign* f = &load.foreign
    cdef const TicketSlot* job
    cdef int t, k
    cdef bint runs
    running[0] = waiting[0] = 0.0
    for k in range(1 + MAX_LEVELS):
        t = load.first_queued[k] if k < MAX_LEVELS else load.first_running
        while t >= 0:
            job = st.ticket + t
            t = job.next
            if was_there(load, job.came_ns, job.start_ns, at_ns):
                runs = job.start_ns <= at_ns
                running[0] += runs
                waiting[0] += not runs
    for k in range(PAST_JOBS):
        if f.past_left_ns[k] > at_ns and was_there(load, f.past_came_ns[k], f.past_start_ns[k], at_ns):
            runs = f.past_start_ns[k] <= at_ns
            running[0] += runs
            waiting[0] += not runs


cdef inline double typical_service(const State* st, int lane) noexcept nogil:
    """Mean service on the lane; before any was seen, what its models are believed to take there, typically."""
    cdef const Foreign* f = &st.load[lane].foreign
    cdef double total = 0.0
    cdef int m, n = 0
    if f.n_services > 0.0:
        return f.mean_s
    for m in range(st.head.n_models):
        if is_candidate(st, m, lane):
            total += exp(served_block(st, m, 0, lane // LANES)[ROW_MEAN * LANES + lane % LANES])
            n += 1
    return total / n if n else 1.0


cdef inline void note_report(
    State* st, int lane, bint says_running, double n_running, bint says_waiting, double n_waiting, int64_t at_ns
) noexcept nogil:
    """Jobs on the resource at at_ns, everybody's; NaN = became unknown. What is not said stays as it was, and ages.

    Running and waiting together are compared with ours together: which of them run is the resource's business.
    """
    cdef Foreign* f = &st.load[lane].foreign
    cdef double own_running, own_waiting, n
    own_at(st, lane, at_ns, &own_running, &own_waiting)
    f.each_s = typical_service(st, lane)
    if says_running:
        f.running_ns = at_ns
        f.running = 0.0 if isnan(n_running) else min(max(n_running - own_running, 0.0), 1e9)
    if says_waiting:
        f.waiting_ns = at_ns
        f.waiting = 0.0 if isnan(n_waiting) else min(max(n_waiting - own_waiting, 0.0), 1e9)
        if says_running and not (isnan(n_running) or isnan(n_waiting)):
            n = min(max(n_running + n_waiting - own_running - own_waiting, 0.0), 2e9)
            f.running = min(f.running, n)
            f.waiting = n - f.running


cdef inline double worth(const Foreign* f, int64_t at_ns, int64_t now_ns) noexcept nogil:
    """Share of the reported jobs that are counted on still."""
    return exp(-max(<double>(now_ns - at_ns), 0.0) * 1e-9 / (WORTH * f.each_s))


cdef inline double foreign_work(double n, double each_s, double each_var, double w, double* var) noexcept nogil:
    """Seconds of n reported jobs, of which each is still there with probability w: n w each_s. var += its variance"""
    var[0] += n * w * (each_var + (1.0 - w) * each_s * each_s)
    return n * w * each_s


cdef inline double foreign_ahead(
    const Load* load, int64_t now_ns, double* occupied, double* running_s, double* waiting_s, double* var
) noexcept nogil:
    """occupied: slots that others' jobs take; running_s, waiting_s: their seconds left. Returns their rate of change.

    A job in service is met in its middle: it has E[S^2] / 2 E[S] left, as in any renewal process.
    """
    cdef const Foreign* f = &load.foreign
    cdef double w_running = worth(f, f.running_ns, now_ns), w_waiting = worth(f, f.waiting_ns, now_ns)
    cdef double cv2 = 1.0, left_s
    if f.n_services >= 2.0 and f.mean_s > 0.0:
        cv2 = max(f.square_s2 / (f.mean_s * f.mean_s) - 1.0, 0.0)
    left_s = 0.5 * (1.0 + cv2) * f.each_s
    occupied[0] = f.running * w_running
    running_s[0] = foreign_work(f.running, left_s, left_s * left_s, w_running, var)
    waiting_s[0] = foreign_work(f.waiting, f.each_s, cv2 * f.each_s * f.each_s, w_waiting, var)
    return -1.0 / (WORTH * f.each_s)
