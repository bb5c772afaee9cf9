# What has not shown one result yet is tried; not where nothing is learned, since it would be for ever.
from libc.math cimport INFINITY

from _core.forecast cimport RouteInfo
from _core.layout cimport MODE_SHADOW, ModelInfo, Stake, State, uint64_t
from _core.score cimport score_lane, stake_of
from _core.wait cimport n_open


cdef inline bint learns(const State* st) noexcept nogil:
    return st.head.mode <= MODE_SHADOW


cdef inline void favour_untried(const State* st, const RouteInfo* route, double left_s) noexcept nogil:
    """An idle candidate without a single result counts as just faster than the fastest known one, so that it is
    tried at its first chance instead of starving behind whoever answered first."""
    cdef const ModelInfo* info = st.model + route.model
    cdef int lane, n = st.head.n_resources
    cdef float best = INFINITY
    cdef uint64_t any_untried = 0
    cdef Stake stake
    for lane in range((n + 63) >> 6):
        any_untried |= info.untried[lane]
    if not any_untried or not learns(st):
        return
    for lane in range(n):
        if not (info.untried[lane >> 6] >> (lane & 63)) & 1 and st.cost[lane] < INFINITY:
            best = st.service[lane] if st.service[lane] < best else best
    stake = stake_of(route, left_s)
    best *= <float>0.98  # availability never seen is .99, so .99 would only tie
    for lane in range(n):
        if (info.untried[lane >> 6] >> (lane & 63)) & 1 and best < st.service[lane] \
                and st.cost[lane] < INFINITY and n_open(st.load + lane) == 0:
            score_lane(st, &stake, lane, st.waiting[lane], best)
