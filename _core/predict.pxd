# What a served copy predicts at one row of features: location and spread of ln(seconds).
from libc.math cimport sqrt

from _core.layout cimport LANES, LN_LIMIT, ROW_MEAN, ROW_SCALE2, State, close_factor, close_rows, served_block
from _core.versions cimport kernels


cdef inline double location(const float* row, const double* x, int d) noexcept nogil:
    """m = mean'x within LN_LIMIT. row: the lane's place in its served block; x (d,) encoded, nothing unknown."""
    cdef double m = 0.0
    cdef int i
    for i in range(d):
        m += row[(ROW_MEAN + i) * LANES] * x[i]
    return max(-<double>LN_LIMIT, min(<double>LN_LIMIT, m))


cdef inline double spread(const State* st, int model, int signal, int lane, const double* x, double extra) noexcept nogil:
    """s with s^2 = scale2 (1 + |F x|^2) + extra, what unknown columns add."""
    cdef const float* row = served_block(st, model, signal, lane // LANES) + lane % LANES
    cdef int d = st.model[model].d
    cdef double q = kernels.quadratic(close_factor(st, model, signal, lane), close_rows(d), x, d)
    return sqrt(row[ROW_SCALE2 * LANES] * (1.0 + q) + extra)
