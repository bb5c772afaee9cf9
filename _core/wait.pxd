# What is ahead of a job: running jobs' residuals as a line in time, queued seconds by level.
from libc.math cimport exp, expm1, log
from libc.stdint cimport INT64_MAX

from _core.foreign cimport foreign_ahead
from _core.layout cimport (
    LANES, Load, MAX_LEVELS, State, TicketSlot, WaitBlock, int64_t, seconds_at,
)
from _core.student cimport normal_cdf, normal_pdf


cdef inline double moment_spread(double s) noexcept nogil:
    """A Student-t has no exponential moment: moments take the spread as at most 1."""
    return (1.0 if s > 1.0 else s) if s > 1e-6 else 1e-6


cdef inline double service_mean(double m, double s) noexcept nogil:
    s = moment_spread(s)
    return exp(m + 0.5 * s * s)


cdef inline double service_var(double mean_s, double s) noexcept nogil:
    """Variance of the lognormal whose mean is mean_s."""
    s = moment_spread(s)
    return mean_s * mean_s * expm1(s * s)


cdef inline double residual(double m, double s, double elapsed_s, double* var, double* slope) noexcept nogil:
    """E[S - e | S > e] of a lognormal service, its variance and its rate of change (hazard x mean - 1)."""
    cdef double z, tail, mean, square, hazard
    s = moment_spread(s)
    mean = exp(m + 0.5 * s * s)
    if elapsed_s <= 1e-9:
        var[0] = service_var(mean, s)
        slope[0] = -1.0
        return mean
    z = (log(elapsed_s) - m) / s
    tail = normal_cdf(-z)
    if tail < 1e-12:
        # beyond 7 s: Mills' ratio gives hazard z / (e s), and the overshoot is close to exponential
        mean = elapsed_s * s / z
        var[0] = mean * mean
        slope[0] = s / z
        return mean
    square = exp(2.0 * m + 2.0 * s * s) * normal_cdf(2.0 * s - z) / tail
    mean = mean * normal_cdf(s - z) / tail
    var[0] = square - mean * mean
    if var[0] < 0.0:
        var[0] = 0.0
    mean -= elapsed_s
    if mean < 0.0:
        mean = 0.0
    hazard = normal_pdf(z) / (elapsed_s * s * tail)
    slope[0] = hazard * mean - 1.0
    return mean


cdef inline int n_open(const Load* load) noexcept nogil:
    return load.n_running + load.n_waiting


cdef inline double remaining(const TicketSlot* job, double elapsed_s, double* var, double* slope) noexcept nogil:
    """What is left of a running job. An overdue one (overdue.pxd) is none of its forecast's, whose residual would
    call it nearly done for ever: it is expected to take as long again."""
    cdef double left = residual(job.m, job.s, elapsed_s, var, slope)
    if job.overdue and left < elapsed_s:
        var[0] = elapsed_s * elapsed_s
        slope[0] = 1.0
        return elapsed_s
    return left


cdef inline bint has_room(const Load* load) noexcept nogil:
    """A job that comes now would start at once."""
    return load.n_running < load.slots \
        and (load.kv_limit == 0.0 or load.kv_tokens - load.kv_queued < load.kv_limit)


cdef inline double mean_left(const State* st, const Load* load, int64_t now_ns) noexcept nogil:
    """Mean residual of the running jobs, of which there is one at least. Cost: O(running jobs)."""
    cdef const TicketSlot* job
    cdef double total = 0.0, var, slope
    cdef int t = load.first_running
    while t >= 0:
        job = st.ticket + t
        total += remaining(job, <double>(now_ns - job.start_ns) * 1e-9, &var, &slope)
        t = job.next
    return total / load.n_running


cdef inline void refresh_soft(State* st, int lane, int64_t now_ns) noexcept nogil:
    """The wait of a lane with a soft capacity: none below it, else excess x mean residual / running jobs, since so often
    one of them ends. excess: jobs that must end before this one starts, by number or by the tokens that they hold. Their
    ends come as good as independent, so each adds its mean squared to the variance.

    Cost: O(1), but once in a quarter of the mean residual, and where at most four run, O(running jobs).
    """
    cdef Load* load = st.load + lane
    cdef WaitBlock* w = st.wait + lane // LANES
    cdef int l = lane % LANES
    cdef double held = load.kv_tokens - load.kv_queued, excess, step
    w.residual_s[l] = w.slope[l] = load.residual_var = 0.0
    w.since_s[l] = seconds_at(st, now_ns)
    if has_room(load):
        load.job_left_s = 0.0
        load.refresh_ns = INT64_MAX
        return
    # of few jobs, one that left may have been most of the mean
    if load.job_left_s == 0.0 or now_ns > load.refresh_ns or load.n_running <= 4:
        load.job_left_s = mean_left(st, load, now_ns)
        load.refresh_ns = now_ns + 50_000 + <int64_t>(2.5e8 * min(load.job_left_s, 1e6))
    excess = load.n_waiting + 1
    if load.kv_limit > 0.0 and held > 0.0:
        excess = max(excess, 1.0 + (load.kv_tokens - load.kv_limit) * load.n_running / held)
    step = load.job_left_s / load.n_running
    w.residual_s[l] = excess * step * load.slots
    load.residual_var = excess * step * step * load.slots * load.slots


