# The decision where more than the least completion time counts: among candidates that a bound, a contract, an objective
# or a policy leaves. Same order as decide: score, narrow, choose, look at the chosen lane closely, admit or reject.
from libc.math cimport INFINITY, NAN
from libc.string cimport memcpy

from _core.bandit cimport draw_services
from _core.bounds cimport narrow, narrow_to_bounds, refuse_excluded
from _core.choose cimport choose, least_of, mask_cost
from _core.decide cimport (
    ADMITTED, GUARANTEE, GUARANTEE_PROBES, LATE, NO_RESOURCE, admit_by_p, COMPLETION, SHARED, THOMPSON, decide,
    mask_shut, refuse_or_probe, score_all, score_open,
)
from _core.forecast cimport Forecast, RouteInfo, forecast_lane, forecast_nothing
from _core.layout cimport LANES, ROW_DOF, Stake, State, int64_t, served_block, uint64_t
from _core.loading cimport wait_for
from _core.objective cimport filters_hard, narrow_to_best
from _core.score cimport score_lane, stake_of
from _core.untried cimport favour_untried, learns
from _core.versions cimport any_below, kernels
from _core.wait cimport n_open, refresh
from _core.weigh cimport enough, stops_early, weigh_all, weigh_blocks, weigh_nearest, weighed

cdef enum:
    CLOSE_LOOKS = 4     # candidates whose P(on time) is worked out exactly in one decision among the feasible
    TRUSTED = 2         # stands for the P(on time) of what is not known and may be tried


