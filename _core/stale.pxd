# A resource that is believed slow gets no jobs while others are free, and so cannot show that it has recovered. An idle
# candidate that nobody has heard of for half a second is therefore sent a job now and then: a probe (probe.pxd).
#
# Price. A class sends one after 110 results of its other jobs: 0.9% of its decisions, whatever their rate and the number
# of lanes. A job that would be late there by what is believed is sent only after 5 / (1 - on_time) results: a fifth of
# what the class may miss anyway, and under a guarantee never. A probe that was 2 sd faster than believed makes the next
# job another one: one in 25 is so by chance, and with those it is 0.94%.
# Gain. K silent lanes are asked in turn, the one that was silent for longest first: at r results/s each every
# max(.5, 110 K / r) s. Four results of a recovered lane raise the alarm (change.pxd), so at 100 jobs/s one lane is found
# out after 1.1 s and four services, or what is left of a slow probe, .5 s and four services.
# Goodput (tests/world.py, paired): with a slow-down at .6 of the capacity 0.00 +- .03 points over ten seeds, with a
# slow, a failing and a hanging resource at .7 -.07 +- .21 over eight; at .95 and 1.2 nobody is silent, so nothing.
from libc.math cimport INFINITY
from libc.stdint cimport INT64_MAX

from _core.choose cimport first_bit, least_of
from _core.forecast cimport Forecast, RouteInfo, forecast_lane
from _core.lanes cimport get_bit, set_bit
from _core.layout cimport (
    Certificate, LANES, MODE_PART, ModelInfo, Profile, ROW_OFFSET, State, int64_t, profile_at, served_block,
    uint64_t,
)
from _core.versions cimport kernels, tie_limit

cdef enum:
    SILENT_NS = 500_000_000 # without a result, from when on a lane counts as silent
    LEAST_RESULTS = 110     # of a class, between two probes that it sends to silent lanes
    AGAIN_NS = 1_000_000    # a job that may not go to a silent lane puts the question off by so much
    LOOKED_AT = 64          # lanes in one decision at most: what is asked of each is in two cache lines of its own


cdef inline bint starts_at_once(const State* st, int lane) noexcept nogil:
    """A job on this lane, idle and open to it."""
    return st.cost[lane] < INFINITY and st.waiting[lane] <= 0 and not get_bit(st.head.busy, lane)


