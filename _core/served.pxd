# The served copy: float32, structure of arrays over lanes, rebuilt from the sums and the prior.
from libc.math cimport INFINITY, sqrt
from libc.string cimport memcpy, memset

from _core.floor cimport floor_load_slopes
from _core.lanes cimport is_candidate
from _core.layout cimport (
    LANES, Level, MAX_D, MAX_PACKED, MAX_SUMS, ModelInfo, Offset, PADDED_D, Profile, ROW_COLUMN_MEAN, ROW_COLUMN_VAR, ROW_DOF,
    ROW_INV_AVAIL, ROW_MEAN, ROW_OFFSET, ROW_SCALE2, State, int64_t, close_copy, close_rows, levels_of, profile_at, served_block,
)
from _core.offset cimport FEW, has_news, level_model, work_out_offset
from _core.posterior cimport add_sums, factorise, invert, kept, n_sums, noise, solve_mean

cdef extern from *:
    """
    #define TW_LN_TPOT -3.506557897319982     /* ln .03 s: a token of a language model, while none was seen */
    """
    const double LN_TPOT "TW_LN_TPOT"

cdef struct Prior:                  # normal-inverse-gamma, the coefficient precision diagonal
    double l0[MAX_D]                # in units of 1 / sigma^2
    double mu0[MAX_D]
    double a0, beta0

cdef struct Posterior:
    double mean[MAX_D]              # of y - y0
    double factor[MAX_PACKED]       # F, x' L^-1 x = |F x|^2
    double scale2, dof


cdef inline double profile_age_s(const Profile* p, int64_t now_ns) noexcept nogil:
    return <double>(now_ns - p.decayed_ns) * 1e-9


cdef inline double read_sums(
    const State* st, int model, int signal, int lane, int64_t now_ns, double* sums
) noexcept nogil:
    """sums += the profile's sums, faded to now; returns their n (the corner of A, since x[0] = 1)."""
    cdef const Profile* p = profile_at(st, model, lane)
    cdef double n = p.signal[signal].total[0] + p.signal[signal].lost[0]
    cdef double factor
    if n <= 0.0:
        return 0.0
    factor = kept(n, profile_age_s(p, now_ns), st.model[model].tau_s)
    add_sums(&p.signal[signal], st.model[model].d, factor, sums)
    return factor * n


cdef inline void vague(const ModelInfo* model, int signal, Prior* prior) noexcept nogil:
    """Nothing known: one second (.03 a token) give or take sd 7.7 sigma; variances 3 for request slopes, 1 for columns
    and terms."""
    cdef int i
    for i in range(model.d):
        prior.l0[i] = 1.0 / 3.0 if i < model.n_request else 1.0
        prior.mu0[i] = 0.0
    prior.l0[0] = 1.0 / 60.0
    prior.mu0[0] = (0.0 if signal == 0 else LN_TPOT) - model.y0[signal]
    prior.a0 = 2.0
    prior.beta0 = 0.18


cdef inline double excess_noise(
    const Prior* prior, const Prior* used, const double* mean, double beta, double n, int d
) noexcept nogil:
    """Noise variance of the residuals, the prior's counted in, over the prior's alone."""
    cdef double rss = 2.0 * (beta - prior.beta0), v
    cdef int i
    for i in range(d):
        v = mean[i] - used.mu0[i]
        rss -= used.l0[i] * v * v
    return (prior.beta0 + 0.5 * (rss if rss > 0.0 else 0.0)) / (prior.a0 + 0.5 * n) * prior.a0 / prior.beta0


