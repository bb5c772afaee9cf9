# Has the world changed under a profile? A two-sided CUSUM (Page 1954) on what each completion did against the
# forecast that the profile makes of it at that moment; on alarm the whole resource is taken to have changed.
from _core.forget cimport LEAST_N, discount, fade_profile, scale_work, weight_left
from _core.lanes cimport disturb, get_bit, set_bit
from _core.layout cimport (
    Drift, LANES, Load, MAX_D, ModelInfo, Profile, ROW_DOF, ROW_MEAN, State, TICKET_RUNNING, TicketSlot, int64_t, profile_at,
    served_block,
)
from _core.predict cimport spread
from _core.probe cimport DRIFT, doubt_slowness
from _core.served cimport is_cold, serve, serve_some_cold
from _core.student cimport student_z

cdef extern from *:
    """
    /* In standard deviations. Of normal residuals one in 4e5 alarms (Siegmund's approximation, 2 k (h + 1.166) = 13.7);
       a job three times slower than its profile of spread .3 counts the full 3, so four of them are enough. */
    #define TW_CLIP 3.0             /* what one job can count: an outlier is no change */
    #define TW_THRESHOLD 8.0        /* h */
    #define TW_LEAST_SPREAD 0.05    /* a profile that is sure to a permille must not alarm on a percent */
    """
    const double CLIP "TW_CLIP"
    const double THRESHOLD "TW_THRESHOLD"
    const double LEAST_SPREAD "TW_LEAST_SPREAD"


cdef enum:
    LEFT_OF_SLOWER = 1      # results that count of a resource that has become faster
    AT_ONCE = 8             # models of an alarm that one call rebuilds


cdef inline bint step_cusum(Drift* sums, double z) noexcept nogil:
    """Adds one standardised residual; True when either side passes the threshold."""
    z = max(-CLIP, min(CLIP, z))
    sums.slower = max(0.0, sums.slower + z - DRIFT)
    sums.faster = max(0.0, sums.faster - z - DRIFT)
    return sums.slower > THRESHOLD or sums.faster > THRESHOLD


