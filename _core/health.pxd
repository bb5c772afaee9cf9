# The breaker of each lane: closed; open until its backoff ends; then one probe, whose end closes or reopens it.
#
# Share of traffic. At `rate` jobs/s a resource that only fails gets its first `consecutive_failures` jobs, then one
# probe after each backoff of at least base, 2 base, 4 base .. max seconds: in T seconds at most
# consecutive_failures + 1 + log2(max / base) + T / max jobs. With 1 s and 30 s at 100 jobs/s that is 10 of the 12,000
# jobs of two minutes, and 1 in 3,000 in the long run.
from libc.math cimport ldexp
from libc.stdint cimport INT64_MAX
from libc.string cimport memcpy, memset

from _core.choose cimport draw
from _core.lanes cimport disturb, is_candidate, lowest_bit, set_bit, update_open
from _core.layout cimport (
    Breaker, HealthRules, Load, MASK_WORDS, ModelInfo, State, int64_t, uint64_t,
)

cdef enum:
    MEMORY = 20         # results that the share of failures remembers: 14 failures in a row take it past one half
    MAX_STEP = 32


cdef inline bint has_ended(const Breaker* b, int64_t now_ns) noexcept nogil:
    """Its backoff has; or the clock went back behind its beginning, and nobody knows how much of it is over."""
    return now_ns >= b.until_ns or now_ns < b.opened_ns


cdef inline bint is_due(const Load* load, int64_t now_ns) noexcept nogil:
    """Its backoff has ended, and no probe is out."""
    return load.ejected and load.breaker.probe == 0 and has_ended(&load.breaker, now_ns) and not load.drained


cdef inline bint may_be_due(const State* st, int model, int64_t now_ns) noexcept nogil:
    """Whether it is worth looking for a candidate of the model that is due."""
    return now_ns >= st.model[model].next_probe_ns or now_ns < st.head.opened_ns


cdef inline int next_shut(const State* st, int lane) noexcept nogil:
    """The first lane after `lane` that takes no jobs, -1 = none."""
    lane += 1
    cdef int word = lane >> 6
    cdef uint64_t bits = 0
    if lane < st.head.n_resources:
        bits = ~st.head.open_lanes[word] & (~<uint64_t>0 << (lane & 63))
    while bits == 0:
        word += 1
        if 64 * word >= st.head.n_resources:
            return -1
        bits = ~st.head.open_lanes[word]
    lane = 64 * word + lowest_bit(bits)
    return lane if lane < st.head.n_resources else -1


cdef inline int next_due(const State* st, int lane, int64_t now_ns) noexcept nogil:
    """The first lane after `lane` that is due for a probe, -1 = none."""
    lane = next_shut(st, lane)
    while lane >= 0 and not is_due(st.load + lane, now_ns):
        lane = next_shut(st, lane)
    return lane


cdef inline bint is_waiting_long(const State* st, int lane, int64_t now_ns) noexcept nogil:
    """Due for as long as the shortest backoff, and no job that could afford the probe came."""
    cdef const Breaker* b = &st.load[lane].breaker
    return <double>(now_ns - b.until_ns) * 1e-9 >= st.head.health.backoff_s or now_ns < b.opened_ns


cdef inline double backoff_s(const HealthRules* rules, int step) noexcept nogil:
    cdef double seconds = ldexp(rules.backoff_s, step - 1)
    return seconds if seconds < rules.max_backoff_s else rules.max_backoff_s


cdef inline void pardon(State* st, int model) noexcept nogil:
    """At most max_ejected of a model's candidates are out: beyond it, those that went out last take jobs all the
    same, and their costs decide. A lane that asked to be left alone is never pardoned."""
    cdef ModelInfo* info = st.model + model
    cdef int[MAX_STEP + 1] most         # to be pardoned of those at each step
    cdef int lane = next_shut(st, -1), step, n = info.n_candidates, excess = 0
    memset(most, 0, sizeof(most))
    while lane >= 0:
        if is_candidate(st, model, lane):
            if st.load[lane].drained:
                n -= 1
            else:
                excess += 1
                most[st.load[lane].breaker.step] += not st.load[lane].breaker.held
        lane = next_shut(st, lane)
    excess -= <int>(st.head.health.max_ejected * n)
    info.n_pardoned = 0
    if excess <= 0:
        return
    memcpy(info.pardoned_open, st.head.open_lanes, MASK_WORDS * sizeof(uint64_t))
    for step in range(MAX_STEP + 1):
        most[step] = min(most[step], excess)
        excess -= most[step]
    lane = next_shut(st, -1)
    while lane >= 0:
        step = st.load[lane].breaker.step
        if most[step] > 0 and not (st.load[lane].breaker.held or st.load[lane].drained) and is_candidate(st, model, lane):
            set_bit(info.pardoned_open, lane, True)
            info.n_pardoned += 1
            most[step] -= 1
        lane = next_shut(st, lane)


cdef inline void schedule(State* st, int model) noexcept nogil:
    """When the next of the model's candidates is due."""
    cdef int64_t first = INT64_MAX
    cdef const Load* load
    cdef int lane = next_shut(st, -1)
    while lane >= 0:
        load = st.load + lane
        if load.ejected and not load.drained and load.breaker.probe == 0 and load.breaker.until_ns < first \
                and is_candidate(st, model, lane):
            first = load.breaker.until_ns
        lane = next_shut(st, lane)
    st.model[model].next_probe_ns = first


