# Where a resource stands among the others, from the other models that both have run.
#
# ln(seconds) is nearly model + resource (on 1,431 vision models x 7 devices within .10 between GPUs, .24 over all). So
# each resource of the pool makes its own guess, its level plus the mean gap between the two resources on the other models,
# and the guesses are averaged by precision. One gap against the whole pool, however weighted, compares mixtures: traffic
# goes where a model is fast, so that each model's pool is another one. Median |error| of ln(seconds), the cell held out,
# six models drawn from that matrix: pool alone 1.79, one gap .136, gap by gap .094; with 40% of the cells
# missing and counts that follow speed .52 / .31 / .15.
from libc.math cimport NAN, isnan

from _core.lanes cimport next_lane
from _core.layout cimport Level, Offset, State, levels_of, profile_at, uint64_t

cdef enum:
    FEW = 8             # results from which a profile's own data outweigh any offset

# Variances of ln(seconds): 0.09 the noise of one result (the prior's beta0 / a0), 4 between resources that nobody compared.

cdef inline void level_lane(
    const State* st, int model, int signal, const double* slopes, int lane, Level* level
) noexcept nogil:
    """level[lane]: mean of y - slopes'x of one resource's own data  # OUT. slopes (d,), the first unused.

    Forgetting scales a sum and its count alike, so it does not matter as of when they are weighted. O(d).
    """
    cdef const double* total = profile_at(st, model, lane).signal[signal].total
    cdef const double* lost = profile_at(st, model, lane).signal[signal].lost
    cdef int d = st.model[model].d, b = d * (d + 1) // 2, i, k
    cdef double v
    level[lane].n = total[0] + lost[0]
    if level[lane].n <= 0.0:
        return
    v = total[b] + lost[b]
    for i in range(1, d):
        k = i * (i + 1) // 2
        v -= (total[k] + lost[k]) * slopes[i]
    level[lane].ln_s = v / level[lane].n + st.model[model].y0[signal]


cdef inline void level_pool(
    const State* st, int model, int signal, const double* slopes, const uint64_t* lanes, Level* level
) noexcept nogil:
    """level_lane of each of a bit set. Others keep the level that they had when the model's data were last looked at."""
    cdef int lane = next_lane(lanes, -1)
    while lane >= 0:
        level_lane(st, model, signal, slopes, lane, level)
        lane = next_lane(lanes, lane)


cdef inline bint alike(const State* st, int lane, int other) noexcept nogil:
    return st.load[lane].kind != 0 and st.load[lane].kind == st.load[other].kind


cdef inline double cell_var(const State* st, int lane, int other) noexcept nogil:
    """What is particular to a (resource, model) beyond model + resource: .2^2 within a device class, .45^2 across."""
    return 0.04 if alike(st, lane, other) else 0.2025


cdef inline double gap(
    const State* st, Level* table, int model, int signal, int lane, int other, double* precision
) noexcept nogil:
    """lane less other in ln(seconds), over the models that both have run, `model` aside. precision: of it  # OUT."""
    cdef const Level* a
    cdef const Level* b
    cdef double cell = cell_var(st, lane, other), w, total = 0.0, weighted = 0.0
    cdef int k
    for k in range(st.head.n_models):
        a = levels_of(st, table, k, signal) + lane
        b = levels_of(st, table, k, signal) + other
        if k != model and a.n > 0.0 and b.n > 0.0:
            w = 1.0 / (cell + 0.09 / a.n + 0.09 / b.n)
            total += w
            weighted += w * (a.ln_s - b.ln_s)
    precision[0] = total
    return weighted / (total + 0.25)


cdef inline double expected_level(
    const State* st, Level* table, int model, int signal, int lane, double* l0
) noexcept nogil:
    """Level of the lane from the model's other resources; l0: its precision in units of 1 / sigma^2  # OUT.

    Every guess has the variance cell + its own data's noise + its gap's. The best one's says how far to trust the
    average, between 4 sigma^2 (as without any comparison) and sigma^2: guesses share the lane's own cell, so that many
    are no better than the best. NaN where no other model was run on the lane and on the pool. Cost O(N_POOLED models).
    """
    cdef const Level* own = levels_of(st, table, model, signal)
    cdef double total = 0.0, weighted = 0.0, least = 0.0, precision, g, v
    cdef bint compared = False
    cdef int r = -1
    while True:
        r = next_lane(st.model[model].pool.lanes, r)
        if r < 0:
            break
        if r == lane or own[r].n <= 0.0:
            continue
        g = gap(st, table, model, signal, lane, r, &precision)
        compared |= precision > 0.0
        v = cell_var(st, lane, r) + 0.09 / own[r].n + 1.0 / (precision + 0.25)
        total += 1.0 / v
        weighted += (own[r].ln_s + g) / v
        least = v if least == 0.0 or v < least else least
    if not compared:
        return NAN
    l0[0] = max(0.25, min(1.0, 0.09 / least))
    return weighted / total


cdef inline void work_out_offset(
    const State* st, Level* table, int model, int signal, int lane, double pool_intercept, Offset* out
) noexcept nogil:
    """pool_intercept: of ln(seconds) less y0, the mean that the shift is added to."""
    cdef double level = expected_level(st, table, model, signal, lane, &out.l0)
    if isnan(level):
        out.l0 = 0.0
        out.shift = 0.0
    else:
        out.shift = level - st.model[model].y0[signal] - pool_intercept


cdef inline bint has_news(const Level* level) noexcept nogil:
    """Its evidence doubled or halved since sparse profiles last heard of it."""
    return level.n > 2.0 * level.told or level.n < 0.5 * level.told
