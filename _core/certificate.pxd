# What became of what was issued: adaptive conformal inference (Gibbs, Candes 2021) on bound_s, one class at a time.
# The error level alpha = alpha1 + eta (target n - n_missed) is never clipped and follows from the counts alone, so no
# rounding adds up in it. A bound is issued at alpha as it then stands; z is the normal deviate at 1 - alpha.
from libc.math cimport INFINITY, log

from _core.forecast cimport Forecast, RouteInfo
from _core.layout cimport Certificate, State, TicketSlot, int64_t
from _core.student cimport normal_quantile, student_z


cdef inline double error_level(const Certificate* c) noexcept nogil:
    return c.target + c.eta * (c.target * c.n - c.n_missed)


cdef inline double level_z(double alpha) noexcept nogil:
    """alpha <= 0: +inf, an endless bound that nothing misses; alpha >= 1: -inf, a bound of 0 that everything misses."""
    if alpha <= 0.0:
        return INFINITY
    return -normal_quantile(alpha) if alpha < 1.0 else -INFINITY


cdef inline void certify(Certificate* c, double target) noexcept nogil:
    """Starts at alpha1 = target. eta: alpha then wanders with variance eta target / 2 about it (linear recursion with
    Bernoulli noise), so target / 2 keeps its sd at half of it, and .02 keeps lax classes from jumping."""
    c.target = target
    c.eta = 0.5 * target if target < 0.04 else 0.02
    c.z = level_z(target)


cdef inline void issue(State* st, int t, int qos, const Forecast* f) noexcept nogil:
    """Writes down what the ticket promises, if it does: a probe is sent to learn."""
    cdef TicketSlot* job = st.ticket + t
    cdef Certificate* c = st.certificate + qos
    job.qos = qos
    job.promised = job.promised and not f.probe
    job.left_s = f.left_s
    job.claim = f.p_on_time
    job.m_total = f.m_total
    job.s_total = f.s_total
    job.t_dof = f.dof
    job.z_bound = c.z
    c.n_open += job.promised
    if c.n_open > c.most_open:
        c.most_open = c.n_open


cdef inline void unpromise(State* st, int t) noexcept nogil:
    """Somebody else's choice, or a copy of a job that has its own ticket."""
    cdef TicketSlot* job = st.ticket + t
    st.certificate[job.qos].n_open -= job.promised
    job.promised = 0


cdef inline bint misses_bound(const TicketSlot* job, double completion_s) noexcept nogil:
    """Whether it ended after bound_s: both go through the same increasing map to a normal deviate. Never ended: inf."""
    cdef double z = INFINITY
    if completion_s < INFINITY:
        z = student_z((log(completion_s) - job.m_total) / job.s_total, job.t_dof)
    return z > job.z_bound


cdef inline void report(State* st, int t, double completion_s, bint on_time) noexcept nogil:
    """The ticket's one report."""
    cdef TicketSlot* job = st.ticket + t
    cdef Certificate* c = st.certificate + job.qos
    if not job.promised:
        return
    job.promised = 0
    c.n += 1
    c.n_open -= 1
    c.n_missed += misses_bound(job, completion_s)
    c.n_on_time += on_time
    c.n_vacuous += job.z_bound == INFINITY or job.z_bound == -INFINITY
    c.claimed += job.claim
    c.z = level_z(error_level(c))


cdef inline void report_end(State* st, int t, double completion_s) noexcept nogil:
    """completion_s > 0; inf = failed, or dropped: it never completed."""
    report(st, t, completion_s, completion_s <= st.ticket[t].left_s)


cdef inline void report_first_token(
    State* st, int t, const RouteInfo* route, double waited_s, double service_s, double tokens
) noexcept nogil:
    """Of a class that bounds the first token: bound_s is of it. A first token that nobody told of came at the end at
    the latest; a pace that nobody told of kept its bound."""
    cdef const TicketSlot* job = st.ticket + t
    cdef double first_s = waited_s + (job.first_s if job.tokens > 0.0 else service_s)
    cdef bint on_time = first_s <= job.left_s and waited_s + service_s <= job.left_s + route.end_after_s
    if job.tokens > 0.0 and tokens >= 2.0:
        on_time = on_time and service_s - job.first_s <= route.tpot_s * (tokens - 1.0)
    report(st, t, first_s, on_time)


cdef inline void report_cancel(State* st, int t, int64_t now_ns) noexcept nogil:
    """From its deadline on a cancelled job is one that never completed; before it nobody knows, and it counts in nothing."""
    cdef const TicketSlot* job = st.ticket + t
    if <double>(now_ns - job.arrival_ns) * 1e-9 >= job.left_s:
        report_end(st, t, INFINITY)
    else:
        unpromise(st, t)
