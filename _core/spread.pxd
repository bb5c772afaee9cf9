# How unsure each candidate's forecast is, and its P(on time), for all of them at once: what a decision among the
# feasible needs and plain minimum completion does not.
from _core.encode cimport cloned_void, known8, load8, max8, min8, splat8, store8, v8
from _core.layout cimport (
    LANES, MAX_D, ModelInfo, ROW_COLUMN, ROW_COLUMN_MEAN, ROW_COLUMN_VAR, ROW_DOF, ROW_INV_AVAIL, ROW_MEAN, ROW_SCALE2,
    SERVED_ROWS,
)
from _core.score cimport exp8

cdef extern from "simd.h" nogil:
    v8 where_negative8 "tw_where_negative"(v8 v, v8 then, v8 otherwise)
    v8 sqrt8 "tw_sqrt"(v8 v)
    v8 log1p8 "tw_log1p"(v8 v)
    v8 expm18 "tw_expm1"(v8 v)
    v8 phi8 "tw_phi"(v8 z)
    v8 student_z8 "tw_student_z"(v8 t, v8 dof)
    v8 ln8 "tw_ln"(v8 v)


cdef inline v8 steepness(const ModelInfo* info, const float* row, const float* x, int column, v8 z) noexcept nogil:
    """The slope of m in a column where it stands, as context.bent_location has it."""
    cdef v8 slope = load8(row + (ROW_MEAN + info.n_request + column) * LANES)
    cdef v8 steep, term
    if not info.n_terms:
        return slope
    steep = slope
    if info.product[column]:
        term = splat8(x[info.factor[column]]) * load8(row + (ROW_MEAN + info.product[column]) * LANES)
        slope = slope + term
        steep = steep + term
    if info.square[column]:
        term = z * load8(row + (ROW_MEAN + info.square[column]) * LANES)
        slope = slope + term
        steep = steep + term + term
    return where_negative8(slope, splat8(0.0), steep) if info.is_load[info.n_request + column] else steep


cdef inline cloned_void spread_blocks(
    const ModelInfo* info, const float* served, const float* given, const float* x, int n_blocks, int stride,
    float* var, float* model_var,
) noexcept nogil:
    """s^2 of ln(service) = scale2 (1 + |F x|^2) + what unknown columns add, and scale2 |F x|^2 alone: the part that
    more results would take away.

    Shapes as in score_blocks  # IN;  var, model_var (n_blocks LANES,)  # OUT. Cost d^2 / 2 multiply-adds a candidate.
    """
    cdef const float* row
    cdef const float* column
    cdef v8[MAX_D] z
    cdef v8 v, q, slope, extra, scale2
    cdef int half, i, j, k, n = info.n_request
    for half in range(2 * n_blocks):
        row = served + (half // 2) * SERVED_ROWS * LANES + 8 * (half % 2)
        extra = splat8(0.0)
        for i in range(n):
            z[i] = splat8(x[i])
        for i in range(info.n_columns):
            column = row + (ROW_COLUMN + i) * LANES if info.given_row[i] < 0 else given + i * stride + half * 8
            v = load8(column)
            z[n + i] = known8(v, load8(row + (ROW_COLUMN_MEAN + i) * LANES))
            slope = steepness(info, row, x, i, z[n + i])
            extra = extra + known8(v - v, slope * slope * load8(row + (ROW_COLUMN_VAR + i) * LANES))
            if info.square[i]:
                z[info.square[i]] = z[n + i] * z[n + i]
            if info.product[i]:
                z[info.product[i]] = z[n + i] * splat8(x[info.factor[i]])
        q = splat8(0.0)
        k = ROW_MEAN + info.d
        for i in range(info.d):
            v = splat8(0.0)
            for j in range(i + 1):
                v = v + load8(row + (k + j) * LANES) * z[j]
            k += i + 1
            q = q + v * v
        scale2 = load8(row + ROW_SCALE2 * LANES)
        store8(model_var + half * 8, scale2 * q)
        store8(var + half * 8, scale2 + scale2 * q + extra)


cdef inline cloned_void on_time_blocks(
    const float* served, const float* service, const float* waiting, const float* wait_sd, const float* var,
    float ln_left, int n_blocks, float* mean_s, float* on_time,
) noexcept nogil:
    """E[service] and raw P(on time) of every candidate: forecast_total in float32, no branch, no call.

    served [n_blocks, SERVED_ROWS, LANES]; service (median), waiting, wait_sd seconds, var of ln(service), each
    (n_blocks LANES,); ln_left: ln(seconds to the deadline)  # IN;  mean_s, on_time (n_blocks LANES,)  # OUT.
    """
    cdef const float* row
    cdef v8 s2, mean, total, part, spread, t
    cdef int half
    for half in range(2 * n_blocks):
        row = served + (half // 2) * SERVED_ROWS * LANES + 8 * (half % 2)
        s2 = min8(load8(var + half * 8), splat8(1.0))
        mean = load8(service + half * 8) * exp8(splat8(0.5) * s2)
        total = load8(waiting + half * 8) + mean
        part = mean / total         # shares of the total first: squares of seconds may not fit float32
        spread = load8(wait_sd + half * 8) / total
        s2 = log1p8(part * part * expm18(s2) + spread * spread)
        s2 = max8(s2, splat8(<float>1e-12))
        t = (splat8(ln_left) - ln8(total) + splat8(0.5) * s2) / sqrt8(s2)
        store8(mean_s + half * 8, mean)
        store8(on_time + half * 8, phi8(student_z8(t, load8(row + ROW_DOF * LANES))) / load8(row + ROW_INV_AVAIL * LANES))
