# Jobs that somebody else sends: what we would have chosen, and where a job goes when nobody says.
from libc.math cimport NAN, isnan
from libc.stdint cimport INT64_MAX
from libc.string cimport memcpy

from _core.among cimport decide_any
from _core.choose cimport draw, splitmix, ties
from _core.decide cimport ADMITTED, GUARANTEE, NO_RESOURCE
from _core.forecast cimport Forecast, RouteInfo, forecast_lane
from _core.lanes cimport get_bit, is_candidate, set_bit
from _core.layout cimport LANES, Load, MASK_WORDS, ModelInfo, Stake, State, WaitBlock, int64_t, profile_at, uint64_t
from _core.probe cimport is_known
from _core.score cimport score_lane, stake_of
from _core.stale cimport may_be_asked
from _core.wait cimport n_open

cdef struct Wish:           # what we would have chosen instead
    int lane                # -1 = no candidate takes the job
    double theirs           # with what probability we would have admitted the job where it went; NaN = not known
    double cost_s           # seconds of rank


cdef inline bint ties_with(const State* st, const RouteInfo* route, int lane, int chosen, int n_tied) noexcept nogil:
    """Whether the generator, after a decision on `chosen`, could as well have drawn `lane`."""
    cdef const float* cost = st.pick if route.among else st.cost
    return lane == chosen or (
        n_tied > 1 and n_open(st.load + lane) == n_open(st.load + chosen) and ties(cost[lane], cost[chosen]))


cdef inline double chance_of(
    const State* st, const RouteInfo* route, int lane, int verdict, const Forecast* f, int n_tied, int64_t now_ns
) noexcept nogil:
    """With what probability a decision that came out like this would have admitted the job on `lane`; NaN = not known.
    It was made as if the class refused nothing but by guarantee, and asked no silent lane."""
    cdef double chance = f.chance
    if isnan(chance) or (
            route.asks and now_ns >= st.model[route.model].next_stale_ns and may_be_asked(st, route, f.left_s)):
        return NAN
    if verdict == GUARANTEE:
        chance = 1.0 - chance       # of its being let through as a probe
    elif verdict != ADMITTED:
        return 0.0
    if not ties_with(st, route, lane, f.lane, n_tied):
        return 0.0
    if f.p_on_time < route.reject_below and is_known(profile_at(st, route.model, f.lane), f.streams):
        return NAN if route.explore else 0.0    # unless a probe were due
    return chance / n_tied


cdef inline void prefer(
    State* st, const RouteInfo* route, int theirs, const double* x, const uint64_t* mask, double left_s,
    int64_t now_ns, Wish* wish,
) noexcept nogil:
    """The lane that decide would take, were the job not refused; not a byte of state changes, for which the lanes'
    accounts are laid aside meanwhile. The generator is a copy, stirred by the time: standing still it would break
    every tie alike. Cost: a decision and 0.5 KiB to copy twice a lane."""
    cdef RouteInfo ours = route[0]
    cdef Forecast f
    cdef int n_tied, verdict
    cdef uint64_t[4] rng
    cdef uint64_t stir = <uint64_t>now_ns + <uint64_t>st.head.free_ticket
    cdef size_t n_wait = (st.head.n_resources + LANES - 1) // LANES * sizeof(WaitBlock)
    cdef size_t n_load = st.head.n_resources * sizeof(Load)
    cdef int64_t next_look_ns = st.head.next_look_ns
    ours.reject_below = 0.0
    ours.asks = False       # it would change when somebody is asked next
    memcpy(rng, st.head.rng, sizeof(rng))
    memcpy(st.kept_wait, st.wait, n_wait)
    memcpy(st.kept_load, st.load, n_load)
    st.head.rng[0] ^= splitmix(&stir)
    st.head.next_look_ns = INT64_MAX    # a look at running jobs would change more than accounts
    verdict = decide_any(st, &ours, x, mask, left_s, now_ns, &f, &n_tied)
    st.head.next_look_ns = next_look_ns
    wish.theirs = chance_of(st, route, theirs, verdict, &f, n_tied, now_ns)
    memcpy(st.load, st.kept_load, n_load)
    memcpy(st.wait, st.kept_wait, n_wait)
    memcpy(st.head.rng, rng, sizeof(rng))
    wish.lane = f.lane
    wish.cost_s = st.cost[f.lane] if f.lane >= 0 else 0.0


cdef inline double forecast_theirs(
    State* st, const RouteInfo* route, int lane, const double* x, double left_s, int64_t now_ns, Forecast* f
) noexcept nogil:
    """Decides with `lane` as the only candidate, which changes what a select of it would; shut or refused, the job is
    there all the same: f is its forecast  # OUT. Returns its seconds of rank."""
    cdef uint64_t[MASK_WORDS] only
    cdef Stake stake = stake_of(route, left_s)
    cdef int i, n_tied
    for i in range(MASK_WORDS):
        only[i] = 0
    set_bit(only, lane, True)
    if decide_any(st, route, x, only, left_s, now_ns, f, &n_tied) == NO_RESOURCE:
        forecast_lane(st, route, lane, x, left_s, now_ns, f)
    score_lane(st, &stake, lane, f.wait_s, st.service[lane])
    return st.cost[lane]


cdef inline bint may_take(const State* st, int model, int lane, const uint64_t* mask) noexcept nogil:
    """Whether the lane is a candidate that is open, or pardoned, and in the mask (NULL = all)."""
    cdef const ModelInfo* info = st.model + model
    if not is_candidate(st, model, lane) or not (mask == NULL or get_bit(mask, lane)):
        return False
    return get_bit(st.head.open_lanes, lane) or (info.n_pardoned > 0 and get_bit(info.pardoned_open, lane))


cdef inline int least_loaded(
    const State* st, int model, const uint64_t* mask, uint64_t* rng, int* n_tied, int* fewest
) noexcept nogil:
    """The candidate with the fewest open jobs, ties by the generator; -1 = none. n_tied, fewest  # OUT"""
    cdef int lane, jobs, chosen = -1
    n_tied[0] = fewest[0] = 0
    for lane in range(st.head.n_resources):
        if not may_take(st, model, lane, mask):
            continue
        jobs = n_open(st.load + lane)
        if chosen < 0 or jobs < fewest[0]:
            chosen = lane
            fewest[0] = jobs
            n_tied[0] = 1
        elif jobs == fewest[0]:
            n_tied[0] += 1
            if draw(rng) % n_tied[0] == 0:
                chosen = lane
    return chosen
