# Belief of one job on one lane: its service, its wait, and whether what its class bounds will hold.
from libc.math cimport INFINITY, log, log1p, sqrt
from libc.string cimport memset

from _core.claim cimport cell_h, cell_u, read_claim, spreads_left
from _core.context cimport fill_row, place
from _core.lanes cimport line_of
from _core.layout cimport LANES, Load, MAX_COLUMNS, ModelInfo, PADDED_D, ROW_DOF, ROW_INV_AVAIL, State, int64_t, profile_at, served_block
from _core.predict cimport spread
from _core.stream cimport begin_stream
from _core.student cimport student_cdf
from _core.versions cimport Outlook, Stream, kernels
from _core.wait cimport service_mean, wait_mean, wait_var

cdef struct RouteInfo:
    int model, level
    int qos                         # class
    bint explore                    # jobs of the class may be sent somewhere to learn
    bint asks                       # to silent lanes, too
    double ln_deadline              # of deadline_s
    double deadline_s, on_time      # seconds to what the class bounds first: the first token (ttft_s), else the end
    double reject_below             # raw P under which a job is refused; 0 = never
    bint among                      # decide_among is needed: a bound, objective, policy or contract filters
    bint placed                     # the job was decided on before (moves.pxd)
    double patience                 # of the class's deadline_s; of its own budget where it was placed (urgency.pxd)
    bint bounded                    # by cost or throughput, or refused by accuracy
    int refuse                      # the verdict on every job, where the model itself breaks a bound; 0 = none
    double max_cost, min_throughput # of one job; items/s. +inf, 0 = none
    int objective                   # what is least among the feasible: Objective
    int policy                      # by which belief candidates are ranked: Policy
    double kappa                    # of UCB
    bint guaranteed                 # admits only where the claim is at least on_time
    bint first                      # two signals: the class has a ttft_s
    double end_after_s              # and then from ttft_s to deadline_s; +inf = the end is not bounded
    double tpot_s, ln_tpot          # seconds per token; +inf = not bounded
    bint paced                      # tpot_s is finite: it filters, since the rank is the first token's

cdef struct Forecast:               # one job on one lane
    int lane
    double x[PADDED_D]              # encoded, the lane's columns filled in, then zeros
    double m, s, dof                # ln(service): location, scale, degrees of freedom
    double mean_s, var_s2           # service moments
    double wait_s, wait_var
    double left_s                   # until the deadline, at the decision; <= 0: none
    double m_total, s_total         # ln(completion), moment-matched lognormal
    double availability, p_on_time  # raw: by the forecast alone
    double claim                    # P(on time) as told; where it lies in the class's claims (claim.pxd):
    int u, h
    double idle_s, idle_mean_s      # spread and mean of the service that it takes: as if the lane had no load
    double chance                   # of this outcome, ties aside: a probe may be drawn; NaN = not known
    bint probe                      # sent there to learn, not for its forecast
    bint streams                    # the model has two signals: service is the time to the first token, and
    Stream stream                   # this follows it
    double tpot_bound_s             # what the job's seconds per token are held to; +inf = not bounded


cdef inline RouteInfo paced_by(const RouteInfo* route, double tpot_s) noexcept nogil:
    """For one job of a class that bounds the pace, by a bound of the job's own."""
    cdef RouteInfo own = route[0]
    own.tpot_s = tpot_s
    own.ln_tpot = log(tpot_s)
    return own


