# What is least among the feasible, where it is not completion time.
from _core.decide cimport BEST_ACCURACY, COMPLETION, MONEY, SHARED
from _core.forecast cimport RouteInfo
from _core.layout cimport LANES, PriceBlock, State
from _core.versions cimport kernels


cdef inline bint filters_hard(const RouteInfo* route) noexcept nogil:
    """An objective other than time: where none is feasible the likeliest is the best there is. By time it is the nearest:
    the excess then breaks few candidates and not all (past saturation of bench/batching .92 kept both bounds, else .80)."""
    return route.objective != COMPLETION and route.objective != SHARED


cdef inline float value_of(const State* st, const RouteInfo* route, int lane) noexcept nogil:
    """What the job takes on the lane, E[service] x money or watts per second; the rank for completion, with what others
    lose beside it for shared, the same everywhere for accuracy."""
    cdef const PriceBlock* price = st.price + lane // LANES
    cdef float mean_s
    if route.objective == COMPLETION:
        return st.cost[lane]
    if route.objective == BEST_ACCURACY:
        return 0.0
    if route.objective == SHARED:
        return st.cost[lane] + st.harm[lane]
    mean_s = st.mean_s[lane] * (st.drawn[lane] / st.service[lane] if route.policy else <float>1.0)
    return mean_s * (price.cost_per_s[lane % LANES] if route.objective == MONEY else price.power_w[lane % LANES])


cdef inline void narrow_to_best(const State* st, const RouteInfo* route) noexcept nogil:
    """Of those left in st.pick, the ones whose value is within 1e-4 of the least: among them the rank decides."""
    cdef int lane
    if route.objective == COMPLETION or route.objective == BEST_ACCURACY:
        return
    for lane in range(st.head.n_resources):
        st.fits[lane] = value_of(st, route, lane)
    kernels.narrow_to_least(st.fits, st.pick, st.head.n_resources)