cdef inline void start_over(const State* st) noexcept nogil:
    """Every candidate is left to choose from again."""
    memcpy(st.pick, st.cost, (st.head.n_resources + LANES - 1) // LANES * LANES * sizeof(float))


cdef inline bint narrow_to_feasible(const State* st, const RouteInfo* route) noexcept nogil:
    """Of all candidates those that end on time with the class's probability, as far as float32 tells."""
    return kernels.narrow(st.cost, st.on_time, enough(route), st.head.n_resources, st.pick)


cdef inline float narrow_to_likeliest(const State* st) noexcept nogil:
    """Those of the highest P(on time), which it returns."""
    cdef float most = 0.0
    cdef int lane
    for lane in range(st.head.n_resources):
        if st.pick[lane] < INFINITY and st.on_time[lane] > most:
            most = st.on_time[lane]
    narrow(st.pick, st.on_time, most, st.head.n_resources)
    return most


cdef inline void trust_unknown(const State* st, const RouteInfo* route) noexcept nogil:
    """An idle candidate with less than 8 results (dof = 4 + n) counts as feasible: as unsure as it is, it would not be
    tried, and so stay unsure. Not where a class promises or does not explore, nor by a mode that does not learn."""
    cdef const float* dof
    cdef int block, l
    if not (route.explore and (route.objective or route.paced) and not route.guaranteed and learns(st)):
        return
    for block in range((st.head.n_resources + LANES - 1) // LANES):
        dof = served_block(st, route.model, 0, block) + ROW_DOF * LANES
        if not any_below(dof, 12.0):
            continue
        for l in range(min(LANES, st.head.n_resources - block * LANES)):
            if dof[l] < <float>12.0 and n_open(st.load + block * LANES + l) == 0:
                st.on_time[block * LANES + l] = TRUSTED


cdef inline void weigh_again(
    const State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, int lane
) noexcept nogil:
    """One lane whose wait was drawn anew. It is weighed with its block, of which the others stay as they were: trusted, or
    looked at closely."""
    cdef float* on_time = st.on_time + lane // LANES * LANES
    cdef float[LANES] kept
    cdef int i
    memcpy(kept, on_time, sizeof(kept))
    weigh_blocks(st, route, x, left_s, now_ns, lane // LANES, 1, False)
    for i in range(LANES):
        if i != lane % LANES or kept[i] == TRUSTED:
            on_time[i] = kept[i]


cdef inline void weigh_rest(
    const State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, bint* partly
) noexcept nogil:
    """Once the nearest of the feasible turned out dearer, or not feasible, all are weighed."""
    if partly[0]:
        weigh_all(st, route, x, left_s, now_ns, False)
        trust_unknown(st, route)
        partly[0] = False


cdef inline int look_closely(
    State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, Forecast* f, int* n_tied, bint* partly
) noexcept nogil:
    """The best of those left and its forecast; -1 when none is left. A lane whose line of residuals has run out is
    drawn again first, as in decide, and ranked by what it then shows. partly: only the nearest are weighed."""
    cdef Stake stake = stake_of(route, left_s)
    cdef int lane, k
    for k in range(3):
        lane = choose(st.pick, st.load, st.head.n_resources, st.head.rng, n_tied)
        if lane < 0:
            forecast_nothing(f, left_s)
            return -1
        if now_ns <= st.load[lane].refresh_ns or k == 2:
            break
        refresh(st, lane, now_ns)
        score_lane(
            st, &stake, lane, wait_for(st, route.model, lane, route.level, now_ns),
            (st.drawn if route.policy else st.service)[lane])
        if partly[0]:
            weigh_rest(st, route, x, left_s, now_ns, partly)
            narrow_to_feasible(st, route)
        else:
            weigh_again(st, route, x, left_s, now_ns, lane)
        st.pick[lane] = st.cost[lane]
    forecast_lane(st, route, lane, x, left_s, now_ns, f)
    return lane


cdef inline bint find_feasible(
    State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, Forecast* f, int* n_tied, bint* partly
) noexcept nogil:
    """The best of the feasible by the class's objective; False when none is. float32 says where to look, the close
    look decides: by the claim where it is promised."""
    cdef int lane, k
    for k in range(CLOSE_LOOKS):
        if not narrow_to_feasible(st, route):
            return False
        narrow_to_best(st, route)
        lane = look_closely(st, route, x, left_s, now_ns, f, n_tied, partly)
        if lane < 0:
            return False
        if weighed(route, f) >= route.on_time or (st.on_time[lane] == TRUSTED and not route.guaranteed):
            return True
        weigh_rest(st, route, x, left_s, now_ns, partly)
        st.on_time[lane] = <float>(weighed(route, f) - 2e-4)
    return False


cdef inline int admit_guaranteed(
    State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, Forecast* f, int* n_tied
) noexcept nogil:
    """Admits on the first claim that holds: the best feasible ones, then the likeliest of all."""
    cdef bint partly = False
    cdef float seen
    cdef int k
    if find_feasible(st, route, x, left_s, now_ns, f, n_tied, &partly):
        return ADMITTED
    for k in range(CLOSE_LOOKS):
        start_over(st)
        seen = narrow_to_likeliest(st)
        if look_closely(st, route, x, left_s, now_ns, f, n_tied, &partly) < 0:
            return NO_RESOURCE
        if weighed(route, f) >= route.on_time:
            return ADMITTED
        if f.claim > seen - 1e-3:   # else its line had run out, and another may be likelier
            break
    return refuse_or_probe(st, f, GUARANTEE, GUARANTEE_PROBES) if route.explore else GUARANTEE


cdef inline int prepare(
    State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, bint partly
) noexcept nogil:
    """After scoring: what the choice among the feasible compares; partly: of the nearest. Returns the bound that leaves
    none, 0 = some are."""
    cdef int bound
    if route.explore and not route.policy:
        favour_untried(st, route, x, left_s)
    if partly:
        weigh_nearest(st, route, x, left_s, now_ns)
    else:
        weigh_all(st, route, x, left_s, now_ns, route.policy != 0)
    bound = narrow_to_bounds(st, route, x, now_ns) if route.bounded else 0
    if route.policy:
        draw_services(st, route, left_s)
    trust_unknown(st, route)
    start_over(st)
    return bound


cdef inline int foresee(
    State* st, const RouteInfo* route, const double* x, const uint64_t* mask, double left_s, int64_t now_ns
) noexcept nogil:
    """Which candidates a decision would choose from (st.pick finite), its close looks and probes aside; returns the
    bound that leaves none, 0 = some are. Writes only scratch, and draws."""
    cdef int bound = 0
    score_all(st, route, x, left_s, now_ns)
    if mask != NULL:
        mask_cost(st.cost, mask, st.head.n_resources)
    if st.head.n_shut:
        mask_shut(st, route, now_ns)
    bound = prepare(st, route, x, left_s, now_ns, False)
    if bound == 0 and (route.guaranteed or route.objective or route.policy or route.paced) and not narrow_to_feasible(st, route):
        if route.guaranteed:
            return GUARANTEE
        if filters_hard(route):
            narrow_to_likeliest(st)
    return bound


cdef inline int decide_among(
    State* st, const RouteInfo* route, const double* x, const uint64_t* mask, double left_s, int64_t now_ns,
    Forecast* f, int* n_tied,
) noexcept nogil:
    """As decide, of which it is the general form. From Python at 64 resources, d = 8: objective cost .81 us, a guaranteed class
    .99, against .40."""
    cdef bint partly = stops_early(st, route)
    cdef int bound
    # a breaker's probe is sent before bounds are looked at: a bounded class leaves that to the others
    if score_open(st, route, route.explore and not route.bounded, x, mask, left_s, now_ns, f):
        n_tied[0] = 1
        return ADMITTED
    if least_of(st.cost, st.head.n_resources) == INFINITY:
        forecast_nothing(f, left_s)
        n_tied[0] = 1
        return NO_RESOURCE
    bound = prepare(st, route, x, left_s, now_ns, partly)
    if bound:
        look_closely(st, route, x, left_s, now_ns, f, n_tied, &partly)
        return bound
    if route.policy == THOMPSON:
        f.chance = NAN      # the integral over all posteriors is dearer than the decision; peek estimates it
    if route.guaranteed and left_s > 0.0:
        return admit_guaranteed(st, route, x, left_s, now_ns, f, n_tied)
    # The rank sees no pace: unfiltered, the fastest replica is crowded until it keeps nobody's (test_streams_world.py).
    if not ((route.objective or route.policy or route.paced) and find_feasible(st, route, x, left_s, now_ns, f, n_tied, &partly)):
        partly = False      # none is feasible, and so all were weighed
        start_over(st)
        if filters_hard(route):
            narrow_to_likeliest(st)
        if look_closely(st, route, x, left_s, now_ns, f, n_tied, &partly) < 0:
            return NO_RESOURCE
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
