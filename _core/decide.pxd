# Score, choose, look at the chosen lane closely, admit or reject. No clock, no lock, no allocation.
from libc.math cimport INFINITY

from _core.choose cimport choose, draw, mask_cost
from _core.forecast cimport Forecast, RouteInfo, begin_forecast, forecast_lane, forecast_nothing
from _core.health cimport is_waiting_long, may_be_due, next_due
from _core.lanes cimport get_bit, is_candidate
from _core.layout cimport ModelInfo, Stake, State, int64_t, profile_at, seconds_at, uint64_t
from _core.loading cimport await_loads, wait_for
from _core.overdue cimport look_around
from _core.probe cimport is_known, probe_due
from _core.score cimport candidates_of, score_lane, stake_of
from _core.stale cimport is_asked
from _core.untried cimport favour_untried
from _core.versions cimport Candidates, kernels
from _core.wait cimport refresh

cdef enum Objective:
    COMPLETION = 0
    MONEY = 1
    ENERGY = 2
    BEST_ACCURACY = 3   # of the variants of a family (engine/family.py); of one model's lanes all have the same
    SHARED = 4          # of two signals: the rank, and what those who are there lose (harm.pxd)

cdef enum Policy:
    GREEDY = 0
    THOMPSON = 1
    UCB = 2

cdef enum Verdict:
    ADMITTED = 0
    LATE = 1
    NO_RESOURCE = 2
    GUARANTEE = 3
    AFFINITY = 4
    MEMORY = 5
    ACCURACY = 6
    COST = 7
    THROUGHPUT = 8

cdef inline bint has_place(int verdict) noexcept nogil:
    """Of a job that was admitted already: it goes to the lane that was chosen, however late it is."""
    return verdict == ADMITTED or verdict == LATE


cdef enum:
    GUARANTEE_PROBES = 50   # of a guaranteed class, 1 in 50 refusals is admitted as a probe


cdef inline bint names_candidate(const State* st, int model, const uint64_t* mask) noexcept nogil:
    """Whether a mask has the bit of any candidate of the model, open, shut or removed under the caller's hands."""
    cdef int lane
    for lane in range(st.head.n_resources):
        if get_bit(mask, lane) and (is_candidate(st, model, lane) or st.load[lane].removed):
            return True
    return False


cdef inline int refuse_or_probe(State* st, Forecast* f, int verdict, int one_in) noexcept nogil:
    """The verdict, but one such refusal in `one_in` is admitted as a marked probe, or no data would ever come."""
    f.probe = draw(st.head.rng) % <uint64_t>one_in == 0
    f.chance *= 1.0 / one_in if f.probe else 1.0 - 1.0 / one_in
    return ADMITTED if f.probe else verdict


cdef inline void score_all(const State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns) noexcept nogil:
    cdef Stake stake = stake_of(route, left_s)
    cdef Candidates c = candidates_of(st, route.model, 0, 0, st.head.n_resources, x)
    kernels.score(&c, &stake, st.wait, seconds_at(st, now_ns), st.service, st.waiting, st.cost)
    await_loads(st, &stake)


cdef inline bint is_probe(
    State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, Forecast* f
) noexcept nogil:
    """Whether this job is sent to an ejected candidate that is due: to one that has waited long, else to the nearest one
    if the job can afford it, given that it succeeds there. One forecast, however many are due."""
    cdef int lane = next_due(st, -1, now_ns), nearest = -1
    cdef bint waits_long = False
    while lane >= 0 and not waits_long:
        if st.cost[lane] < INFINITY:
            waits_long = is_waiting_long(st, lane, now_ns)
            if waits_long or nearest < 0 or st.waiting[lane] + st.service[lane] < st.waiting[nearest] + st.service[nearest]:
                nearest = lane
        lane = next_due(st, lane, now_ns)
    if nearest < 0:
        return False
    forecast_lane(st, route, nearest, x, left_s, now_ns, f)
    f.probe = waits_long or f.p_on_time >= route.on_time * f.availability
    return f.probe


