# What a settled ticket teaches: latency, availability, and when the served copy is rebuilt.
from libc.math cimport log

from _core.change cimport has_changed, raise_alarm, rebuild_lane
from _core.forget cimport fade_profile
from _core.hedge cimport note_end
from _core.layout cimport (
    LANES, ModelInfo, Profile, ROW_INV_AVAIL, State, TicketSlot, int64_t, profile_at, served_block, uint64_t,
)
from _core.posterior cimport observe
from _core.served cimport any_cold, inv_availability, is_outdated, serve, serve_cold


cdef inline void sweep(State* st, int64_t now_ns) noexcept nogil:
    """Looks at one profile a call and rebuilds its served copy if it is out of date."""
    cdef int n = st.head.n_models * st.head.n_resources
    cdef int model, lane, s
    st.head.sweep = (st.head.sweep + 1) % n
    model = st.head.sweep // st.head.n_resources
    lane = st.head.sweep % st.head.n_resources
    if is_outdated(st, model, lane, now_ns):
        for s in range(st.model[model].n_signals):
            serve(st, model, s, lane, now_ns)


cdef inline void tried(State* st, int model, int lane) noexcept nogil:
    cdef Profile* p = profile_at(st, model, lane)
    p.n_results += 1
    st.model[model].untried[lane >> 6] &= ~(<uint64_t>1 << (lane & 63))


cdef inline bint teaches(const State* st, const TicketSlot* job) noexcept nogil:
    """Whether the end of a job is learned from: not on a resource that was removed meanwhile."""
    return not st.load[job.lane].removed


cdef inline void learn_row(State* st, const TicketSlot* job, double y, double var, int64_t now_ns) noexcept nogil:
    """Adds one ln(seconds), exact or expected with variance `var`, to a faded profile. The served copy follows after 1
    result while few are known, then after an eighth of what is known, at most 64: it lacks at most an eighth of the
    evidence and a rebuild is amortised."""
    cdef ModelInfo* info = st.model + job.model
    cdef Profile* p = profile_at(st, job.model, job.lane)
    cdef int64_t due
    cdef bint alarm
    if not info.has_y0[0]:
        info.has_y0[0] = 1
        info.y0[0] = y
    alarm = has_changed(st, job, 0, y)
    if alarm and p.drift[0].faster > p.drift[0].slower:
        p.doubted_until = p.n_results + 8
    if alarm:       # before the result is counted: it is news of the changed resource
        raise_alarm(st, job.lane, now_ns)
    observe(&p.signal[0], job.x, job.d, y - info.y0[0], var)
    p.pending += 1
    due = <int64_t>(p.signal[0].total[0]) // 8
    due = 1 if due < 1 else (64 if due > 64 else due)
    if alarm:
        rebuild_lane(st, job.lane, now_ns)
    elif p.pending >= due:
        serve(st, job.model, 0, job.lane, now_ns)
        if any_cold(st, job.model, 0):
            serve_cold(st, job.model, 0, now_ns)
    sweep(st, now_ns)


cdef inline void learn_service(State* st, const TicketSlot* job, double service_s, int64_t now_ns) noexcept nogil:
    """A completion: latency and availability."""
    cdef Profile* p = profile_at(st, job.model, job.lane)
    cdef double y = log(service_s)
    if not teaches(st, job):
        return
    fade_profile(st, p, job.model, now_ns)
    note_end(st.load + job.lane, job, y, service_s)
    p.succeeded += 1.0
    tried(st, job.model, job.lane)
    learn_row(st, job, y, 0.0, now_ns)


cdef inline void learn_failure(State* st, const TicketSlot* job, int64_t now_ns) noexcept nogil:
    """A failure says nothing about latency: fast errors must not look fast. It counts against availability."""
    cdef Profile* p = profile_at(st, job.model, job.lane)
    cdef int s
    if not teaches(st, job):
        return
    fade_profile(st, p, job.model, now_ns)
    p.failed += 1.0
    tried(st, job.model, job.lane)
    for s in range(st.model[job.model].n_signals):
        served_block(st, job.model, s, job.lane // LANES)[ROW_INV_AVAIL * LANES + job.lane % LANES] = \
            <float>inv_availability(p, now_ns, st.head.tau_s)
