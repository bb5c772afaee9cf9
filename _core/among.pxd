# The decision where more than the least completion time counts: among candidates that a bound, a contract, an objective
# or a policy leaves. Same order as decide: score, narrow, choose, look at the chosen lane closely, admit or reject.
from libc.math cimport INFINITY, NAN, exp, log, sqrt
from libc.string cimport memcpy

from _core.bandit cimport draw_services
from _core.bounds cimport narrow, narrow_to_bounds, refuse_excluded
from _core.choose cimport choose, least_of, mask_cost
from _core.claim cimport cell_h, cell_u, read_claim, spreads_left
from _core.decide cimport (
    ADMITTED, GUARANTEE, GUARANTEE_PROBES, LATE, NO_RESOURCE, admit_by_p, COMPLETION, SHARED, THOMPSON, decide,
    mask_shut, refuse_or_probe, score_all, score_open,
)
from _core.context cimport is_loaded
from _core.forecast cimport Forecast, RouteInfo, forecast_lane, forecast_nothing, longest_queued, occupied_s
from _core.harm cimport weigh_harm
from _core.layout cimport (
    Claims, LANES, ROW_DOF, ROW_INV_AVAIL, Stake, State, int64_t, served_block, uint64_t,
)
from _core.objective cimport filters_hard, narrow_to_best
from _core.pace cimport weigh_pace
from _core.score cimport candidates_of, score_lane, stake_of
from _core.stream cimport tightest_s
from _core.untried cimport favour_untried, learns
from _core.versions cimport Candidates, kernels
from _core.wait cimport n_open, refresh, wait_mean, wait_var

cdef enum:
    CLOSE_LOOKS = 4     # candidates whose P(on time) is worked out exactly in one decision among the feasible
    TRUSTED = 2         # stands for the P(on time) of what is not known and may be tried


cdef inline double weighed(const RouteInfo* route, const Forecast* f) noexcept nogil:
    """The P(on time) that a class filters by: its claim where that is promised, else the forecast's own."""
    return f.claim if route.guaranteed else f.p_on_time


cdef inline bint is_weighed_by_blocks(const State* st, const RouteInfo* route) noexcept nogil:
    """Eight lanes a step; of two signals only first token and pace: an end, a cost and a bound need the whole answer."""
    if route.guaranteed and is_loaded(st.model + route.model):  # a claim needs the spread of the idle lane, too
        return False
    return st.model[route.model].n_signals == 1 \
        or (not route.guaranteed and route.first and route.end_after_s == INFINITY and not route.bounded and not filters_hard(route))


cdef inline void weigh_streams(
    const State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, int first, int n_blocks
) noexcept nogil:
    """Two signals: all bounds of the class at once, worked out as for the chosen lane, a quarter of a microsecond each. A
    lane's tpot_s is the smaller of this job's and its open jobs', since this one slows them down."""
    cdef RouteInfo strict = route[0]
    cdef Forecast f
    cdef int lane
    for lane in range(first * LANES, min((first + n_blocks) * LANES, st.head.n_resources)):
        strict.tpot_s = tightest_s(st, lane, route.tpot_s)
        forecast_lane(st, &strict, lane, x, left_s, now_ns, &f)
        st.mean_s[lane] = <float>occupied_s(&f)
        st.on_time[lane] = <float>weighed(route, &f)
        st.pace[lane] = <float>exp(f.stream.m)
    if route.objective == SHARED:
        weigh_harm(st, route.model, x, first, n_blocks)


