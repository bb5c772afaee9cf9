# Whether what a class bounds will hold, of every candidate: all at once where the kernels have it.
from libc.math cimport INFINITY, exp, log, sqrt
from libc.string cimport memset

from _core.claim cimport FINE, cell_h, read_claim
from _core.context cimport is_loaded
from _core.decide cimport COMPLETION, ENERGY, MONEY, SHARED
from _core.forecast cimport Forecast, RouteInfo, forecast_lane, longest_queued, occupied_s
from _core.harm cimport weigh_harm
from _core.layout cimport Claims, LANES, ROW_INV_AVAIL, State, int64_t, served_block
from _core.objective cimport filters_hard
from _core.score cimport candidates_of
from _core.stream cimport tightest_s
from _core.versions cimport Bounds, Candidates, any_above, kernels
from _core.wait cimport wait_var


cdef inline double weighed(const RouteInfo* route, const Forecast* f) noexcept nogil:
    """The P(on time) that a class filters by: its claim where that is promised, else the forecast's own."""
    return f.claim if route.guaranteed else f.p_on_time


cdef inline bint is_weighed_by_blocks(const State* st, const RouteInfo* route) noexcept nogil:
    """A vector a step; of two signals only first token and pace: an end, a cost and a bound need the whole answer."""
    if route.guaranteed and is_loaded(st.model + route.model):  # a claim needs the spread of the idle lane, too
        return False
    return st.model[route.model].n_signals == 1 \
        or (not route.guaranteed and route.first and route.end_after_s == INFINITY and not route.bounded and not filters_hard(route))


cdef inline void weigh_streams(
    const State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, int first, int n_blocks
) noexcept nogil:
    """All bounds of the class at once, worked out as for the chosen lane, a quarter of a microsecond each. A
    lane's tpot_s is the smaller of this job's and its open jobs', since this one slows them down."""
    cdef RouteInfo strict = route[0]
    cdef Forecast f
    cdef int lane
    for lane in range(first * LANES, min((first + n_blocks) * LANES, st.head.n_resources)):
        strict.tpot_s = tightest_s(st, lane, route.tpot_s)
        strict.ln_tpot = log(strict.tpot_s)
        forecast_lane(st, &strict, lane, x, left_s, now_ns, &f)
        st.mean_s[lane] = <float>occupied_s(&f)
        st.on_time[lane] = <float>weighed(route, &f)
        if f.streams:       # not where a claim of one signal is weighed for its load
            st.pace[lane] = <float>exp(f.stream.m)
    if route.objective == SHARED:
        weigh_harm(st, route.model, x, first, n_blocks)


cdef inline void spread_waits(const State* st, int level, int first, int n_blocks) noexcept nogil:
    """st.wait_sd of those blocks where a lane has a wait; of the others nobody reads it."""
    cdef int block, lane
    for block in range(first, first + n_blocks):
        if not any_above(st.waiting + block * LANES, 0.0):
            continue
        memset(st.wait_sd + block * LANES, 0, LANES * sizeof(float))
        for lane in range(block * LANES, min((block + 1) * LANES, st.head.n_resources)):
            if st.waiting[lane] > 0:
                st.wait_sd[lane] = <float>sqrt(wait_var(st, lane, level))


cdef inline void read_claims(const State* st, const RouteInfo* route, int64_t now_ns, int first, int n_blocks) noexcept nogil:
    """st.on_time, rows of the table of claims, become the claims, as forecast_claim has them but for float32."""
    cdef const Claims* table = &st.certificate[route.qos].claims
    cdef int lane
    for lane in range(first * LANES, min((first + n_blocks) * LANES, st.head.n_resources)):
        if st.cost[lane] < INFINITY:
            st.on_time[lane] = <float>(
                read_claim(table, <int>(st.on_time[lane] * FINE), cell_h(longest_queued(st, route, lane, now_ns)))
                / served_block(st, route.model, 0, lane // LANES)[ROW_INV_AVAIL * LANES + lane % LANES])


cdef inline float enough(const RouteInfo* route) noexcept nogil:
    """The P(on time) from which on a candidate is feasible, as far as float32 tells."""
    return <float>(route.on_time - 1e-4)


cdef inline bint stops_early(const State* st, const RouteInfo* route) noexcept nogil:
    """Whether only the least cost among the feasible is asked for: then whoever is dearer than one of them need not be
    weighed."""
    return route.paced and route.objective == COMPLETION and not (route.policy or route.bounded or route.guaranteed) \
        and is_weighed_by_blocks(st, route)


cdef inline void weigh_first(
    const State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, int first, int n_blocks,
    bint whole, bint nearest
) noexcept nogil:
    """By the kernel: P(on time), of two signals with the pace, or the claim where that is promised. whole: s^2, too, and
    E[service] in any case. nearest: only who may have the least cost of the feasible, -1 for the others."""
    cdef int at = first * LANES, n = n_blocks * LANES
    cdef bint shared = route.objective == SHARED
    cdef Candidates c = candidates_of(st, route.model, 0, first, n, x), second
    cdef Bounds b
    spread_waits(st, route.level, first, n_blocks)
    b.c = &c
    b.second = NULL
    b.wait = st.wait + first
    b.service, b.waiting, b.wait_sd = st.service + at, st.waiting + at, st.wait_sd + at
    b.ln_left = <float>(route.ln_deadline if left_s == route.deadline_s else log(max(left_s, 1e-30)))
    b.cost = st.cost + at if nearest else NULL
    b.enough = enough(route)
    b.claims = route.guaranteed and st.model[route.model].n_signals == 1
    b.on_time = st.on_time + at
    b.var = st.var + at if whole else NULL
    b.model_var = st.model_var + at if whole else NULL
    b.mean_s = st.mean_s + at if whole or route.bounded or route.objective == MONEY or route.objective == ENERGY else NULL
    b.pace = st.pace + at if shared else NULL
    if route.paced or shared:
        second = candidates_of(st, route.model, 1, first, n, x)
        b.second = &second
        b.tpot_s = <float>min(route.tpot_s, 1e30)   # others' bounds hold where this job has none
        b.ln_tpot = <float>(route.ln_tpot if route.paced else log(b.tpot_s))
    kernels.on_time(&b)
    if b.claims:
        read_claims(st, route, now_ns, first, n_blocks)
    if shared:
        weigh_harm(st, route.model, x, first, n_blocks)


cdef inline void weigh_blocks(
    const State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, int first, int n_blocks, bint whole
) noexcept nogil:
    """After score_all: P(on time) of `n_blocks` blocks, and what of the rest the class or `whole` asks for."""
    cdef bint by_blocks = is_weighed_by_blocks(st, route)
    if by_blocks or whole:
        weigh_first(st, route, x, left_s, now_ns, first, n_blocks, whole, False)
    if not by_blocks:
        weigh_streams(st, route, x, left_s, now_ns, first, n_blocks)


cdef inline void weigh_all(
    const State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, bint whole
) noexcept nogil:
    """The same of every candidate."""
    weigh_blocks(st, route, x, left_s, now_ns, 0, (st.head.n_resources + LANES - 1) // LANES, whole)


cdef inline void weigh_nearest(
    const State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns
) noexcept nogil:
    """Of a route that stops early: P(on time) of who may be chosen, while no cost changes."""
    weigh_first(st, route, x, left_s, now_ns, 0, (st.head.n_resources + LANES - 1) // LANES, False, True)
