# What a served copy predicts at one row of features: location and spread of ln(seconds).
from libc.math cimport sqrt

from _core.layout cimport LANES, LN_LIMIT, ROW_MEAN, ROW_SCALE2


cdef inline double location(const float* row, const double* x, int d) noexcept nogil:
    """m = mean'x within LN_LIMIT. row: the lane's place in its served block; x (d,) encoded, nothing unknown."""
    cdef double m = 0.0
    cdef int i
    for i in range(d):
        m += row[(ROW_MEAN + i) * LANES] * x[i]
    return max(-<double>LN_LIMIT, min(<double>LN_LIMIT, m))


cdef inline double spread(const float* row, const double* x, int d, double extra) noexcept nogil:
    """s with s^2 = scale2 (1 + |F x|^2) + extra, what unknown columns add."""
    cdef const float* factor = row + (ROW_MEAN + d) * LANES
    cdef double v, q = 0.0
    cdef int i, j, k = 0
    for i in range(d):
        v = 0.0
        for j in range(i + 1):
            v += factor[k * LANES] * x[j]
            k += 1
        q += v * v
    return sqrt(row[ROW_SCALE2 * LANES] * (1.0 + q) + extra)