cdef inline bint is_passed_over(const State* st, int model, int lane, float least, float fastest) noexcept nogil:
    """Costs more than the best, but would not if it were as fast as the fastest: one that is far away always would."""
    cdef float offset_s = served_block(st, model, 0, lane // LANES)[ROW_OFFSET * LANES + lane % LANES]
    return st.cost[lane] > tie_limit(least) and fastest + offset_s <= tie_limit(least)


cdef inline float fastest_service(const State* st) noexcept nogil:
    return kernels.fastest(st.service, st.cost, NULL, st.head.n_resources)


cdef inline int64_t silent_since(const State* st, int model, int lane) noexcept nogil:
    """When the resource last completed a job of any model, or failed or was probed for this one."""
    cdef const Profile* p = profile_at(st, model, lane)
    return max(max(p.decayed_ns, p.probed_ns), st.load[lane].completed_ns)


cdef inline int longest_silent(State* st, int model, float least, int64_t now_ns) noexcept nogil:
    """The idle candidate, passed over, that has been silent for longest, and for SILENT_NS at least; -1 = none, and
    then next_stale_ns is when there may be one: another job may be allowed where this one is not. Of more than LOOKED_AT
    lanes so many at a time, in turn."""
    cdef ModelInfo* info = st.model + model
    cdef float fastest = fastest_service(st)
    cdef int64_t since, oldest_ns = INT64_MAX, next_ns = now_ns + SILENT_NS
    cdef int lane, k, n = st.head.n_resources, longest = -1
    for k in range(min(n, LOOKED_AT)):
        lane = (info.stale_from + k) % n
        since = silent_since(st, model, lane)
        if 0 <= now_ns - since < SILENT_NS:
            next_ns = min(next_ns, since + SILENT_NS)
        elif get_bit(st.head.busy, lane):
            continue        # it will be heard of first
        elif since < oldest_ns and starts_at_once(st, lane) and not get_bit(info.untried, lane) \
                and is_passed_over(st, model, lane, least, fastest):
            longest = lane
            oldest_ns = since
        else:
            next_ns = now_ns + AGAIN_NS
    if n > LOOKED_AT:       # and where one was found, or these would be asked for ever
        info.stale_from = (info.stale_from + LOOKED_AT) % n
        next_ns = min(next_ns, now_ns + AGAIN_NS)
    if longest < 0:
        info.next_stale_ns = next_ns
    return longest


cdef inline int next_recovering(const State* st, int model, float least) noexcept nogil:
    """An idle candidate that was faster than believed when it was last heard of, and is still passed over."""
    cdef const ModelInfo* info = st.model + model
    cdef float fastest = fastest_service(st)
    cdef uint64_t word
    cdef int w, lane
    for w in range((st.head.n_resources + 63) >> 6):
        word = info.recovering[w]
        while word:
            lane = 64 * w + first_bit(word)
            word &= word - 1
            if starts_at_once(st, lane) and is_passed_over(st, model, lane, least, fastest):
                return lane
    return -1


cdef inline bint any_recovers(const State* st, int model) noexcept nogil:
    cdef uint64_t seen = 0
    cdef int word
    for word in range((st.head.n_resources + 63) >> 6):
        seen |= st.model[model].recovering[word]
    return seen != 0


cdef inline bint can_afford(const RouteInfo* route, const Forecast* f) noexcept nogil:
    """On time by what is believed of the lane, given that the job succeeds; under a guarantee, by the claim."""
    return f.p_on_time >= route.on_time * (1.0 if route.guaranteed else f.availability)


cdef inline bint may_pay(const RouteInfo* route, const Certificate* c, const Forecast* f) noexcept nogil:
    """Whether the class has had the results that this probe costs."""
    cdef double n = c.n - c.probed_n
    if can_afford(route, f):
        return n >= LEAST_RESULTS
    return not route.guaranteed and n >= LEAST_RESULTS and n * (1.0 - route.on_time) >= 5.0


cdef inline int find_silent(
    State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, float least, Forecast* f
) noexcept nogil:
    """The lane that was silent for longest, where the class may pay for it, and the job's forecast there; -1 = none."""
    cdef Certificate* c = st.certificate + route.qos
    cdef int lane
    if c.n - c.probed_n < LEAST_RESULTS:
        return -1
    lane = longest_silent(st, route.model, least, now_ns)
    if lane < 0:
        return -1
    forecast_lane(st, route, lane, x, left_s, now_ns, f)
    if not may_pay(route, c, f):
        st.model[route.model].next_stale_ns = now_ns + AGAIN_NS
        return -1
    c.probed_n = c.n
    return lane


cdef inline int find_recovering(
    State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, float least, Forecast* f
) noexcept nogil:
    """A recovering lane and the job's forecast there; -1 = none. One job at a time, and it need not be paid for."""
    cdef int lane = next_recovering(st, route.model, least)
    if lane >= 0:
        forecast_lane(st, route, lane, x, left_s, now_ns, f)
        if route.guaranteed and not can_afford(route, f):
            return -1
        set_bit(st.model[route.model].recovering, lane, False)      # until its result says so again
    return lane


cdef inline bint may_be_asked(const State* st, const RouteInfo* route, double left_s) noexcept nogil:
    """Whether it is worth looking for a silent lane that could be sent this job."""
    cdef const Certificate* c = st.certificate + route.qos
    return (any_recovers(st, route.model) or c.n - c.probed_n >= LEAST_RESULTS) and left_s > 0.0 \
        and st.head.mode <= MODE_PART and st.head.detects_change


cdef inline bint is_asked(
    State* st, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, Forecast* f
) noexcept nogil:
    """Whether this job goes to a silent candidate, as a probe. After scoring, once next_stale_ns has come."""
    cdef float least
    cdef int lane = -1
    if not may_be_asked(st, route, left_s):
        return False
    least = least_of(st.cost, st.head.n_resources)
    if least == INFINITY:
        return False
    if any_recovers(st, route.model):
        lane = find_recovering(st, route, x, left_s, now_ns, least, f)
    if lane < 0:
        lane = find_silent(st, route, x, left_s, now_ns, least, f)
    if lane < 0:
        return False
    profile_at(st, route.model, lane).probed_ns = now_ns
    f.probe = True
    return True
