# More load never speeds a job up: the floor of 0 under the slopes of what measures a resource's load.
from _core.layout cimport MAX_D, ModelInfo


cdef inline double covariance_at(const double* factor, int d, int a, int k) noexcept nogil:
    """(F'F)[a, k] of the packed lower factor F."""
    cdef double v = 0.0
    cdef int i
    for i in range(a if a > k else k, d):
        v += factor[i * (i + 1) // 2 + a] * factor[i * (i + 1) // 2 + k]
    return v


cdef inline int steepest_fall(const ModelInfo* info, const double* mean) noexcept nogil:
    """The load coefficient furthest below 0, -1 = none."""
    cdef int i, found = -1
    for i in range(info.n_request, info.d):
        if info.is_load[i] and mean[i] < 0.0 and (found < 0 or mean[i] < mean[found]):
            found = i
    return found


cdef inline void floor_load_slopes(const ModelInfo* info, const double* factor, double* mean) noexcept nogil:
    """mean (d,): the posterior mean given that each load coefficient that fell below 0 is 0  # IN, OUT.

    Given, not cut: load columns rise together, and if one is credited with too much the other is debited for it;
    cutting the debit alone left the whole credit, and what the intercept owes to it. Cost O(columns d^2), none where
    no coefficient is below 0.
    """
    cdef int f = steepest_fall(info, mean), n = info.n_request, d = info.d, a, j
    cdef double[MAX_D][MAX_D] c     # columns of the covariance, less what the floored ones explain
    cdef double[MAX_D] least        # a variance that rounding alone may have left
    cdef double share
    if f < 0:
        return
    for j in range(n, d):
        for a in range(d):
            c[j][a] = covariance_at(factor, d, a, j)
        least[j] = 1e-9 * c[j][j]
    while f >= 0:
        share = mean[f] / c[f][f] if c[f][f] > least[f] else 0.0
        for a in range(d):
            mean[a] -= c[f][a] * share
        for j in range(n, d):
            if j != f and c[f][f] > least[f]:
                share = c[j][f] / c[f][f]
                for a in range(d):
                    c[j][a] -= c[f][a] * share
            if j != f:
                c[j][f] = 0.0
        for a in range(d):
            c[f][a] = 1.0 if a == f else 0.0    # known: it moves with nothing any more
        mean[f] = 0.0
        f = steepest_fall(info, mean)
