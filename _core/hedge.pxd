# Is a running job lost in an outlier, and would a copy of it end sooner elsewhere?
from libc.math cimport exp
from libc.string cimport memcpy

from _core.among cimport decide_any
from _core.decide cimport has_place
from _core.forecast cimport Forecast, RouteInfo, occupied_s
from _core.layout cimport Load, MASK_WORDS, State, TicketSlot, int64_t, uint64_t
from _core.promise cimport leave_out_job
from _core.wait cimport residual


cdef inline void note_end(Load* load, const TicketSlot* job, double ln_service, double service_s) noexcept nogil:
    """Counts a completed job that outlived exp(m + 2 s) of its forecast, and one beyond exp(m + 4 s) as an outlier.

    Each such job weighs .99 of the next: the last hundred of them, however rare they are.
    """
    if ln_service <= job.m + 2.0 * job.s:
        return
    load.n_past *= 0.99
    load.n_out *= 0.99
    load.out_s *= 0.99
    load.n_past += 1.0
    if ln_service > job.m + 4.0 * job.s:
        load.n_out += 1.0
        load.out_s += service_s - exp(job.m + 2.0 * job.s)


cdef inline double mean_residual(const State* st, const TicketSlot* job, int64_t now_ns) noexcept nogil:
    """Seconds that a job in service is expected to take yet: pi R_out + (1 - pi) R_ln.

    R_ln: the residual of its lognormal forecast, which alone never justifies a copy. R_out: what outliers of this
    resource took beyond exp(m + 2 s). pi: the share of outliers among the jobs that got that old; beyond
    exp(m + 4 s) it is one.
    """
    cdef const Load* load = st.load + job.lane
    cdef double age_s = <double>(now_ns - job.start_ns) * 1e-9
    cdef double var, slope, outlier = (load.n_out + 0.5) / (load.n_past + 1.0)
    cdef double body = residual(job.m, job.s, age_s, &var, &slope)
    if load.n_out <= 0.0:
        return body
    if age_s > exp(job.m + 4.0 * job.s):
        outlier = 1.0
    return outlier * load.out_s / load.n_out + (1.0 - outlier) * body


cdef inline bint find_copy(
    State* st, int t, const RouteInfo* route, const uint64_t* mask, double left_s, int64_t now_ns, Forecast* f,
    int* n_tied,
) noexcept nogil:
    """The best lane without a ticket of the job is f  # OUT. True when W + E[S] there is below what ticket t is expected
    to take yet."""
    cdef const TicketSlot* job = st.ticket + t
    cdef uint64_t[MASK_WORDS] others
    memcpy(others, mask if mask != NULL else st.head.open_lanes, sizeof(others))
    leave_out_job(st, t, others)
    return has_place(decide_any(st, route, job.x, others, left_s, now_ns, f, n_tied)) \
        and f.wait_s + occupied_s(f) < mean_residual(st, job, now_ns)
