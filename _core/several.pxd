# Several jobs of a batch decided on against one state. What is read of the lanes is read once for all of them, and what one
# job waits for in its own arithmetic, logarithms above all, the others fill.
#
# Only jobs whose decision is as plain as can be: one lane is the nearest, ties aside, and nothing is probed, tried, refused
# or drawn. What the jobs before one of them have claimed then matters in one way: its lane is one of theirs, and its wait
# another than it was. A lane that it did not choose is no nearer with more jobs on it.
from libc.math cimport INFINITY

from _core.forecast cimport Forecast, RouteInfo, ask_outlook, begin_forecast, forecast_claim, forecast_start, take_outlook
from _core.layout cimport MAX_D, ModelInfo, Stake, State, SEVERAL, int64_t, seconds_at, uint64_t
from _core.score cimport candidates_of, stake_of
from _core.stale cimport may_be_asked
from _core.untried cimport any_untried
from _core.versions cimport Candidates, Outlook, kernels


cdef inline bint is_plain(const State* st, const RouteInfo* route, int64_t now_ns) noexcept nogil:
    """Whether decide would only score and choose, now and after claims of others at this moment."""
    cdef const ModelInfo* info = st.model + route.model
    return not (
        route.among or st.head.n_shut or info.n_absent or info.n_columns or info.n_signals > 1
        or now_ns >= st.head.next_look_ns
        or (route.asks and now_ns >= info.next_stale_ns and may_be_asked(st, route, INFINITY))
        or (route.explore and any_untried(st, info)))


cdef inline int decide_several(
    const State* st, const RouteInfo* route, const double* x, const uint64_t* mask, const double* left_s, int64_t now_ns,
    int n, float* cost, Forecast** f
) noexcept nogil:
    """x (n, MAX_D) encoded, left_s (n,), of n <= SEVERAL jobs that is_plain holds for  # IN; cost (SEVERAL, stride)  # scratch
    f (n,)  # OUT. Returns how many of them, from the first on, decide would admit to f.lane if none before them
    changed its wait; the rest is to be decided singly. Writes nothing else."""
    cdef Candidates c = candidates_of(st, route.model, 0, 0, st.head.n_resources, x)
    cdef Stake[SEVERAL] stake
    cdef Outlook[SEVERAL] o
    cdef int[SEVERAL] lane
    cdef int r
    for r in range(SEVERAL):
        stake[r] = stake_of(route, left_s[min(r, n - 1)])
    kernels.nearest(&c, n, stake, st.wait, seconds_at(st, now_ns), mask, cost, lane)
    for r in range(n):
        if lane[r] < 0 or now_ns > st.load[lane[r]].refresh_ns or not left_s[r] > 0.0:
            n = r
            break
    for r in range(n):
        begin_forecast(f[r], left_s[r])
        forecast_start(st, route, lane[r], x + r * MAX_D, left_s[r], now_ns, f[r])
        ask_outlook(route, f[r], left_s[r], o + r)
    kernels.outlooks(o, n)
    for r in range(n):
        take_outlook(o + r, f[r])
        f[r].p_on_time = f[r].availability * o[r].p
        forecast_claim(st, route, left_s[r], o[r].u, now_ns, f[r])
        if not f[r].p_on_time >= route.reject_below:
            return r
    return n
