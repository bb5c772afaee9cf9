# Resources that come and go: a lane is joined to models, forgotten, and used again.
from libc.math cimport INFINITY, NAN
from libc.stdint cimport INT64_MAX
from libc.string cimport memset

from _core.health cimport openness_changed
from _core.lanes cimport clear_lines, is_candidate, set_bit
from _core.layout cimport (
    Given, LANES, Level, Load, MASK_WORDS, MAX_COLUMNS, MAX_LEVELS, N_SIGNALS, Profile, ROW_COLUMN, ROW_OFFSET,
    SERVED_ROWS, State, WaitBlock, int64_t, levels_of, profile_at, served_block,
)
from _core.loading cimport set_load
from _core.served cimport serve_newcomer, serve_some_cold
from _core.tickets cimport track_columns
from _core.wait cimport n_open


cdef inline int vacant_lane(const State* st) noexcept nogil:
    """The lowest lane whose resource was removed and has no open ticket left, else the next new one; -1 = full."""
    cdef int lane
    for lane in range(st.head.n_resources):
        if st.load[lane].removed and n_open(st.load + lane) == 0:
            return lane
    return st.head.n_resources if st.head.n_resources < st.head.max_resources else -1


cdef inline void clear_load(State* st, int lane) noexcept nogil:
    """A lane without an open ticket as it was before its first resource."""
    cdef Load* load = st.load + lane
    cdef WaitBlock* w = st.wait + lane // LANES
    cdef int l = lane % LANES, level
    memset(load, 0, sizeof(load[0]))
    load.refresh_ns = INT64_MAX
    clear_lines(load)
    w.residual_s[l] = w.slope[l] = w.since_s[l] = w.inv_slots[l] = 0.0
    w.crowd[l] = w.pace[l] = 0.0
    for level in range(MAX_LEVELS):
        w.ahead_s[level * LANES + l] = 0.0
    set_bit(st.head.disturbed, lane, False)


cdef inline void set_offset(State* st, int model, int lane, double offset_s) noexcept nogil:
    """Seconds added to the lane's rank; +inf = no candidate of the model."""
    cdef int s
    st.model[model].n_candidates -= is_candidate(st, model, lane)
    for s in range(N_SIGNALS):
        served_block(st, model, s, lane // LANES)[ROW_OFFSET * LANES + lane % LANES] = <float>offset_s
    st.model[model].n_candidates += is_candidate(st, model, lane)


cdef inline void clear_served(State* st, int model, int lane) noexcept nogil:
    """The lane is no candidate of the model, its columns are unknown."""
    cdef float* row
    cdef int s, i
    set_offset(st, model, lane, INFINITY)
    for s in range(N_SIGNALS):
        row = served_block(st, model, s, lane // LANES) + lane % LANES
        for i in range(SERVED_ROWS):
            row[i * LANES] = 0.0
        row[ROW_OFFSET * LANES] = INFINITY
        for i in range(MAX_COLUMNS):
            row[(ROW_COLUMN + i) * LANES] = <float>NAN


cdef inline void clear_belief(State* st, int model, int lane) noexcept nogil:
    """Forgets one profile, and what it said of others."""
    cdef Profile* p = profile_at(st, model, lane)
    cdef int64_t n_served = p.n_served      # forecasts that were made before are of no copy that follows
    cdef double load_s = p.load_s           # no belief
    cdef int s
    memset(p, 0, sizeof(p[0]))
    p.n_served = n_served + 1
    p.load_s = load_s
    for s in range(N_SIGNALS):
        set_bit(st.model[model].seen + s * MASK_WORDS, lane, False)
        memset(levels_of(st, st.level, model, s) + lane, 0, sizeof(Level))
    set_bit(st.model[model].untried, lane, False)
    set_bit(st.model[model].recovering, lane, False)


cdef inline void join_model(State* st, int model, int lane, double offset_s, int64_t now_ns) noexcept nogil:
    """The lane becomes a candidate of the model, with nothing seen yet; offset_s +inf = it cannot run it."""
    clear_belief(st, model, lane)
    clear_served(st, model, lane)
    profile_at(st, model, lane).decayed_ns = now_ns
    if offset_s < INFINITY:
        set_bit(st.model[model].untried, lane, True)
        set_offset(st, model, lane, offset_s)
    track_columns(st, lane)


cdef inline void reset_belief(State* st, int model, int lane, int64_t now_ns) noexcept nogil:
    """Back to the prior, as given; not tried yet where nothing was given. Cost O(N_POOLED d^2)."""
    cdef Profile* p = profile_at(st, model, lane)
    cdef Given given = p.given
    cdef int64_t n_gaps = p.n_gaps      # whether the resource is cold is no belief
    cdef int s
    clear_belief(st, model, lane)
    p.decayed_ns = now_ns
    p.n_gaps = n_gaps
    p.given = given
    p.given.weight = given.n
    st.head.n_told += 1
    set_bit(st.model[model].untried, lane, given.n == 0.0 and is_candidate(st, model, lane))
    serve_newcomer(st, model, lane, now_ns)
    for s in range(st.model[model].n_signals):
        serve_some_cold(st, model, s, now_ns)


cdef inline void remove_lane(State* st, int lane, int64_t now_ns) noexcept nogil:
    """Shuts the lane for good and forgets what was learned of it. Its open tickets still settle, and teach nothing;
    until then the served copy says what is forecast of them."""
    cdef int model, s
    st.load[lane].drained = st.load[lane].removed = 1
    st.head.n_told += 1     # sparse profiles elsewhere look again at what the others say
    for model in range(st.head.n_models):
        clear_belief(st, model, lane)
        set_offset(st, model, lane, INFINITY)
        set_load(st, model, lane, 0.0)
        st.excluded[model * st.head.max_resources + lane] = 0
        for s in range(st.model[model].n_signals):
            serve_some_cold(st, model, s, now_ns)
    openness_changed(st, lane)
