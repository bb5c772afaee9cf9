# The decision where more than the least completion time counts: among candidates that a bound, a contract, an objective
# or a policy leaves. Same order as decide: score, narrow, choose, look at the chosen lane closely, admit or reject.
from libc.math cimport INFINITY, log, sqrt
from libc.string cimport memcpy

from _core.bounds cimport narrow, narrow_to_bounds, refuse_excluded
from _core.choose cimport choose
from _core.decide cimport (
    ADMITTED, Forecast, GUARANTEE, GUARANTEE_PROBES, LATE, NO_RESOURCE, RouteInfo, admit_by_p, favour_untried,
    decide, forecast_lane, forecast_nothing, refuse_or_probe, score_open,
)
from _core.layout cimport LANES, Load, MAX_D, ModelInfo, State, int64_t, served_block, uint64_t
from _core.score cimport least_of, score_lane
from _core.spread cimport on_time_blocks, spread_blocks
from _core.wait cimport refresh, wait_mean, wait_var

cdef enum:
    CLOSE_LOOKS = 4     # candidates of a guaranteed class whose claim is worked out in one decision


cdef inline double claim_of(const State* st, const RouteInfo* route, const Forecast* f) noexcept nogil:
    """What is promised of this forecast: what a guaranteed class is admitted by."""
    return f.p_on_time


cdef inline void weigh_blocks(
    const State* st, const RouteInfo* route, double left_s, int first, int n_blocks
) noexcept nogil:
    """E[service] and P(on time) of `n_blocks` blocks from their medians, spreads and waits."""
    cdef int lane, at = first * LANES
    for lane in range(at, min(at + n_blocks * LANES, st.head.n_resources)):
        st.wait_sd[lane] = <float>sqrt(wait_var(st, lane, route.level)) if st.waiting[lane] > 0 else 0
    on_time_blocks(
        served_block(st, route.model, 0, first), st.service + at, st.waiting + at, st.wait_sd + at, st.var + at,
        <float>log(left_s if left_s > 1e-30 else 1e-30), n_blocks, st.mean_s + at, st.on_time + at)


cdef inline void weigh_all(const State* st, const RouteInfo* route, const double* x, double left_s) noexcept nogil:
    """After score_all: the spread, E[service] and P(on time) of every candidate."""
    cdef const ModelInfo* info = st.model + route.model
    cdef float[MAX_D] x32
    cdef int i, n_blocks = (st.head.n_resources + LANES - 1) // LANES
    for i in range(info.n_request):
        x32[i] = <float>x[i]
    spread_blocks(
        info, served_block(st, route.model, 0, 0), st.given, x32, n_blocks, st.head.n_blocks * LANES, st.var,
        st.model_var)
    weigh_blocks(st, route, left_s, 0, n_blocks)


cdef inline void start_over(const State* st) noexcept nogil:
    """Every candidate is left to choose from again."""
    memcpy(st.pick, st.cost, (st.head.n_resources + LANES - 1) // LANES * LANES * sizeof(float))


cdef inline bint narrow_to_feasible(const State* st, const RouteInfo* route) noexcept nogil:
    """Those that end on time with the class's probability, as far as float32 tells."""
    return narrow(st.pick, st.on_time, <float>(route.on_time - 1e-4), st.head.n_resources)


cdef inline float narrow_to_likeliest(const State* st) noexcept nogil:
    """Those of the highest P(on time), which it returns."""
    cdef float most = 0.0
    cdef int lane
    for lane in range(st.head.n_resources):
        if st.pick[lane] < INFINITY and st.on_time[lane] > most:
            most = st.on_time[lane]
    narrow(st.pick, st.on_time, most, st.head.n_resources)
    return most


cdef inline int look_closely(
    State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, Forecast* f, int* n_tied
) noexcept nogil:
    """The best of those left and its forecast; -1 when none is left. A lane whose line of residuals has run out is
    drawn again first, as in decide, and ranked by what it then shows."""
    cdef Load* load
    cdef int lane, k
    for k in range(3):
        lane = choose(st.pick, st.load, st.head.n_resources, st.head.rng, n_tied)
        if lane < 0:
            return -1
        load = st.load + lane
        if load.n_running < load.slots or now_ns <= load.refresh_ns or k == 2:
            break
        refresh(st, lane, now_ns)
        score_lane(st, route.model, lane, wait_mean(st, lane, route.level, now_ns), st.service[lane])
        st.pick[lane] = st.cost[lane]
        weigh_blocks(st, route, left_s, lane // LANES, 1)
    forecast_lane(st, route, lane, x, left_s, now_ns, f)
    return lane


cdef inline int admit_guaranteed(
    State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, Forecast* f, int* n_tied
) noexcept nogil:
    """Admits on the first claim that holds: the best feasible ones, then the likeliest of all. No claim is
    taken from float32: the feasible are only where to look."""
    cdef int lane, k
    cdef float seen
    if narrow_to_feasible(st, route):
        for k in range(CLOSE_LOOKS):
            lane = look_closely(st, route, x, left_s, now_ns, f, n_tied)
            if lane < 0:
                break
            if claim_of(st, route, f) >= route.on_time:
                return ADMITTED
            st.pick[lane] = INFINITY
    for k in range(CLOSE_LOOKS):
        start_over(st)
        seen = narrow_to_likeliest(st)
        look_closely(st, route, x, left_s, now_ns, f, n_tied)
        if claim_of(st, route, f) >= route.on_time:
            return ADMITTED
        if f.p_on_time > seen - 1e-3:   # else its line had run out, and another may be likelier
            break
    return refuse_or_probe(st, f, GUARANTEE, GUARANTEE_PROBES) if route.explore else GUARANTEE


cdef inline int decide_among(
    State* st, const RouteInfo* route, const double* x, const uint64_t* mask, double left_s, int64_t now_ns,
    Forecast* f, int* n_tied,
) noexcept nogil:
    """As decide, of which it is the general form; about twice its cost."""
    cdef int bound
    # a breaker's probe is sent before bounds are looked at: a bounded class leaves that to the others
    if score_open(st, route, route.explore and not route.bounded, x, mask, left_s, now_ns, f):
        n_tied[0] = 1
        return ADMITTED
    if least_of(st.cost, (st.head.n_resources + LANES - 1) // LANES) == INFINITY:
        forecast_nothing(f, left_s)
        n_tied[0] = 1
        return NO_RESOURCE
    if route.explore:
        favour_untried(st, route.model)
    weigh_all(st, route, x, left_s)
    bound = narrow_to_bounds(st, route) if route.bounded else 0
    start_over(st)
    if bound:
        look_closely(st, route, x, left_s, now_ns, f, n_tied)
        return bound
    if route.guaranteed and left_s > 0.0:
        return admit_guaranteed(st, route, x, left_s, now_ns, f, n_tied)
    look_closely(st, route, x, left_s, now_ns, f, n_tied)
    return admit_by_p(st, route, f, now_ns) if left_s > 0.0 else LATE


cdef inline int decide_any(
    State* st, const RouteInfo* route, const double* x, const uint64_t* mask, double left_s, int64_t now_ns,
    Forecast* f, int* n_tied,
) noexcept nogil:
    """Each route by the cheapest form that does all it asks for."""
    cdef int verdict
    if route.among:
        verdict = decide_among(st, route, x, mask, left_s, now_ns, f, n_tied)
    else:
        verdict = decide(st, route, x, mask, left_s, now_ns, f, n_tied)
    if verdict == NO_RESOURCE:
        verdict = refuse_excluded(st, route, x, mask, left_s, now_ns, f, n_tied)
    return verdict