cdef inline double fit(const double* sums, double n, const Prior* prior, int d, double* c, double* mean) noexcept nogil:
    """c: factor of L, mean (d,)  # OUT. Returns beta. Cost O(d^3).

    What the prior says of slopes is meant in ln(seconds), while a conjugate prior loosens with the noise: one stall would
    free the slopes to fit it, and extrapolate. So noise beyond the prior's tightens l0 of the slopes as much. Three
    rounds: eight jobs on an idle resource, then one of 1000 times in the first busy state (one column at 1), left a
    forecast 49 times too long there without, 3 with. Mean |error| of ln(seconds), n = 2..100 (sim): clean data lose up
    to 8% (slopes of sd 1, n = 4), with 5% outliers of 100 times it gains up to 23% (slopes of sd .5, n = 8).
    Rounds cost only where noise exceeds the prior's: at sd .6 complete took 1.9x as long on the first 8 results, 1.3x at 100.
    """
    cdef Prior tight = prior[0]
    cdef double beta, excess
    cdef int k, i
    for k in range(4):
        factorise(sums, tight.l0, d, c)
        solve_mean(sums, tight.l0, tight.mu0, c, d, mean)
        beta = noise(sums, tight.l0, tight.mu0, mean, d, tight.beta0)
        if d == 1 or k == 3:
            break
        excess = excess_noise(prior, &tight, mean, beta, n, d)
        if excess <= 1.0:
            break
        for i in range(1, d):
            tight.l0[i] = prior.l0[i] * excess
    return beta


cdef inline void regress(const ModelInfo* info, int signal, const double* sums, double n, double* mean) noexcept nogil:
    """mean (d,) of y - y0 from sums and the vague prior  # OUT."""
    cdef double c[MAX_PACKED]
    cdef Prior prior
    vague(info, signal, &prior)
    fit(sums, n, &prior, info.d, c, mean)


cdef inline double pooled_mean(
    const State* st, int model, int signal, int skip, int64_t now_ns, double* mean, double* sums
) noexcept nogil:
    """Regression over all resources but `skip`: mean (d,)  # OUT, sums  # OUT. Returns n. Cost O(resources d^2)."""
    cdef double n = 0.0
    cdef int r
    memset(sums, 0, MAX_SUMS * sizeof(double))
    for r in range(st.head.n_resources):
        if r != skip:
            n += read_sums(st, model, signal, r, now_ns, sums)
    regress(st.model + model, signal, sums, n, mean)
    return n


cdef inline void relate(
    State* st, int model, int signal, int lane, double n, double n_pool, const double* pool_mean, const double* sums
) noexcept nogil:
    """Renews the model's levels, with the slopes of all its data: sums (n_sums,)  # IN; and while the lane's own are
    few, its offset. The first of several models costs as much again as the regression; the offset O(models resources)."""
    cdef Level* level = levels_of(st, st.level, model, signal)
    cdef double mean[MAX_D]
    regress(st.model + model, signal, sums, n + n_pool, mean)
    level_model(st, model, signal, mean, level)
    if has_news(level + lane):
        level[lane].told = level[lane].n
        st.head.n_told += 1
    if n < FEW and n_pool > 0.0:
        work_out_offset(st, st.level, model, signal, lane, pool_mean[0], &profile_at(st, model, lane).offset[signal])


cdef inline void prior_of(
    const State* st, int model, int signal, int lane, double n_pool, const double* pool_mean, const Offset* offset,
    Prior* prior
) noexcept nogil:
    """vague, else the pooled mean of the other resources and the resource's offset, and the user's own numbers above both.

    Without an offset a pooled intercept has variance 4: devices of other kinds lie within a factor of exp(2 x 0.3) of
    the pool one time in three.
    """
    cdef const Profile* p = profile_at(st, model, lane)
    cdef int i
    vague(st.model + model, signal, prior)
    if n_pool > 0.0:
        for i in range(st.model[model].d):
            prior.mu0[i] = pool_mean[i]
        prior.l0[0] = 0.25
        if offset.l0 > 0.0:
            prior.mu0[0] += offset.shift
            prior.l0[0] = offset.l0
    if p.given.weight > 0.0 and signal == 0:
        prior.l0[0] = p.given.weight
        prior.mu0[0] = p.given.ln - st.model[model].y0[signal]
        for i in range(1, st.model[model].d):
            if (p.given.has_slope >> i) & 1:
                prior.mu0[i] = p.given.slope[i]
                prior.l0[i] = p.given.weight
        prior.a0 = 2.0 + 0.5 * p.given.weight
        prior.beta0 = prior.a0 * p.given.spread * p.given.spread


