# What became of what was issued: adaptive conformal inference (Gibbs, Candes 2021) on bound_s, one class at a time.
# The error level alpha = alpha1 + eta (target n - n_missed) is never clipped and follows from the counts alone, so no
# rounding adds up in it. A bound is issued at alpha as it then stands; z is the normal deviate at 1 - alpha.
from libc.math cimport INFINITY, log

from _core.claim cimport learn_claim
from _core.forecast cimport Forecast, RouteInfo
from _core.layout cimport Certificate, MODE_PART, Promise, State, TicketSlot, int64_t
from _core.promise cimport hand_over, promise_of
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


cdef inline void issue(State* st, int t, int qos, const Forecast* f, bint ours) noexcept nogil:
    """What is told of the job of a ticket just opened. It binds us where the choice was ours, in active mode; a probe is
    sent to learn."""
    cdef TicketSlot* job = st.ticket + t
    cdef Certificate* c = st.certificate + qos
    cdef Promise* p = &job.promise
    p.made, p.qos, p.binds = 1, qos, ours and not f.probe and st.head.mode <= MODE_PART
    p.since_ns, p.left_s = job.arrival_ns, f.left_s
    p.u, p.h, p.raw, p.availability, p.claim = f.u, f.h, f.p_on_time, f.availability, f.claim
    p.m_total, p.s_total, p.dof, p.z_bound = f.m_total, f.s_total, f.dof, c.z
    c.n_open += p.binds
    c.most_open = max(c.most_open, c.n_open)


cdef inline void withdraw(State* st, Promise* p) noexcept nogil:
    """It counts in nothing."""
    if p.made:
        st.certificate[p.qos].n_open -= p.binds
        p.made = 0


cdef inline bint misses_bound(const Promise* p, double completion_s) noexcept nogil:
    """Whether it ended after bound_s: both go through the same increasing map to a normal deviate. Never ended: inf."""
    cdef double t
    if not completion_s < INFINITY:
        return p.z_bound < INFINITY
    t = (log(completion_s) - p.m_total) / p.s_total
    # a t lies further out than its deviate (1e-5: what student_z may be wrong by), so most need not be worked out
    if p.z_bound >= 0.0 and t <= (1.0 - 1e-5) * p.z_bound:
        return False
    return student_z(t, p.dof) > p.z_bound


cdef inline void report(State* st, Promise* p, double completion_s, bint on_time, int64_t now_ns) noexcept nogil:
    """The promise's one report; claims learn from it. completion_s > 0, from the job's first decision; inf = it never
    completed."""
    cdef Certificate* c = st.certificate + p.qos
    if not p.made:
        return
    p.made = 0
    learn_claim(st, p, on_time, now_ns)
    if not p.binds:
        return
    c.n += 1
    c.n_open -= 1
    c.n_missed += misses_bound(p, completion_s)
    c.n_on_time += on_time
    c.n_vacuous += p.z_bound == INFINITY or p.z_bound == -INFINITY
    c.claimed += p.claim
    c.z = level_z(error_level(c))


cdef inline double waited(const Promise* p, double service_s, int64_t now_ns) noexcept nogil:
    """Seconds before the service that has just ended. A job takes no less than that, whatever a clock says that stood
    still or went back."""
    return max(0.0, <double>(now_ns - p.since_ns) * 1e-9 - service_s)


cdef inline void report_result(State* st, int t, double service_s, int64_t now_ns) noexcept nogil:
    """Ticket t has completed, and with it its job."""
    cdef Promise* p = promise_of(st, t)
    cdef double completion_s = waited(p, service_s, now_ns) + service_s
    report(st, p, completion_s, completion_s <= p.left_s, now_ns)


cdef inline void report_stream(
    State* st, int t, const RouteInfo* route, double tpot_s, double service_s, double tokens, int64_t now_ns
) noexcept nogil:
    """The same for a class that bounds the first token: bound_s is of it. tpot_s: what
    the job's seconds per token are held to. A first token that nobody told of, and a pace
    that is bounded and nobody can tell (tokens < 0), are unknown, and so is whether the promise was kept."""
    cdef const TicketSlot* job = st.ticket + t
    cdef Promise* p = promise_of(st, t)
    cdef double waited_s = waited(p, service_s, now_ns), first_s = waited_s + job.first_s
    cdef bint on_time = first_s <= p.left_s and waited_s + service_s <= p.left_s + route.end_after_s
    if job.tokens == 0.0 or (tokens < 0.0 and route.paced):
        st.certificate[p.qos].n_untold += p.made and p.binds
        withdraw(st, p)
        return
    if tokens >= 2.0:
        on_time = on_time and service_s - job.first_s <= tpot_s * (tokens - 1.0)
    report(st, p, first_s, on_time, now_ns)


cdef inline void report_failure(State* st, int t, int64_t now_ns) noexcept nogil:
    """Ticket t failed, was given up or dropped: its job never completed, unless another of its tickets still may."""
    if not hand_over(st, t):
        report(st, &st.ticket[t].promise, INFINITY, False, now_ns)


cdef inline void report_cancel(State* st, int t, const RouteInfo* route, int64_t now_ns) noexcept nogil:
    """From its deadline on a cancelled job is one that never completed; before it nobody knows, and it counts in nothing.
    Where the class bounds the first token and that came in time, the deadline is the one of the end: whoever has read
    enough of an answer breaks no promise."""
    cdef const TicketSlot* job = st.ticket + t
    cdef Promise* p = &st.ticket[t].promise
    cdef double due_s = p.left_s, first_s = INFINITY
    if hand_over(st, t):
        return
    if route.first and job.tokens > 0.0:
        first_s = max(0.0, <double>(job.start_ns - p.since_ns) * 1e-9) + job.first_s
        if first_s <= p.left_s:
            due_s = p.left_s + route.end_after_s
    if <double>(now_ns - p.since_ns) * 1e-9 >= due_s:
        report(st, p, first_s, False, now_ns)
    else:
        withdraw(st, p)


cdef inline void lose(State* st, int mate, const Promise* kept, int64_t now_ns) noexcept nogil:
    """A ticket that was set aside is tried no more: its end was a failure."""
    cdef Promise p = kept[0]
    if mate < 0:
        report(st, &p, INFINITY, False, now_ns)
    elif p.made:
        st.ticket[mate].promise = p
