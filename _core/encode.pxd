# The one place where raw numbers become encoded ones; select and complete both read its result.
from libc.math cimport exp, fabs, isfinite, isnan, log, log1p

from _core.layout cimport (
    LANES, ModelInfo, ROW_COLUMN, SERVED_ROWS, State, int64_t, served_block,
)

cdef extern from "simd.h" nogil:
    ctypedef float v8 "tw_v8"
    v8 load8 "tw_load"(const float* p)
    void store8 "tw_store"(float* p, v8 v)
    v8 splat8 "tw_splat"(float a)
    v8 min8 "tw_min"(v8 a, v8 b)
    v8 max8 "tw_max"(v8 a, v8 b)
    v8 known8 "tw_known"(v8 v, v8 otherwise)
    v8 ln8 "tw_ln"(v8 v)
    ctypedef void cloned_void "TW_CLONES void"
    ctypedef int cloned_int "TW_CLONES int"

cdef enum EncodeError:
    ENCODED = 0
    NOT_FINITE = -1
    NOT_POSITIVE = -2
    NEGATIVE = -3


cdef inline double clip(double v, double limit, int64_t* n_clipped) noexcept nogil:
    if fabs(v) <= limit:
        return v
    n_clipped[0] += 1
    return limit if v > 0.0 else -limit


cdef inline int encode_features(
    const ModelInfo* model, const double* u, double* x, int64_t* n_clipped
) noexcept nogil:
    """x[0] = 1; per feature z = ln(u / typical), or ln(1 + u) without typical; with a knee also ln cosh z.

    u (n_features,) raw  # IN;  x (d without columns,)  # OUT, clipped at 16 and the clips counted.
    Returns ENCODED or the first error; u may then be half encoded into x, nothing else is touched.
    """
    cdef int f, k = 1
    cdef double z
    x[0] = 1.0
    for f in range(model.n_features):
        if not isfinite(u[f]):
            return NOT_FINITE
        if model.typical[f] > 0.0:
            if u[f] <= 0.0:
                return NOT_POSITIVE
            z = log(u[f] / model.typical[f])
        else:
            if u[f] < 0.0:
                return NEGATIVE
            z = log1p(u[f])
        x[k] = clip(z, 16.0, n_clipped)
        k += 1
        if model.knee[f]:
            # ln cosh z = |z| + ln((1 + e^-2|z|) / 2), which cannot overflow
            x[k] = clip(fabs(z) + log1p(exp(-2.0 * fabs(z))) - 0.6931471805599453, 16.0, n_clipped)
            k += 1
    return ENCODED


cdef inline double encode_column(double value, double scale, int64_t* n_clipped) noexcept nogil:
    """ln(1 + value / scale) clipped at 6; NaN (unknown) stays NaN."""
    if isnan(value):
        return value
    return clip(log1p(value / scale), 6.0, n_clipped)


cdef inline cloned_void encode_given(
    const double* row, double scale, int n, const float* stored, float* z
) noexcept nogil:
    """One column with a given part, all candidates: row (n,) raw; stored, the first lane's row of a served copy, in
    units of scale, is added; NULL = nothing  # IN;  z (n rounded up to LANES,) encoded  # OUT."""
    cdef float inv = <float>(1.0 / scale)
    cdef v8 one = splat8(1.0)
    cdef v8 v
    cdef int i
    for i in range(n):
        z[i] = <float>row[i]
    for i in range(n, (n + LANES - 1) // LANES * LANES):
        z[i] = 0.0
    for i in range(0, n, 8):
        v = load8(z + i) * inv
        if stored != NULL:
            v = v + load8(stored + i // LANES * SERVED_ROWS * LANES + i % LANES)
        v = min8(splat8(1e30), v)       # in this order NaN stays NaN
        # tw_ln has no NaN branch: unknown goes around it
        store8(z + i, known8(v - v, v) + min8(ln8(one + known8(v, one)), splat8(6.0)))


cdef inline cloned_int check_given(const double* row, int n) noexcept nogil:
    """Given columns are >= 0 and finite, or NaN for unknown."""
    cdef int i
    cdef bint bad = False
    for i in range(n):
        bad |= (row[i] < 0.0) | (row[i] > 1e30)
    return NEGATIVE if bad else ENCODED


cdef inline void store_column(State* st, int model, int column, int lane, double value) noexcept nogil:
    """Writes one stored column of one lane, raw value in, for both signals. What a call adds to is kept in units of
    its scale, to be encoded with the sum."""
    cdef const ModelInfo* info = st.model + model
    cdef double scale = info.column_scale[column]
    cdef int s
    if info.given_row[column] >= 0:
        value = value / scale if not value / scale > 1e30 else 1e30
    else:
        value = encode_column(value, scale, &st.head.n_clipped)
    for s in range(info.n_signals):
        served_block(st, model, s, lane // LANES)[(ROW_COLUMN + column) * LANES + lane % LANES] = <float>value