cdef inline void posterior_of(const double* sums, double n, const Prior* prior, int d, Posterior* out) noexcept nogil:
    cdef double c[MAX_PACKED]
    cdef double a = prior.a0 + 0.5 * n
    out.scale2 = fit(sums, n, prior, d, c, out.mean) / a
    invert(c, d, out.factor)
    out.dof = 2.0 * a


cdef inline double inv_availability(const Profile* p, int64_t now_ns, double tau_s) noexcept nogil:
    """1 / mean of Beta(99 + succeeded, 1 + failed), the counts faded to now: an avoided resource recovers too."""
    cdef double factor = kept(p.succeeded + p.failed, profile_age_s(p, now_ns), tau_s)
    return (100.0 + factor * (p.succeeded + p.failed)) / (99.0 + factor * p.succeeded)


cdef inline float served_inv_availability(const State* st, int model, int lane, int64_t now_ns) noexcept nogil:
    """With doubt, the odds that the lane hangs: a job there succeeds with availability / (1 + doubt)."""
    return <float>(inv_availability(profile_at(st, model, lane), now_ns, st.model[model].tau_s) * (1.0 + st.load[lane].doubt))


cdef inline void write_served(
    State* st, int model, int signal, int lane, const Posterior* post, const double* sums, double n, int64_t now_ns
) noexcept nogil:
    """Copies one posterior into the lane's float32 rows, load slopes floored (floor.pxd)."""
    cdef const ModelInfo* info = st.model + model
    cdef float* row = served_block(st, model, signal, lane // LANES) + lane % LANES
    cdef double* floored = &profile_at(st, model, lane).floored[signal * MAX_D]
    cdef float* close = close_copy(st, model, signal, lane)
    cdef int d = info.d, rows = close_rows(d), at = 0, i, k
    cdef double mean
    cdef double[MAX_D] served_mean
    memcpy(served_mean, post.mean, sizeof(served_mean))
    profile_at(st, model, lane).n_served += 1
    floor_load_slopes(info, post.factor, served_mean)
    row[ROW_SCALE2 * LANES] = <float>post.scale2
    row[ROW_DOF * LANES] = <float>post.dof
    row[ROW_INV_AVAIL * LANES] = served_inv_availability(st, model, lane, now_ns)
    for i in range(d):
        floored[i] = post.mean[i] - served_mean[i]
        close[i] = row[(ROW_MEAN + i) * LANES] = <float>(served_mean[i] + (info.y0[signal] if i == 0 else 0.0))
    for i in range(d):
        for k in range(i + 1):
            close[PADDED_D + k * rows + i] = row[(ROW_MEAN + d + at) * LANES] = <float>post.factor[at]
            at += 1
    for i in range(info.n_columns):
        k = info.n_request + i
        mean = sums[k * (k + 1) // 2] / n if n > 0.0 else 0.0
        row[(ROW_COLUMN_MEAN + i) * LANES] = <float>mean
        mean = sums[k * (k + 1) // 2 + k] / n - mean * mean if n > 0.0 else 1.0
        row[(ROW_COLUMN_VAR + i) * LANES] = <float>(mean if mean > 0.0 else 0.0)


cdef inline bint is_cold(const State* st, int model, int signal, int lane) noexcept nogil:
    return profile_at(st, model, lane).signal[signal].total[0] <= 0.0


cdef inline bint any_cold(const State* st, int model, int signal) noexcept nogil:
    cdef int lane
    for lane in range(st.head.n_resources):
        if is_candidate(st, model, lane) and is_cold(st, model, signal, lane):
            return True
    return False


cdef inline void serve_cold(State* st, int model, int signal, int64_t now_ns) noexcept nogil:
    """Hands the pooled mean to every candidate that has completed nothing. Cost O(resources d^2), once for all."""
    cdef ModelInfo* info = st.model + model
    cdef double mean[MAX_D]
    cdef double sums[MAX_SUMS]
    cdef double zeros[MAX_SUMS]
    cdef double n = pooled_mean(st, model, signal, -1, now_ns, mean, sums)
    cdef Prior prior
    cdef Posterior post
    cdef int lane, i, d = info.d
    memset(zeros, 0, sizeof(zeros))
    memset(&post, 0, sizeof(post))
    for lane in range(st.head.n_resources):
        if not (is_candidate(st, model, lane) and is_cold(st, model, signal, lane)):
            continue
        prior_of(st, model, signal, lane, n, mean, &profile_at(st, model, lane).offset[signal], &prior)
        for i in range(d):      # no data: the posterior is the prior, its factor diagonal
            post.mean[i] = prior.mu0[i]
            post.factor[i * (i + 1) // 2 + i] = 1.0 / sqrt(prior.l0[i])
        post.scale2 = prior.beta0 / prior.a0
        post.dof = 2.0 * prior.a0
        write_served(st, model, signal, lane, &post, zeros, 0.0, now_ns)


cdef inline void serve(State* st, int model, int signal, int lane, int64_t now_ns) noexcept nogil:
    """Rebuilds one lane's served copy from its sums. Cost O(resources d^2 + d^3)."""
    cdef Profile* p = profile_at(st, model, lane)
    cdef double pool_mean[MAX_D]
    cdef double own[MAX_SUMS]
    cdef double sums[MAX_SUMS]      # of the other resources, then of all
    cdef double n_pool = pooled_mean(st, model, signal, lane, now_ns, pool_mean, sums)
    cdef double n
    cdef int i
    cdef Prior prior
    cdef Posterior post
    memset(own, 0, sizeof(own))
    n = read_sums(st, model, signal, lane, now_ns, own)
    if st.head.n_models > 1:
        for i in range(n_sums(st.model[model].d)):
            sums[i] += own[i]
        relate(st, model, signal, lane, n, n_pool, pool_mean, sums)
    prior_of(st, model, signal, lane, n_pool, pool_mean, &p.offset[signal], &prior)
    posterior_of(own, n, &prior, st.model[model].d, &post)
    write_served(st, model, signal, lane, &post, own, n, now_ns)
    p.served_ns = now_ns
    p.heard = st.head.n_told
    p.pending[signal] = 0


cdef inline bint is_outdated(const State* st, int model, int lane, int64_t now_ns) noexcept nogil:
    """The served copy is older than tau / 8, or the profile has few results and has not heard the others' news."""
    cdef const Profile* p = profile_at(st, model, lane)
    if (p.n_results > 0 or p.signal[0].total[0] > 0.0) and <double>(now_ns - p.served_ns) * 8e-9 > st.model[model].tau_s:
        return True
    return st.head.n_models > 1 and p.heard != st.head.n_told and p.signal[0].total[0] < FEW \
        and is_candidate(st, model, lane)


cdef inline void fresh_offset(
    const State* st, int model, int signal, int lane, int64_t now_ns, double pool_intercept, Offset* out
) noexcept nogil:
    """The offset from the sums as they are now, whatever was served when: for readers. Uses `st.fresh_level`.
    Cost O(models (resources d^2 + d^3))."""
    cdef double mean[MAX_D]
    cdef double sums[MAX_SUMS]
    cdef int k
    for k in range(st.head.n_models):
        pooled_mean(st, k, signal, -1, now_ns, mean, sums)
        level_model(st, k, signal, mean, levels_of(st, st.fresh_level, k, signal))
    work_out_offset(st, st.fresh_level, model, signal, lane, pool_intercept, out)