cdef inline void forecast_service(
    const State* st, int model, int lane, const double* x, const float* given, Forecast* f
) noexcept nogil:
    """m = mean'x within LN_LIMIT, s^2 = scale2 (1 + |F x|^2) + what unknown columns add (slope^2 x variance). Moments
    come with the rest (forecast_first)."""
    cdef const ModelInfo* info = st.model + model
    cdef const float* row = served_block(st, model, 0, lane // LANES) + lane % LANES
    cdef double[MAX_COLUMNS] unsure
    f.lane = lane
    fill_row(info, row, x, given + lane, st.head.n_blocks * LANES, f.x, unsure)
    place(st, model, 0, lane, f.x, unsure, &f.m, &f.s, &f.idle_s)
    f.dof = row[ROW_DOF * LANES]
    f.availability = 1.0 / row[ROW_INV_AVAIL * LANES]
    f.streams = info.n_signals == 2
    if f.streams:
        begin_stream(st, model, lane, f.x, unsure, &f.stream)


cdef inline double occupied_s(const Forecast* f) noexcept nogil:
    """Expected seconds from start to end."""
    return f.stream.busy_s if f.streams else f.mean_s


cdef inline double p_within(double mean, double var, double left_s, double dof, double* m, double* s) noexcept nogil:
    """P(time <= left_s), the time matched by its first two moments to a lognormal ln T ~ (m, s)  # OUT; a t's tail."""
    cdef double s2 = log1p(var / (mean * mean))
    s[0] = sqrt(s2)
    m[0] = log(mean) - 0.5 * s2
    return student_cdf((log(left_s) - m[0]) / s[0], dof) if left_s > 0.0 else 0.0


cdef inline void forecast_total(Forecast* f, double left_s) noexcept nogil:
    """Completion = wait + service; its tail is the service's t."""
    f.p_on_time = f.availability * p_within(
        f.wait_s + f.mean_s, f.wait_var + f.var_s2, left_s, f.dof, &f.m_total, &f.s_total)


cdef inline void ask_outlook(const RouteInfo* route, const Forecast* f, double left_s, Outlook* o) noexcept nogil:
    """What an outlook is of: service and wait as forecast."""
    o.m, o.s, o.dof, o.idle_s = f.m, f.s, f.dof, f.idle_s
    o.wait_s, o.wait_var, o.left_s = f.wait_s, f.wait_var, left_s
    o.ln_left = route.ln_deadline if left_s == route.deadline_s else log(max(left_s, 1e-300))


cdef inline void take_outlook(const Outlook* o, Forecast* f) noexcept nogil:
    f.mean_s, f.var_s2, f.idle_mean_s = o.mean_s, o.var_s2, o.idle_mean_s
    f.m_total, f.s_total = o.m_total, o.s_total


cdef inline double forecast_first(const RouteInfo* route, Forecast* f, double left_s, double* u) noexcept nogil:
    """Service moments, m_total and s_total; P(wait + service <= left_s), which it returns; spreads_left  # OUT."""
    cdef Outlook o
    ask_outlook(route, f, left_s, &o)
    kernels.outlook(&o)
    take_outlook(&o, f)
    u[0] = o.u
    return o.p


cdef inline double forecast_bounds(const RouteInfo* route, Forecast* f, double left_s) noexcept nogil:
    """Two signals: every bound of the class holds with at least 1 - the sum of what each misses (union bound: exact
    where misses exclude each other; a copula gained nothing). m_total, s_total: of what the class bounds first. Returns u
    of the bound that is the hardest to hold."""
    cdef Stream* stream = &f.stream
    cdef double u, p = forecast_first(route, f, left_s, &u), holds = kernels.stream(stream, f.mean_s, f.var_s2, route.ln_tpot)
    cdef double missed = 1.0 - p, end_s = left_s + route.end_after_s, m, s
    if not route.first:
        u = INFINITY
        missed = 0.0
        end_s = left_s
    if end_s < INFINITY:
        missed += 1.0 - p_within(
            f.wait_s + stream.busy_s, f.wait_var + stream.busy_var, end_s, min(f.dof, stream.dof), &m, &s)
        u = min(u, end_spreads(f, end_s))
        if not route.first:
            f.m_total = m
            f.s_total = s
    if route.tpot_s < INFINITY:
        missed += 1.0 - holds
        u = min(u, (route.ln_tpot - stream.m) / stream.idle_s)
    f.p_on_time = f.availability * max(0.0, 1.0 - missed)
    return u


cdef inline double end_spreads(const Forecast* f, double end_s) noexcept nogil:
    cdef double rest_s = max(f.stream.tokens - 1.0, 0.0) * service_mean(f.stream.m, f.stream.idle_s)
    return spreads_left(end_s, f.wait_s + f.idle_mean_s + rest_s, f.stream.idle_s)


cdef inline double longest_queued(const State* st, const RouteInfo* route, int lane, int64_t now_ns) noexcept nogil:
    """h, since it came there: a line is in that order, and with every job that leaves its head is younger. 0 where nobody
    queues, or the class has no deadline."""
    cdef const Load* load = st.load + lane
    cdef int t = load.first_queued[line_of(load, route.level)]
    return <double>(now_ns - st.ticket[t].came_ns) * 1e-9 / route.deadline_s if t >= 0 else 0.0


cdef inline void forecast_claim(
    const State* st, const RouteInfo* route, double left_s, double u, int64_t now_ns, Forecast* f
) noexcept nogil:
    """What is promised of a forecast: its availability times what the table says of jobs like it."""
    f.u = cell_u(u)
    f.h = cell_h(longest_queued(st, route, f.lane, now_ns))
    f.claim = f.availability * read_claim(&st.certificate[route.qos].claims, f.u, f.h) if left_s > 0.0 else 0.0


cdef inline void begin_forecast(Forecast* f, double left_s) noexcept nogil:
    """Of a decision that has not looked at any lane: none, for certain. The numbers of one are forecast_lane's."""
    f.lane = -1
    f.left_s = left_s
    f.chance = 1.0
    f.probe = False


cdef inline void forecast_nothing(Forecast* f, double left_s) noexcept nogil:
    """Of a job that nobody takes: lane -1, and no number means anything."""
    memset(f, 0, sizeof(f[0]))
    begin_forecast(f, left_s)


cdef inline void forecast_start(
    const State* st, const RouteInfo* route, int lane, const double* x, double left_s, int64_t now_ns, Forecast* f
) noexcept nogil:
    """Of forecast_lane what comes before its outlook: service and wait."""
    f.left_s = left_s
    f.tpot_bound_s = route.tpot_s
    forecast_service(st, route.model, lane, x, st.given, f)
    f.wait_s = wait_mean(st, lane, route.level, now_ns) + profile_at(st, route.model, lane).load_s
    f.wait_var = wait_var(st, lane, route.level) if f.wait_s > 0.0 else 0.0


cdef inline void forecast_lane(
    const State* st, const RouteInfo* route, int lane, const double* x, double left_s, int64_t now_ns, Forecast* f
) noexcept nogil:
    """One lane looked at closely: service, wait, completion, claim. What begin_forecast says of the decision stays."""
    cdef double u
    forecast_start(st, route, lane, x, left_s, now_ns, f)
    if f.streams:
        u = forecast_bounds(route, f, left_s)
    else:
        f.p_on_time = f.availability * forecast_first(route, f, left_s, &u)
    forecast_claim(st, route, left_s, u, now_ns, f)
