# The served copy: float32, structure of arrays over lanes, rebuilt from the sums and the prior.
from libc.math cimport INFINITY, sqrt
from libc.string cimport memcpy, memset

from _core.fit cimport Posterior, Prior, posterior_of, regress, vague
from _core.floor cimport floor_load_slopes
from _core.lanes cimport get_bit, is_candidate, lowest_bit
from _core.layout cimport (
    LANES, Level, MASK_WORDS, MAX_D, MAX_SUMS, ModelInfo, Offset, PADDED_D, Profile, ROW_COLUMN_MEAN, ROW_COLUMN_VAR,
    ROW_DOF, ROW_INV_AVAIL, ROW_MEAN, ROW_SCALE2, State, int64_t, close_copy, close_rows, levels_of, profile_at,
    served_block, uint64_t,
)
from _core.offset cimport FEW, has_news, level_lane, level_pool, work_out_offset
from _core.pool cimport pooled_mean, profile_age_s, read_sums
from _core.posterior cimport kept, n_sums


cdef inline void relate(
    State* st, int model, int signal, int lane, double n, double n_pool, const double* pool_mean, const double* sums
) noexcept nogil:
    """Renews the model's levels, with the slopes of all its data: sums (n_sums,)  # IN; and while the lane's own are
    few, its offset. The first of several models costs as much again as the regression; the offset O(N_POOLED models)."""
    cdef Level* level = levels_of(st, st.level, model, signal)
    cdef double mean[MAX_D]
    regress(st.model + model, signal, sums, n + n_pool, mean)
    level_pool(st, model, signal, mean, st.model[model].pool.lanes, level)
    level_lane(st, model, signal, mean, lane, level)
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
    return not get_bit(st.model[model].seen + signal * MASK_WORDS, lane)


cdef inline uint64_t unseen(const State* st, int model, int signal, int word) noexcept nogil:
    """Bits of the lanes among 64 word .. 64 word + 63 that have no time in their sums, candidates or not."""
    cdef uint64_t bits = ~st.model[model].seen[signal * MASK_WORDS + word]
    cdef int n = st.head.n_resources - 64 * word
    return bits if n >= 64 else bits & ((<uint64_t>1 << n) - 1)


cdef inline uint64_t candidates_of(const State* st, int model, int word, uint64_t lanes) noexcept nogil:
    cdef uint64_t left = lanes
    while left:
        if not is_candidate(st, model, 64 * word + lowest_bit(left)):
            lanes &= ~(left & -left)
        left &= left - 1
    return lanes


cdef inline void serve_cold(State* st, int model, int signal, int word, uint64_t cold, int64_t now_ns) noexcept nogil:
    """Hands the pooled mean to those of 64 lanes that have no result. Cost O(N_POOLED d^2), once for all."""
    cdef ModelInfo* info = st.model + model
    cdef double mean[MAX_D]
    cdef double sums[MAX_SUMS]
    cdef double zeros[MAX_SUMS]
    cdef double n
    cdef Prior prior
    cdef Posterior post
    cdef int lane, i, d = info.d
    if not cold:
        return
    n = pooled_mean(st, model, signal, -1, now_ns, mean, sums)
    memset(zeros, 0, sizeof(zeros))
    memset(&post, 0, sizeof(post))
    while cold:
        lane = 64 * word + lowest_bit(cold)
        cold &= cold - 1
        prior_of(st, model, signal, lane, n, mean, &profile_at(st, model, lane).offset[signal], &prior)
        for i in range(d):      # no data: the posterior is the prior, its factor diagonal
            post.mean[i] = prior.mu0[i]
            post.factor[i * (i + 1) // 2 + i] = 1.0 / sqrt(prior.l0[i])
        post.scale2 = prior.beta0 / prior.a0
        post.dof = 2.0 * prior.a0
        write_served(st, model, signal, lane, &post, zeros, 0.0, now_ns)


cdef inline void serve_some_cold(State* st, int model, int signal, int64_t now_ns) noexcept nogil:
    """Hands what was learned to the next 64 lanes of which one has no result. In a fleet of 4096 of which nothing is
    known all have heard of the first result after 64 rebuilds; up to 64 lanes it is all of them each time."""
    cdef int n = (st.head.n_resources + 63) >> 6, word = st.model[model].next_cold[signal], k
    cdef uint64_t lanes
    for k in range(n):
        word = word if word < n else 0
        lanes = unseen(st, model, signal, word)
        if lanes:
            serve_cold(st, model, signal, word, candidates_of(st, model, word, lanes), now_ns)
            st.model[model].next_cold[signal] = word + 1
            return
        word += 1


cdef inline void serve_all_cold(State* st, int model, int signal, int64_t now_ns) noexcept nogil:
    """Cost O(resources): for a model that is declared."""
    cdef int word
    for word in range((st.head.n_resources + 63) >> 6):
        serve_cold(
            st, model, signal, word, candidates_of(st, model, word, unseen(st, model, signal, word)), now_ns)


cdef inline void serve_newcomer(State* st, int model, int lane, int64_t now_ns) noexcept nogil:
    """What there is for a lane that has just lost or not yet found its results, at once."""
    cdef int s
    cdef uint64_t bit = <uint64_t>1 << (lane & 63)
    for s in range(st.model[model].n_signals):
        serve_cold(
            st, model, s, lane >> 6, candidates_of(st, model, lane >> 6, unseen(st, model, s, lane >> 6) & bit), now_ns)


cdef inline void serve(State* st, int model, int signal, int lane, int64_t now_ns) noexcept nogil:
    """Rebuilds one lane's served copy from its sums. Cost O(N_POOLED (d^2 + models) + d^3), however many lanes there are."""
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
    Cost O(models (N_POOLED d^2 + d^3))."""
    cdef double mean[MAX_D]
    cdef double sums[MAX_SUMS]
    cdef int k
    for k in range(st.head.n_models):
        pooled_mean(st, k, signal, -1, now_ns, mean, sums)
        level_pool(st, k, signal, mean, st.model[model].pool.lanes, levels_of(st, st.fresh_level, k, signal))
        level_lane(st, k, signal, mean, lane, levels_of(st, st.fresh_level, k, signal))
    work_out_offset(st, st.fresh_level, model, signal, lane, pool_intercept, out)
