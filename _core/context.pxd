# One lane's row of features, columns included, and what a served copy makes of it.
from libc.math cimport isnan, sqrt

from _core.layout cimport (
    LANES, LN_LIMIT, ModelInfo, PADDED_D, ROW_COLUMN, ROW_COLUMN_MEAN, ROW_COLUMN_VAR, ROW_MEAN, ROW_SCALE2, State, close_copy,
    served_block,
)
from _core.versions cimport kernels


cdef inline void fill_row(
    const ModelInfo* info, const float* row, const double* x, const float* given, int stride, double* out, double* unsure
) noexcept nogil:
    """The lane's whole encoded row (PADDED_D,): the request, the columns with unknown ones filled in, squares, products,
    zeros  # OUT
    row, given: the lane's entries. unsure (n_columns,): variance of what was filled in, 0 where known  # OUT"""
    cdef int i, n = info.n_request
    cdef double z
    for i in range(info.d, PADDED_D):
        out[i] = 0.0
    for i in range(n):
        out[i] = x[i]
    for i in range(info.n_columns):
        z = row[(ROW_COLUMN + i) * LANES] if info.given_row[i] < 0 else given[i * stride]
        unsure[i] = 0.0
        if isnan(z):
            z = row[(ROW_COLUMN_MEAN + i) * LANES]
            unsure[i] = row[(ROW_COLUMN_VAR + i) * LANES]
        out[n + i] = z
        if info.square[i]:
            out[info.square[i]] = z * z
        if info.product[i]:
            out[info.product[i]] = z * x[info.factor[i]]


cdef inline bint is_loaded(const ModelInfo* info) noexcept nogil:
    """Whether one of the model's columns is of load."""
    cdef int i
    for i in range(info.n_request, info.n_request + info.n_columns):
        if info.is_load[i]:
            return True
    return False


cdef inline double held(double m) noexcept nogil:
    return max(-<double>LN_LIMIT, min(<double>LN_LIMIT, m))


cdef inline void place(
    const State* st, int model, int signal, int lane, const double* x, const double* unsure, double* m, double* s,
    double* idle_s
) noexcept nogil:
    """Of a row as fill_row left it  # IN: m = mean'x within LN_LIMIT, the slope of each column bent as in kernels.h; s with
    s^2 = scale2 (1 + |F x|^2) + slope^2 x unsure: what columns that were filled in add, by the slope where they stand;
    and s as if the lane had no load, since more of it, where it lies nearer to the data, would make a forecast surer  # OUT"""
    cdef const ModelInfo* info = st.model + model
    cdef const float* row = served_block(st, model, signal, lane // LANES) + lane % LANES
    cdef int i, n = info.n_request
    cdef bint loaded = is_loaded(info)
    cdef double q, q_idle, z, slope, steep, term, extra = 0.0
    q = kernels.look(
        close_copy(st, model, signal, lane), x, n, info.d, &info.is_load[0] if loaded else NULL, m, &q_idle)
    for i in range(info.n_columns):
        z = x[n + i]
        slope = steep = row[(ROW_MEAN + n + i) * LANES]
        if info.product[i]:
            term = row[(ROW_MEAN + info.product[i]) * LANES] * x[info.factor[i]]
            slope += term
            steep += term
        if info.square[i]:
            term = row[(ROW_MEAN + info.square[i]) * LANES] * z
            slope += term
            steep += 2.0 * term
        if info.is_load[n + i] and slope < 0.0:
            slope = steep = 0.0
        m[0] += slope * z
        extra += steep * steep * unsure[i]
    m[0] = held(m[0])
    s[0] = sqrt(row[ROW_SCALE2 * LANES] * (1.0 + q) + extra)
    idle_s[0] = sqrt(row[ROW_SCALE2 * LANES] * (1.0 + q_idle)) if loaded else s[0]
