# Hard bounds: which candidates they leave, and what to say when they leave none.
from libc.math cimport INFINITY

from _core.choose cimport choose
from _core.decide cimport AFFINITY, COST, MEMORY, NO_RESOURCE, THROUGHPUT
from _core.forecast cimport Forecast, RouteInfo, forecast_lane, forecast_nothing
from _core.lanes cimport get_bit, is_candidate
from _core.layout cimport LANES, ROW_INV_AVAIL, State, int64_t, served_block, uint64_t
from _core.throughput cimport items_of, throughput_of
from _core.versions cimport kernels


cdef inline bint narrow(float* cost, const float* fits, float least, int n_lanes) noexcept nogil:
    """cost becomes +inf where fits < least; False, and nothing changed, when that would leave none."""
    return kernels.narrow(cost, fits, least, n_lanes, cost)


cdef inline void price_all(const State* st) noexcept nogil:
    """fits = minus the expected cost of the job on each lane: E[service] x cost per second."""
    cdef int block, l
    for block in range((st.head.n_resources + LANES - 1) // LANES):
        for l in range(LANES):
            st.fits[block * LANES + l] = -st.mean_s[block * LANES + l] * st.price[block].cost_per_s[l]


cdef inline int narrow_to_bounds(
    const State* st, const RouteInfo* route, const double* x, int64_t now_ns
) noexcept nogil:
    """Leaves in st.cost what the class's bounds allow, one bound after the other. When one of them would leave none,
    it returns that bound, and in st.cost those that kept all bounds before it: the nearest is among them.
    1e-4 of each bound is kept back for what float32 may be wrong by, so that none is broken."""
    cdef int lane, n = st.head.n_resources
    cdef double items
    if route.refuse:
        return route.refuse
    if route.max_cost < INFINITY:
        price_all(st)
        if not narrow(st.cost, st.fits, <float>(-0.9999 * route.max_cost), n):
            return COST
    if route.min_throughput > 0.0:
        items = items_of(st.model + route.model, x)
        for lane in range(n):
            st.fits[lane] = <float>throughput_of(st, route.model, lane, items, st.mean_s[lane], now_ns)
        if not narrow(st.cost, st.fits, <float>(1.0001 * route.min_throughput), n):
            return THROUGHPUT
    return 0


cdef inline bint has_candidate(const State* st, int model, const uint64_t* mask) noexcept nogil:
    """Whether a mask (NULL = all) allows any candidate of the model, open or shut."""
    cdef int lane
    for lane in range(st.head.n_resources):
        if (mask == NULL or get_bit(mask, lane)) and is_candidate(st, model, lane):
            return True
    return False


cdef inline bint find_excluded(const State* st, int model, int bound, const uint64_t* mask) noexcept nogil:
    """Costs, offsets aside, of the lanes that this static bound keeps out; the others +inf. False when there is none."""
    cdef const float* row
    cdef bint found = False
    cdef int lane
    for lane in range(st.head.n_resources):
        st.cost[lane] = INFINITY
        if st.excluded[model * st.head.max_resources + lane] == bound \
                and (mask == NULL or get_bit(mask, lane)):
            row = served_block(st, model, 0, lane // LANES) + lane % LANES
            st.cost[lane] = (st.waiting[lane] + st.service[lane]) * row[ROW_INV_AVAIL * LANES]
            found = True
    return found


cdef inline int refuse_excluded(
    State* st, const RouteInfo* route, const double* x, const uint64_t* mask, double left_s, int64_t now_ns,
    Forecast* f, int* n_tied,
) noexcept nogil:
    """After scoring found no candidate: the static bound that took the last one away, and its nearest lane in f. They
    hold in the order affinity, memory. NO_RESOURCE when there are candidates, but all are shut."""
    cdef int bound = MEMORY, lane
    if has_candidate(st, route.model, mask):
        return NO_RESOURCE
    while bound >= AFFINITY:
        if find_excluded(st, route.model, bound, mask):
            lane = choose(st.cost, st.load, st.head.n_resources, st.head.rng, n_tied)
            forecast_lane(st, route, lane, x, left_s, now_ns, f)
            return bound
        bound -= 1
    return NO_RESOURCE