cdef inline void schedule_all(State* st) noexcept nogil:
    cdef int model
    for model in range(st.head.n_models):
        schedule(st, model)


cdef inline void openness_changed(State* st, int lane) noexcept nogil:
    """After a lane was drained or ejected, or back: brings what decisions read up to date. Cost: a pass over the lanes
    that are shut for every model; never in a decision, but for the one that sends a probe."""
    cdef int model
    update_open(st, lane)
    for model in range(st.head.n_models):
        pardon(st, model)
    schedule_all(st)


cdef inline void open_breaker(State* st, int lane, double retry_after_s, int64_t now_ns) noexcept nogil:
    """Ejects the lane for its backoff, drawn out by up to a half so that processes do not probe in step, or for as
    long as the resource asked. One that was well for longer than it was last out starts over."""
    cdef Breaker* b = &st.load[lane].breaker
    cdef HealthRules* rules = &st.head.health
    cdef double out_s
    if not st.load[lane].ejected and <double>(now_ns - b.closed_ns) * 1e-9 > backoff_s(rules, b.step):
        b.step = 0
    if b.step == 0 or (b.step < MAX_STEP and backoff_s(rules, b.step) < rules.max_backoff_s):
        b.step += 1
    out_s = backoff_s(rules, b.step) * (1.0 + 0.5 * <double>(draw(st.head.rng) >> 11) * 2.0 ** -53)
    b.held = retry_after_s > out_s
    b.opened_ns = st.head.opened_ns = now_ns
    b.until_ns = now_ns + <int64_t>(1e9 * (retry_after_s if b.held else out_s))
    b.probe = 0
    st.load[lane].ejected = 1
    openness_changed(st, lane)
    disturb(st, lane)


cdef inline void close_breaker(State* st, int lane, int64_t now_ns) noexcept nogil:
    cdef Breaker* b = &st.load[lane].breaker
    b.n_failures = b.probe = b.held = 0
    b.failing = 0.0
    b.closed_ns = now_ns
    st.load[lane].ejected = 0
    openness_changed(st, lane)


cdef inline void forgive(State* st, int lane, int64_t now_ns) noexcept nogil:
    """The resource is not what failed: if it is out it is due at once, and its backoffs start over."""
    cdef Breaker* b = &st.load[lane].breaker
    b.n_failures = b.step = b.held = 0
    b.failing = 0.0
    if st.load[lane].ejected:
        b.until_ns = min(b.until_ns, now_ns)
        openness_changed(st, lane)


cdef inline void claim_probe(State* st, int lane, int t, int64_t now_ns) noexcept nogil:
    """A job goes to an ejected lane, sent there or because the lane is pardoned: when one is due, it is the probe."""
    if is_due(st.load + lane, now_ns):
        st.load[lane].breaker.probe = t + 1
        schedule_all(st)


cdef inline void release_probe(State* st, int lane, int t) noexcept nogil:
    """The probe left without an answer (cancelled, moved): the lane is due again at once."""
    if st.load[lane].breaker.probe == t + 1:
        st.load[lane].breaker.probe = 0
        schedule_all(st)


cdef inline void note_success(State* st, int t, int64_t now_ns) noexcept nogil:
    """Closes the breaker when the job started after it opened; what was running then says nothing of the time since."""
    cdef int lane = st.ticket[t].lane
    cdef Breaker* b = &st.load[lane].breaker
    if st.load[lane].removed:
        return
    b.n_failures = 0
    b.failing -= b.failing / MEMORY
    if st.load[lane].ejected and not (b.held and not has_ended(b, now_ns)) \
            and (b.probe == t + 1 or b.opened_ns < st.ticket[t].start_ns < INT64_MAX):
        close_breaker(st, lane, now_ns)


cdef inline void note_failure(State* st, int t, double retry_after_s, int64_t now_ns) noexcept nogil:
    """Opens the breaker after a row of failures, a low share of successes, or when the resource asks for it
    (retry_after_s > 0). While it is open only the probe doubles the backoff."""
    cdef int lane = st.ticket[t].lane
    cdef Breaker* b = &st.load[lane].breaker
    cdef const HealthRules* rules = &st.head.health
    cdef bint on = rules.consecutive_failures > 0
    if st.load[lane].removed:
        return
    b.n_failures += 1
    b.failing += (1.0 - b.failing) / MEMORY
    if not st.load[lane].ejected:
        if retry_after_s > 0.0 or (on and (
                b.n_failures >= rules.consecutive_failures or 1.0 - b.failing < rules.min_success)):
            open_breaker(st, lane, retry_after_s, now_ns)
    elif b.probe == t + 1:
        if on or retry_after_s > 0.0:
            open_breaker(st, lane, retry_after_s, now_ns)
        else:
            close_breaker(st, lane, now_ns)
    elif retry_after_s > 0.0 and now_ns + 1e9 * retry_after_s > b.until_ns:
        b.held = 1
        b.until_ns = now_ns + <int64_t>(1e9 * retry_after_s)
        openness_changed(st, lane)
