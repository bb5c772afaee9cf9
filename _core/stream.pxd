# Two signals: what follows the first token, and how long the whole answer occupies its resource.
from libc.math cimport exp, isnan, log, log1p, rint, sqrt

from _core.context cimport place
from _core.layout cimport (
    LANES, Load, MAX_LEVELS, ModelInfo, ROW_DOF, State, TicketSlot, served_block,
)
from _core.length cimport forecast_length
from _core.versions cimport Stream
from _core.wait cimport moment_spread, n_open


cdef inline void begin_stream(
    const State* st, int model, int lane, const double* x, const double* unsure, Stream* out
) noexcept nogil:
    """x, unsure as `fill_row` left them  # IN. The moments come with kernels.stream."""
    place(st, model, 1, lane, x, unsure, &out.m, &out.s, &out.idle_s)
    out.dof = served_block(st, model, 1, lane // LANES)[ROW_DOF * LANES + lane % LANES]
    forecast_length(st, model, x, &out.ln_tokens, &out.tokens_s)


cdef inline void occupy(TicketSlot* job, const Stream* stream) noexcept nogil:
    """What the wait of others sees of the job: the whole answer, as a lognormal of its mean; spread at most 1, as all, and
    so a variance of at most e - 1 mean squares."""
    cdef double square = stream.busy_s * stream.busy_s
    job.s = moment_spread(sqrt(log1p(stream.busy_var / square)))
    job.m = log(stream.busy_s) - 0.5 * job.s * job.s
    job.mean_s = stream.busy_s
    job.var_s2 = min(stream.busy_var, 1.718281828459045 * square)


cdef inline double whole(double tokens) noexcept nogil:
    """Whole tokens, at most 2^40: sums over 4096 jobs come back to what they were, exactly, when one of them leaves."""
    return min(rint(tokens), 1099511627776.0)


cdef inline double prompt_of(const ModelInfo* info, const double* x) noexcept nogil:
    """Tokens of the prompt from its encoded feature (within the clip at 16)."""
    cdef double z = x[info.prompt], usual = info.prompt_typical
    return whole(usual * exp(z) if usual > 0.0 else exp(z) - 1.0)


cdef inline double own_of(const double* own, int lane, double prompt) noexcept nogil:
    """Tokens that a job brings to prefill. own (n_resources,), NULL or NaN = not said: its whole prompt."""
    return prompt if own == NULL or isnan(own[lane]) else whole(own[lane])


cdef inline void set_pace(State* st, int lane, double pace) noexcept nogil:
    """What the lane's open jobs were promised, and the same where kernels read it."""
    st.load[lane].pace = pace
    st.wait[lane // LANES].pace[lane % LANES] = <float>pace


cdef inline void add_tokens(State* st, TicketSlot* job) noexcept nogil:
    """Counts an open job's tokens on its lane: `own` to prefill until the first token, prompt and answer in the cache."""
    cdef Load* load = st.load + job.lane
    if job.tokens == 0.0:
        load.prefill_tokens += job.own
    load.kv_tokens += job.prompt + job.tokens
    if job.pace > load.pace:
        set_pace(st, job.lane, job.pace)


cdef inline double tightest_s(const State* st, int lane, double tpot_s) noexcept nogil:
    """The smaller of tpot_s and what the lane's open jobs were promised; +inf = neither is bounded."""
    cdef double pace = st.load[lane].pace
    return tpot_s if pace * tpot_s <= 1.0 or pace == 0.0 else 1.0 / pace


cdef inline double fastest(const State* st, int t, int skip) noexcept nogil:
    """The largest pace that any job of a list from ticket t on was promised, `skip` aside."""
    cdef double pace = 0.0
    while t >= 0:
        if t != skip:
            pace = max(pace, st.ticket[t].pace)
        t = st.ticket[t].next
    return pace


cdef inline void remove_tokens(State* st, int t) noexcept nogil:
    """Of a job that is in its lane's counts no more. Cost O(jobs of the lane) when it was the one promised most."""
    cdef const TicketSlot* job = st.ticket + t
    cdef Load* load = st.load + job.lane
    cdef double pace
    cdef int line
    if job.tokens == 0.0:
        load.prefill_tokens -= job.own
    load.kv_tokens -= job.prompt + job.tokens
    if n_open(load) == 0:   # rounding must not outlive the jobs
        load.prefill_tokens = load.kv_tokens = load.kv_queued = 0.0
    if job.pace > 0.0 and job.pace >= load.pace:
        pace = fastest(st, load.first_running, t)
        for line in range(MAX_LEVELS):
            pace = max(pace, fastest(st, load.first_queued[line], t))
        set_pace(st, job.lane, pace)


cdef inline void count_produced(State* st, TicketSlot* job, double tokens) noexcept nogil:
    """The job's answer has `tokens` now; the first one ends its prefill."""
    cdef Load* load = st.load + job.lane
    if job.tokens == 0.0:
        load.prefill_tokens -= job.own
    load.kv_tokens += tokens - job.tokens
    job.tokens = tokens