cdef inline double first_end(
    const State* st, int lane, int64_t now_ns, double n_others, double other_s, double* var, double* rate
) noexcept nogil:
    """Seconds until the first job in service ends, times slots: (sum of left^-2)^-1/2, which is exact for one job and
    lies between certain ends, the least left, and memoryless ones, 1 / sum of 1 / left. n_others: jobs of others with
    other_s left each. Ours beyond the slots are waited for in full.

    Work Q queued puts a start off by Q / slots more, since the other slots are then as full as they are now: all that
    is left in service over the slots would be late by nearly a mean residual (recorded worlds with 32 slots a lane:
    -7 points of goodput at 1.2 load, -2 at .95).
    var, rate: of it and its change a second, by what it owes to each of our jobs  # OUT. Cost: O(running jobs)
    """
    cdef const Load* load = st.load + lane
    cdef const TicketSlot* job
    cdef double squares = n_others / (other_s * other_s) if n_others > 0.0 else 0.0
    cdef double work = 0.0, total_var = 0.0, total_rate = 0.0, job_var, slope, left, square, first, factor
    cdef int t = load.first_running
    while t >= 0:
        job = st.ticket + t
        left = max(remaining(job, <double>(now_ns - job.start_ns) * 1e-9, &job_var, &slope), 1e-9)
        square = 1.0 / (left * left)
        work += left
        squares += square
        total_rate += slope * square / left
        total_var += job_var * square * square * square
        t = job.next
    first = squares ** -0.5
    factor = first * first * first * load.slots
    rate[0] = total_rate * factor
    var[0] = total_var * factor * factor
    if load.n_running > load.slots:
        return first * load.slots + work * (load.n_running - load.slots) / load.n_running
    return first * load.slots


cdef inline void add_foreign(
    const State* st, int lane, int64_t now_ns, double* total, double* var, double* rate
) noexcept nogil:
    """Others' jobs, by the last reports. They and ours wait for each other's slots: `busy` is the share of the last
    slot that is taken, a fraction since a reported job counts by its worth. Those that find no slot wait like queued
    ones; the others hold all slots that ours do not."""
    cdef const Load* load = st.load + lane
    cdef double occupied, running_s, waiting_s, fade, over, busy, each_s, own_var = 0.0, own_rate = 0.0
    fade = foreign_ahead(load, now_ns, &occupied, &running_s, &waiting_s, var)
    over = load.n_running + occupied - load.slots
    busy = min(max(over + 1.0, 0.0), 1.0)
    each_s = running_s / occupied if occupied > 0.0 else 0.0
    if load.n_running < load.slots and busy > 0.0:
        total[0] = busy * first_end(st, lane, now_ns, load.slots - load.n_running, each_s, &own_var, &own_rate)
        var[0] += busy * own_var
        rate[0] = busy * own_rate + (fade * occupied * total[0] / busy if over < 0.0 else 0.0)
    if over > 0.0:
        total[0] += min(over, occupied) * each_s
        rate[0] += fade * running_s
    total[0] += waiting_s
    rate[0] += fade * waiting_s


cdef inline void refresh(State* st, int lane, int64_t now_ns) noexcept nogil:
    """Redraws the lane's residual line from its running jobs, and others' where they were reported. Cost: O(running
    jobs), at most `slots`."""
    cdef Load* load = st.load + lane
    if load.soft:
        refresh_soft(st, lane, now_ns)
        return
    cdef WaitBlock* w = st.wait + lane // LANES
    cdef int l = lane % LANES
    cdef double total = 0.0, total_var = 0.0, rate = 0.0
    if load.n_running >= load.slots:
        total = first_end(st, lane, now_ns, 0.0, 0.0, &total_var, &rate)
    if load.foreign.each_s > 0.0:
        add_foreign(st, lane, now_ns, &total, &total_var, &rate)
    w.residual_s[l] = total
    w.slope[l] = rate
    w.since_s[l] = seconds_at(st, now_ns)
    load.residual_var = total_var
    load.refresh_ns = INT64_MAX
    if total > 0.0:
        # the line bends where a job nears its expected end: trust it for a quarter of what is left, 50 us at least
        load.refresh_ns = now_ns + 50_000 + <int64_t>(2.5e8 * min(total, 1e6) / load.slots)


cdef inline void update_ahead(State* st, int lane) noexcept nogil:
    """Queued seconds that a job of each level finds ahead: its own level's and those served before it."""
    cdef Load* load = st.load + lane
    if load.soft:       # counted as excess
        return
    cdef WaitBlock* w = st.wait + lane // LANES
    cdef double total = 0.0
    cdef int p
    for p in range(MAX_LEVELS):
        total += load.queued_s[p]
        w.ahead_s[p * LANES + lane % LANES] = total
    w.crowd[lane % LANES] = <float>(load.queued_urgency * w.inv_slots[lane % LANES])
    if load.in_order:   # first come, first served: all levels are ahead of everyone
        for p in range(MAX_LEVELS):
            w.ahead_s[p * LANES + lane % LANES] = total


cdef inline double wait_mean(const State* st, int lane, int level, int64_t now_ns) noexcept nogil:
    """Seconds until a job of `level` that arrives now would start on the lane."""
    cdef const WaitBlock* w = st.wait + lane // LANES
    cdef int l = lane % LANES
    cdef double left = w.residual_s[l] + w.slope[l] * max(seconds_at(st, now_ns) - w.since_s[l], 0.0)
    return ((left if left > 0.0 else 0.0) + w.ahead_s[level * LANES + l]) * w.inv_slots[l]


cdef inline double wait_var(const State* st, int lane, int level) noexcept nogil:
    cdef const Load* load = st.load + lane
    cdef double total = load.residual_var
    cdef int p
    for p in range(0 if load.soft else MAX_LEVELS if load.in_order else level + 1):
        total += load.queued_var[p]
    return total / (<double>load.slots * load.slots)
