# What a served copy predicts at one row of features: location and spread of ln(seconds).
from libc.math cimport sqrt

from _core.layout cimport LANES, LN_LIMIT, ROW_MEAN, ROW_SCALE2, State, close_copy, served_block
from _core.versions cimport kernels


cdef inline double location(const float* row, const double* x, int d) noexcept nogil:
    """m = mean'x within LN_LIMIT. row: the lane's place in its served block; x (d,) encoded, nothing unknown."""
    cdef double m = 0.0
    cdef int i
    for i in range(d):
        m += row[(ROW_MEAN + i) * LANES] * x[i]
    return max(-<double>LN_LIMIT, min(<double>LN_LIMIT, m))


cdef inline double spread(const State* st, int model, int signal, int lane, const double* x, double* m) noexcept nogil:
    """s of x (d,), nothing unknown: s^2 = scale2 (1 + |F x|^2).  m: mean'x  # OUT"""
    cdef int d = st.model[model].d
    cdef double idle, q = kernels.look(close_copy(st, model, signal, lane), x, d, d, NULL, m, &idle)
    return sqrt(served_block(st, model, signal, lane // LANES)[ROW_SCALE2 * LANES + lane % LANES] * (1.0 + q))