cdef inline void mask_shut(State* st, const RouteInfo* route, int64_t now_ns) noexcept nogil:
    """Costs of lanes that take none of the model's jobs become +inf. A class that may not explore never probes on
    purpose, but a lane that found no other job for it competes for this one."""
    cdef const ModelInfo* info = st.model + route.model
    cdef const uint64_t* takes = st.head.open_lanes
    cdef int spare = -1
    cdef float cost = 0.0
    if info.n_pardoned:
        takes = info.pardoned_open
    if may_be_due(st, route.model, now_ns):
        spare = next_due(st, -1, now_ns)
        while spare >= 0 and not (st.cost[spare] < INFINITY and is_waiting_long(st, spare, now_ns)):
            spare = next_due(st, spare, now_ns)
        cost = st.cost[spare] if spare >= 0 else cost
    mask_cost(st.cost, takes, st.head.n_resources)
    if spare >= 0:
        st.cost[spare] = cost


cdef inline int admit_by_p(State* st, const RouteInfo* route, Forecast* f, int64_t now_ns) noexcept nogil:
    """best_effort and standard: refuses below a raw P what is known, unless a probe is due."""
    if f.p_on_time >= route.reject_below or not is_known(profile_at(st, route.model, f.lane), f.streams):
        return ADMITTED
    f.probe = route.explore and probe_due(profile_at(st, route.model, f.lane), now_ns)
    return ADMITTED if f.probe else LATE


cdef inline bint score_open(
    State* st, const RouteInfo* route, bint explore, const double* x, const uint64_t* mask, double left_s,
    int64_t now_ns, Forecast* f,
) noexcept nogil:
    """Scores the candidates that take this job, the others +inf; True when it goes to an ejected or a silent one, as
    a probe."""
    # not in a call that is going to be refused for its mask: it changes nothing
    if now_ns >= st.head.next_look_ns and (mask == NULL or names_candidate(st, route.model, mask)):
        look_around(st, now_ns)
    score_all(st, route, x, left_s, now_ns)
    if mask != NULL:
        mask_cost(st.cost, mask, st.head.n_resources)
    begin_forecast(f, left_s)
    if st.head.n_shut:
        if explore and left_s > 0.0 and may_be_due(st, route.model, now_ns) \
                and is_probe(st, route, x, left_s, now_ns, f):
            return True
        mask_shut(st, route, now_ns)
    return route.asks and now_ns >= st.model[route.model].next_stale_ns \
        and is_asked(st, route, x, left_s, now_ns, f)


cdef inline int decide(
    State* st, const RouteInfo* route, const double* x, const uint64_t* mask, double left_s, int64_t now_ns,
    Forecast* f, int* n_tied,
) noexcept nogil:
    """x (n_request,) encoded; st.given already encoded; mask NULL = all candidates; left_s to the deadline  # IN
    f, n_tied  # OUT. Writes only scratch, the generator, at most two lanes' residual lines and, where it would
    refuse, when the profile was last probed."""
    cdef Stake stake
    cdef int lane, k
    if score_open(st, route, route.explore, x, mask, left_s, now_ns, f):
        n_tied[0] = 1
        return ADMITTED
    if route.explore:
        favour_untried(st, route, x, left_s)
    for k in range(3):
        lane = choose(st.cost, st.load, st.head.n_resources, st.head.rng, n_tied)
        if lane < 0:
            forecast_nothing(f, left_s)
            n_tied[0] = 1
            return NO_RESOURCE
        if now_ns <= st.load[lane].refresh_ns or k == 2:
            break
        # the line has run out: a job that overstays looks nearly done on it, and would attract everybody
        refresh(st, lane, now_ns)
        stake = stake_of(route, left_s)
        score_lane(st, &stake, lane, wait_for(st, route.model, lane, route.level, now_ns), st.service[lane])
    forecast_lane(st, route, lane, x, left_s, now_ns, f)
    return admit_by_p(st, route, f, now_ns) if left_s > 0.0 else LATE
