# What a settled ticket teaches: latency, availability, and when the served copy is rebuilt.
#
# What one call may do at most, with M models, d encoded numbers (<= 12) and N_POOLED = 64, however many resources there
# are. A rebuild of one copy reads the sums of N_POOLED lanes (d^2 each), fits two regressions (d^3), compares a young
# profile with N_POOLED lanes over M models, and rewrites N_POOLED copies of lanes without a result.
#   complete, first, and a timeout or cancel that teaches: one rebuild of its own copy (both signals: two), and one of
#       the copy that the sweep comes to. With an alarm: d^2 for each of the M models, and rebuilds of AT_ONCE = 8 of them
#       now and of 8 more with each of the next results.
#   fail, and the end that closes or opens a breaker: no rebuild. A pass over the lanes that are shut for each model.
#   select, reconsider, copy, retry, observe, peek: no rebuild, ever. Work over all lanes is that of the decision itself.
#   each of them: a look at the running jobs of LOOKED_AT = 64 lanes, and those of the lanes that a job leaves or joins.
from libc.math cimport log

from _core.change cimport AT_ONCE, has_changed, raise_alarm, rebuild_lane, rebuild_some
from _core.forget cimport fade_profile
from _core.foreign cimport note_service
from _core.hedge cimport note_end
from _core.joint cimport learn_joint
from _core.lanes cimport next_lane, set_bit
from _core.layout cimport (
    LANES, MASK_WORDS, ModelInfo, Profile, ROW_INV_AVAIL, State, TicketSlot, int64_t, profile_at, served_block,
)
from _core.length cimport learn_length
from _core.pool cimport join_pool
from _core.posterior cimport observe
from _core.probe cimport judge_probe
from _core.served cimport is_outdated, serve, serve_some_cold, served_inv_availability
from _core.throughput cimport learn_work
from _core.untried cimport learns


cdef inline void sweep(State* st, int64_t now_ns) noexcept nogil:
    """Looks at one profile a call and rebuilds its served copy if it is out of date; where an alarm is not through yet,
    at those of its models that are next."""
    cdef int n = st.head.n_models * st.head.n_resources
    cdef int model, lane, s
    if st.head.n_unbuilt:
        rebuild_some(st, next_lane(st.head.unbuilt, -1), now_ns)
        return
    st.head.sweep += 1
    if st.head.sweep >= n:
        st.head.sweep %= n
    model = st.head.sweep // st.head.n_resources
    lane = st.head.sweep % st.head.n_resources
    if is_outdated(st, model, lane, now_ns):
        for s in range(st.model[model].n_signals):
            serve(st, model, s, lane, now_ns)


cdef inline void tried(State* st, int model, int lane) noexcept nogil:
    cdef Profile* p = profile_at(st, model, lane)
    p.n_results += 1
    set_bit(st.model[model].untried, lane, False)


cdef inline bint teaches(const State* st, const TicketSlot* job) noexcept nogil:
    """Whether the end of a job is learned from: not while the engine is frozen or bypassed, nor on a resource that
    was removed meanwhile."""
    return learns(st) and not st.load[job.lane].removed


cdef inline void learn_row(
    State* st, const TicketSlot* job, int signal, double y, double var, int64_t now_ns
) noexcept nogil:
    """Adds one ln(seconds) of a signal, exact or expected with variance `var`, to a faded profile. The served copy follows
    after 1 result while few are known, then after an eighth of what is known, at most 64: it lacks at most an eighth of
    the evidence and a rebuild is amortised."""
    cdef ModelInfo* info = st.model + job.model
    cdef Profile* p = profile_at(st, job.model, job.lane)
    cdef double faster = p.drift[signal].faster
    cdef int64_t due
    cdef bint alarm
    if not info.has_y0[signal]:
        info.has_y0[signal] = 1
        info.y0[signal] = y
    alarm = has_changed(st, job, signal, y)
    if alarm:       # before the result is counted: it is news of the changed resource
        raise_alarm(st, job.lane, p.drift[signal].faster > p.drift[signal].slower, now_ns)
    judge_probe(st, job, signal, faster)
    observe(&p.signal[signal], job.x, job.d, y - info.y0[signal], var)
    set_bit(info.seen + signal * MASK_WORDS, job.lane, True)
    join_pool(&info.pool, job.lane)
    p.pending[signal] += 1
    due = <int64_t>(p.signal[signal].total[0]) // 8
    due = 1 if due < 1 else (64 if due > 64 else due)
    if alarm:
        rebuild_lane(st, job.lane, now_ns)
        if job.model >= AT_ONCE:
            serve(st, job.model, signal, job.lane, now_ns)
    elif p.pending[signal] >= due:
        serve(st, job.model, signal, job.lane, now_ns)
        serve_some_cold(st, job.model, signal, now_ns)
    sweep(st, now_ns)