cdef inline double residual_now(const State* st, const TicketSlot* job, int signal, double y) noexcept nogil:
    """Normal deviate of y = ln(seconds) in today's forecast of the job. The one in the ticket is as old as its queue, but
    without columns it is today's while nothing new was served: a d^2 / 2 saved in most completions of a warm profile."""
    cdef const float* row = served_block(st, job.model, signal, job.lane // LANES) + job.lane % LANES
    cdef const ModelInfo* info = st.model + job.model
    cdef const Profile* p = profile_at(st, job.model, job.lane)
    cdef double m, s
    cdef int i
    if job.n_served == p.n_served and not info.n_columns and info.n_signals == 1:
        return student_z((y - job.m) / max(job.s, LEAST_SPREAD), job.dof)
    s = spread(st, job.model, signal, job.lane, job.x, &m)
    # a load slope below zero is floored where it is served; here it would look like a change whenever load moves
    for i in range(job.d if info.n_columns else 0):
        m += p.floored[signal * MAX_D + i] * job.x[i]
    return student_z((y - m) / max(s, LEAST_SPREAD), row[ROW_DOF * LANES])


cdef inline void mean_now(const State* st, int model, int signal, int lane, double* mean) noexcept nogil:
    """The posterior's coefficients (d,), as last served, before the floor under load slopes  # OUT"""
    cdef const float* row = served_block(st, model, signal, lane // LANES) + lane % LANES
    cdef const double* floored = &profile_at(st, model, lane).floored[signal * MAX_D]
    cdef int i
    for i in range(st.model[model].d):
        mean[i] = row[(ROW_MEAN + i) * LANES] + floored[i]


cdef inline bint overtook(const State* st, const TicketSlot* job, int signal) noexcept nogil:
    """Whether jobs of its model that started before it on its lane have not come to that yet. Where many share a
    resource the quick ones are heard of first: while load rises they would look like a resource that became faster.
    Cost O(running jobs)."""
    cdef int t = job.next if job.state == TICKET_RUNNING and st.load[job.lane].soft else -1
    while t >= 0:       # the list runs from the latest start to the earliest
        if st.ticket[t].model == job.model and (signal == 1 or st.ticket[t].tokens == 0.0):
            return True
        t = st.ticket[t].next
    return False


cdef inline void discount_lane(State* st, int lane, double most, int64_t now_ns) noexcept nogil:
    """Latency evidence of all models on the lane, given profiles included, counts as at most `most` from now on."""
    cdef Profile* p
    cdef double[MAX_D] mean
    cdef int m, s
    for m in range(st.head.n_models):
        p = profile_at(st, m, lane)
        fade_profile(st, p, m, now_ns)
        for s in range(st.model[m].n_signals):
            mean_now(st, m, s, lane, mean)
            discount(&p.signal[s], st.model[m].d, most, mean)
            p.drift[s].slower = p.drift[s].faster = 0.0
        scale_work(&p.work, weight_left(p.work.n, most))
        p.given.weight = min(p.given.weight, most)


cdef inline void discount_availability(State* st, int lane) noexcept nogil:
    cdef Profile* p
    cdef double left
    cdef int m
    for m in range(st.head.n_models):
        p = profile_at(st, m, lane)
        left = weight_left(p.succeeded + p.failed, LEAST_N)
        p.succeeded *= left
        p.failed *= left


cdef inline void rebuild_some(State* st, int lane, int64_t now_ns) noexcept nogil:
    """Served copies of the next AT_ONCE models on a lane whose alarm is not through yet."""
    cdef Load* load = st.load + lane
    cdef int m, s, first = <int>load.next_rebuild, end = min(first + AT_ONCE, st.head.n_models)
    cdef bint left = end < st.head.n_models
    for m in range(first, end):
        for s in range(st.model[m].n_signals):
            if not is_cold(st, m, s, lane):
                serve(st, m, s, lane, now_ns)
            serve_some_cold(st, m, s, now_ns)
    load.next_rebuild = end
    st.head.n_unbuilt += left - get_bit(st.head.unbuilt, lane)
    set_bit(st.head.unbuilt, lane, left)


cdef inline void rebuild_lane(State* st, int lane, int64_t now_ns) noexcept nogil:
    """Served copies of the models on the lane, AT_ONCE of them now and as many with each of the next results."""
    st.load[lane].next_rebuild = 0
    rebuild_some(st, lane, now_ns)


cdef inline void raise_alarm(State* st, int lane, bint faster, int64_t now_ns) noexcept nogil:
    """The resource has changed: its models re-learn, and jobs queued on it are looked at again.

    Of one that has become faster next to nothing is left, and its models learn by probes: what it was like keeps jobs
    away that would show what it is like. Five times slower, then again like its four equals (a fifth of 100 jobs/s at
    80% load): it gets 15% in the 2nd to 10th second with 1 result left, 11% with 4, 10% with 8.
    """
    discount_lane(st, lane, LEFT_OF_SLOWER if faster else LEAST_N, now_ns)
    if faster:
        doubt_slowness(st, lane)
    st.load[lane].n_alarms += 1
    st.head.n_alarms += 1
    disturb(st, lane)


cdef inline bint has_changed(State* st, const TicketSlot* job, int signal, double y) noexcept nogil:
    """Steps the CUSUM of the job's profile, before y is learned. Fewer than LEAST_N results test nothing."""
    cdef Profile* p = profile_at(st, job.model, job.lane)
    cdef double z
    if not st.head.detects_change or p.signal[signal].total[0] < LEAST_N - 1e-9:
        return False
    z = residual_now(st, job, signal, y)
    if z < -DRIFT and overtook(st, job, signal):
        return False
    return step_cusum(&p.drift[signal], z)
