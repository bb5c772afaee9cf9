# What has not shown one result yet is tried; not where nothing is learned, since it would be for ever.
from _core.forecast cimport RouteInfo
from _core.layout cimport MASK_WORDS, MODE_SHADOW, ModelInfo, Stake, State, uint64_t
from _core.score cimport candidates_of, stake_of
from _core.versions cimport Candidates, kernels


cdef inline bint learns(const State* st) noexcept nogil:
    return st.head.mode <= MODE_SHADOW


cdef inline bint any_untried(const State* st, const ModelInfo* info) noexcept nogil:
    """Whether an idle candidate that has the model loaded has not shown a result, and could."""
    cdef uint64_t any_idle = 0
    cdef int w
    for w in range((st.head.n_resources + 63) >> 6):
        any_idle |= info.untried[w] & ~(st.head.busy[w] | info.absent[w])
    return any_idle != 0 and learns(st)


cdef inline void favour_untried(const State* st, const RouteInfo* route, const double* x, double left_s) noexcept nogil:
    """An idle candidate without a single result counts as just faster than the fastest known one, so that it is
    tried at its first chance instead of starving behind whoever answered first. Not where it must be loaded first."""
    cdef const ModelInfo* info = st.model + route.model
    cdef int w, n = st.head.n_resources
    cdef uint64_t[MASK_WORDS] idle
    cdef float best
    cdef Stake stake
    cdef Candidates c
    if not any_untried(st, info):
        return
    for w in range((n + 63) >> 6):
        idle[w] = info.untried[w] & ~(st.head.busy[w] | info.absent[w])
    best = kernels.fastest(st.service, st.cost, info.untried, n)
    stake = stake_of(route, left_s)
    c = candidates_of(st, route.model, 0, 0, n, x)
    # availability never seen is .99, so .99 would only tie
    kernels.favour(&c, &stake, st.wait, idle, <float>0.98 * best, st.service, st.waiting, st.cost)
