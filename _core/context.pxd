# One lane's row of features, columns included, and what a served copy makes of it.
from libc.math cimport isnan

from _core.layout cimport (
    LANES, LN_LIMIT, ModelInfo, ROW_COLUMN, ROW_COLUMN_MEAN, ROW_COLUMN_VAR, ROW_MEAN,
)


cdef inline void fill_row(
    const ModelInfo* info, const float* row, const double* x, const float* given, int stride, double* out, double* unsure
) noexcept nogil:
    """The lane's whole encoded row (d,): the request, the columns with unknown ones filled in, squares, products  # OUT
    row, given: the lane's entries. unsure (n_columns,): variance of what was filled in, 0 where known  # OUT"""
    cdef int i, n = info.n_request
    cdef double z
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


cdef inline double bent_location(
    const ModelInfo* info, const float* row, const double* x, const double* unsure, double* extra
) noexcept nogil:
    """mean'x within LN_LIMIT, the slope of each column bent as in score.bend. extra += slope^2 x unsure: what columns
    that were filled in add to the variance, by the slope where they stand  # OUT"""
    cdef int i, n = info.n_request
    cdef double m = 0.0, z, slope, steep, term
    for i in range(n):
        m += row[(ROW_MEAN + i) * LANES] * x[i]
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
        m += slope * z
        extra[0] += steep * steep * unsure[i]
    return max(-<double>LN_LIMIT, min(<double>LN_LIMIT, m))