cdef inline void learn_success(
    State* st, const TicketSlot* job, double y, double service_s, int64_t now_ns
) noexcept nogil:
    """Counts a completion and fades its profile to now; before its times are added, so that a rebuild has it."""
    cdef Profile* p = profile_at(st, job.model, job.lane)
    fade_profile(st, p, job.model, now_ns)
    note_end(st.load + job.lane, job, y, service_s)
    note_service(st.load + job.lane, service_s)
    p.succeeded += 1.0
    tried(st, job.model, job.lane)


cdef inline void learn_service(State* st, const TicketSlot* job, double service_s, int64_t now_ns) noexcept nogil:
    """A completion of a model with one signal: latency and availability."""
    cdef double y = log(service_s)
    if teaches(st, job):
        learn_success(st, job, y, service_s, now_ns)
        learn_row(st, job, 0, y, 0.0, now_ns)
        learn_work(st, job, service_s)
        learn_joint(st, job, service_s)


cdef inline void learn_first(State* st, const TicketSlot* job, double first_s, int64_t now_ns) noexcept nogil:
    """The time to a first token, as soon as it is known: the answer may take a thousand times as long."""
    if teaches(st, job):
        fade_profile(st, profile_at(st, job.model, job.lane), job.model, now_ns)
        set_bit(st.model[job.model].untried, job.lane, False)
        learn_row(st, job, 0, log(first_s), 0.0, now_ns)


cdef inline void learn_stream(
    State* st, const TicketSlot* job, double service_s, double tokens, int64_t now_ns
) noexcept nogil:
    """A completed answer: its length where it was said (tokens >= 1), its pace where the first token was, too."""
    if tokens >= 1.0 and learns(st):    # of the model, whatever became of the resource
        learn_length(st, job.model, job.x, tokens, now_ns)
    if not teaches(st, job):
        return
    learn_success(st, job, log(service_s), service_s, now_ns)
    if tokens >= 2.0 and job.tokens > 0.0:
        learn_row(st, job, 1, log(max((service_s - job.first_s) / (tokens - 1.0), 1e-9)), 0.0, now_ns)
    learn_work(st, job, service_s)


cdef inline void write_availability(State* st, int model, int lane, int64_t now_ns) noexcept nogil:
    cdef int s
    for s in range(st.model[model].n_signals):
        served_block(st, model, s, lane // LANES)[ROW_INV_AVAIL * LANES + lane % LANES] = \
            served_inv_availability(st, model, lane, now_ns)


cdef inline void count_end(State* st, const TicketSlot* job, bint succeeded, int64_t now_ns) noexcept nogil:
    """Counts an end for availability, and nothing else."""
    cdef Profile* p = profile_at(st, job.model, job.lane)
    fade_profile(st, p, job.model, now_ns)
    if succeeded:
        p.succeeded += 1.0
    else:
        p.failed += 1.0
    p.n_results += 1
    write_availability(st, job.model, job.lane, now_ns)


cdef inline void learn_failure(State* st, const TicketSlot* job, int64_t now_ns) noexcept nogil:
    """A failure says nothing about latency: fast errors must not look fast. It counts against availability."""
    if teaches(st, job):
        count_end(st, job, False, now_ns)
        set_bit(st.model[job.model].untried, job.lane, False)
