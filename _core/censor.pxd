# Right-censored evidence: a job that was given up after c seconds of service took at least that long.
from libc.math cimport exp, lgamma, log, log1p, sqrt
from libc.string cimport memset

from _core.context cimport place
from _core.forget cimport fade_profile
from _core.lanes cimport set_bit
from _core.layout cimport (
    LANES, LN_LIMIT, MAX_COLUMNS, ROW_DOF, State, TICKET_RUNNING, TicketSlot, int64_t, profile_at, served_block,
)
from _core.learn cimport learn_row, teaches
from _core.student cimport normal_cdf, student_z


cdef inline double tail_ratio(double t, double dof) noexcept nogil:
    """(1 + t^2 / dof) f(t) / P(T > t): the one number that both moments of a cut Student-t need.

    Far out, sqrt(dof + t^2) over the hypergeometric series 2F1(1/2, dof / 2; dof / 2 + 1; x) with
    x = dof / (dof + t^2), where Algorithm 395 has lost its digits (4e-3 at t = 20, dof = 4); it converges like x^k.
    """
    cdef double x = dof / (dof + t * t), power = 1.0, total = 1.0, ln_density
    cdef int k
    if t > 0.0 and x < 0.9:
        for k in range(1, 160):
            power *= x * (k - 0.5) / k
            total += power * dof / (dof + 2.0 * k)
            if power < 1e-12:
                break
        return sqrt(dof + t * t) / total
    if t > 20.0:    # next to normal, whose hazard is t + 1 / t there; P would be zero from 38 on
        return t + 1.0 / t
    ln_density = lgamma(0.5 * dof + 0.5) - lgamma(0.5 * dof) - 0.5 * log(dof * 3.141592653589793)
    return exp(ln_density - 0.5 * (dof - 1.0) * log1p(t * t / dof)) / normal_cdf(-student_z(t, dof))


cdef inline double beyond(double t, double dof, double* var) noexcept nogil:
    """E[T | T > t] and its variance  # OUT, dof > 2.

    With g = (1 + t^2 / dof) f and G its integral above t: E[T | T > t] = dof / (dof - 1) g / P, and integrating
    (u g)' by parts gives (dof - 2) G = (dof - 1) P + t g, from which E[T^2 | T > t] = dof / (dof - 2) (1 + t g / P).
    """
    cdef double ratio = tail_ratio(t, dof)
    cdef double mean = dof / (dof - 1.0) * ratio
    var[0] = max(0.0, dof / (dof - 2.0) * (1.0 + t * ratio) - mean * mean)
    return mean


cdef inline void learn_censored(State* st, const TicketSlot* job, int64_t now_ns) noexcept nogil:
    """A job given up in service took at least its time so far: adds what is expected of ln(seconds) beyond that.

    Only beyond the forecast's median. Simulated, 300 lognormal jobs, all given up at one quantile: taking every one
    as a whole row, the median is off by +.32 at the quantile .5 and by +1.7 at .2, since an expectation that says
    nothing new still counts as data and feeds its own spread; from the median on it is off by -.02 at .5 and .005 at
    .7, and jobs cancelled early at random change nothing. Ignoring them: -.24 at .5, -.15 at .7.
    """
    cdef const float* row = served_block(st, job.model, 0, job.lane // LANES) + job.lane % LANES
    cdef double[MAX_COLUMNS] unsure
    cdef double m, s, idle_s, y, var
    if job.state != TICKET_RUNNING or now_ns <= job.start_ns or not teaches(st, job):
        return
    if job.tokens > 0.0:    # its first token came: that is learned exactly, and of the rest nothing is known
        return
    memset(unsure, 0, sizeof(unsure))
    place(st, job.model, 0, job.lane, job.x, unsure, &m, &s, &idle_s)
    y = log(<double>(now_ns - job.start_ns) * 1e-9)
    if y < m:
        return
    y = min(m + s * beyond((y - m) / s, row[ROW_DOF * LANES], &var), <double>LN_LIMIT)
    fade_profile(st, profile_at(st, job.model, job.lane), job.model, now_ns)
    set_bit(st.model[job.model].untried, job.lane, False)
    learn_row(st, job, 0, y, s * s * var, now_ns)