cdef inline void weigh_claims(
    const State* st, const RouteInfo* route, double left_s, int64_t now_ns, int first, int n_blocks
) noexcept nogil:
    """After weigh_blocks: the claim of every candidate of a model with one signal instead of its raw P, as forecast_claim
    has it but for float32. Cost: 20 ns a lane."""
    cdef const Claims* table = &st.certificate[route.qos].claims
    cdef int lane, u
    for lane in range(first * LANES, min((first + n_blocks) * LANES, st.head.n_resources)):
        if st.cost[lane] < INFINITY:
            u = cell_u(spreads_left(left_s, st.waiting[lane] + st.mean_s[lane], sqrt(st.var[lane])))
            st.on_time[lane] = <float>(read_claim(table, u, cell_h(longest_queued(st, route, lane, now_ns)))
                                       / served_block(st, route.model, 0, lane // LANES)[ROW_INV_AVAIL * LANES + lane % LANES])


cdef inline void weigh_blocks(
    const State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, int first, int n_blocks
) noexcept nogil:
    """E[service] and P(on time) of `n_blocks` blocks from their medians, spreads and waits."""
    cdef int lane, at = first * LANES
    if not is_weighed_by_blocks(st, route):
        weigh_streams(st, route, x, left_s, now_ns, first, n_blocks)
        return
    for lane in range(at, min(at + n_blocks * LANES, st.head.n_resources)):
        st.wait_sd[lane] = <float>sqrt(wait_var(st, lane, route.level)) if st.waiting[lane] > 0 else 0
    kernels.on_time(
        served_block(st, route.model, 0, first), st.service + at, st.waiting + at, st.wait_sd + at, st.var + at,
        <float>log(left_s if left_s > 1e-30 else 1e-30), n_blocks * LANES, st.mean_s + at, st.on_time + at)
    if route.guaranteed:
        weigh_claims(st, route, left_s, now_ns, first, n_blocks)
    if route.paced or route.objective == SHARED:
        weigh_pace(st, route.model, route.tpot_s, route.objective == SHARED, x, first, n_blocks)


cdef inline void weigh_all(
    const State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns
) noexcept nogil:
    """After score_all: the spread, E[service] and P(on time) of every candidate."""
    cdef int n = st.head.n_resources
    cdef Candidates c = candidates_of(st, route.model, 0, 0, n, x)
    kernels.spread(&c, st.var, st.model_var)
    weigh_blocks(st, route, x, left_s, now_ns, 0, (n + LANES - 1) // LANES)


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


cdef inline void trust_unknown(const State* st, int model) noexcept nogil:
    """An idle candidate with less than 8 results (dof = 4 + n) counts as feasible: as unsure as it is, it would not be
    tried, and so stay unsure."""
    cdef int lane
    for lane in range(st.head.n_resources):
        if served_block(st, model, 0, lane // LANES)[ROW_DOF * LANES + lane % LANES] < 12.0 \
                and n_open(st.load + lane) == 0:
            st.on_time[lane] = TRUSTED


cdef inline void weigh_again(
    const State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, int lane
) noexcept nogil:
    """One lane whose wait was drawn anew. It is weighed with its block, of which the others stay as they were: trusted, or
    looked at closely."""
    cdef float* on_time = st.on_time + lane // LANES * LANES
    cdef float[LANES] kept
    cdef int i
    memcpy(kept, on_time, sizeof(kept))
    weigh_blocks(st, route, x, left_s, now_ns, lane // LANES, 1)
    for i in range(LANES):
        if i != lane % LANES or kept[i] == TRUSTED:
            on_time[i] = kept[i]


cdef inline int look_closely(
    State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, Forecast* f, int* n_tied
) noexcept nogil:
    """The best of those left and its forecast; -1 when none is left. A lane whose line of residuals has run out is
    drawn again first, as in decide, and ranked by what it then shows."""
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
        score_lane(st, &stake, lane, wait_mean(st, lane, route.level, now_ns), (st.drawn if route.policy else st.service)[lane])
        st.pick[lane] = st.cost[lane]
        weigh_again(st, route, x, left_s, now_ns, lane)
    forecast_lane(st, route, lane, x, left_s, now_ns, f)
    return lane


cdef inline bint find_feasible(
    State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, Forecast* f, int* n_tied
) noexcept nogil:
    """The best of the feasible by the class's objective; False when none is. float32 says where to look, the close
    look decides: by the claim where it is promised."""
    cdef int lane, k
    for k in range(CLOSE_LOOKS):
        start_over(st)
        if not narrow_to_feasible(st, route):
            return False
        narrow_to_best(st, route)
        lane = look_closely(st, route, x, left_s, now_ns, f, n_tied)
        if lane < 0:
            return False
        if weighed(route, f) >= route.on_time or (st.on_time[lane] == TRUSTED and not route.guaranteed):
            return True
        st.on_time[lane] = <float>(weighed(route, f) - 2e-4)
    return False


cdef inline int admit_guaranteed(
    State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, Forecast* f, int* n_tied
) noexcept nogil:
    """Admits on the first claim that holds: the best feasible ones, then the likeliest of all."""
    cdef float seen
    cdef int k
    if find_feasible(st, route, x, left_s, now_ns, f, n_tied):
        return ADMITTED
    for k in range(CLOSE_LOOKS):
        start_over(st)
        seen = narrow_to_likeliest(st)
        if look_closely(st, route, x, left_s, now_ns, f, n_tied) < 0:
            return NO_RESOURCE
        if weighed(route, f) >= route.on_time:
            return ADMITTED
        if f.claim > seen - 1e-3:   # else its line had run out, and another may be likelier
            break
    return refuse_or_probe(st, f, GUARANTEE, GUARANTEE_PROBES) if route.explore else GUARANTEE


cdef inline int prepare(
    State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns
) noexcept nogil:
    """After scoring: what the choice among the feasible compares. Returns the bound that leaves none, 0 = some are."""
    cdef int bound
    if route.explore and not route.policy:
        favour_untried(st, route, x, left_s)
    weigh_all(st, route, x, left_s, now_ns)
    bound = narrow_to_bounds(st, route, x, now_ns) if route.bounded else 0
    if route.policy:
        draw_services(st, route, left_s)
    if route.explore and (route.objective or route.paced) and not route.guaranteed and learns(st):
        trust_unknown(st, route.model)
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
    bound = prepare(st, route, x, left_s, now_ns)
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
    """As decide, of which it is the general form; measured beside it from Python, d = 8: 0.61 us
    against 0.36 at 8 resources, 1.3 against 0.51 at 64; with Thompson sampling 0.85 and 3.1."""
    cdef int bound
    # a breaker's probe is sent before bounds are looked at: a bounded class leaves that to the others
    if score_open(st, route, route.explore and not route.bounded, x, mask, left_s, now_ns, f):
        n_tied[0] = 1
        return ADMITTED
    if least_of(st.cost, st.head.n_resources) == INFINITY:
        forecast_nothing(f, left_s)
        n_tied[0] = 1
        return NO_RESOURCE
    bound = prepare(st, route, x, left_s, now_ns)
    if bound:
        look_closely(st, route, x, left_s, now_ns, f, n_tied)
        return bound
    if route.policy == THOMPSON:
        f.chance = NAN      # the integral over all posteriors is dearer than the decision; peek estimates it
    if route.guaranteed and left_s > 0.0:
        return admit_guaranteed(st, route, x, left_s, now_ns, f, n_tied)
    # The rank sees no pace: unfiltered, the fastest replica is crowded until it keeps nobody's (test_streams_world.py).
    if not ((route.objective or route.policy or route.paced) and find_feasible(st, route, x, left_s, now_ns, f, n_tied)):
        start_over(st)
        if filters_hard(route):
            narrow_to_likeliest(st)
        if look_closely(st, route, x, left_s, now_ns, f, n_tied) < 0:
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
