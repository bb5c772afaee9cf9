# Bayesian linear regression with unknown noise (normal-inverse-gamma) as data-only sums; the prior is
# added when reading. Row-packed lower triangles: element (i, j <= i) at i (i + 1) / 2 + j.
from libc.math cimport exp, sqrt

from _core.layout cimport Evidence, MAX_SUMS
from _core.versions cimport kernels

cdef extern from *:
    """
    /* sums += factor (total + lost), of what does not overlap: vectors, then */
    static inline void tw_add_scaled(
        double *restrict sums, const double *restrict total, const double *restrict lost, double factor, int n)
    {
        for (int i = 0; i < n; i++)
            sums[i] += factor * (total[i] + lost[i]);
    }
    """
    void add_scaled "tw_add_scaled"(double* sums, const double* total, const double* lost, double factor, int n) nogil


cdef inline int n_sums(int d) noexcept nogil:
    return d * (d + 1) // 2 + d + 1


cdef inline double kept_of(double n, double aged) noexcept nogil:
    """Weight factor of n results whose age alone would leave `aged` of them: the clock never takes n below 8."""
    if n <= 8.0:
        return 1.0
    return aged if n * aged > 8.0 else 8.0 / n


cdef inline double kept(double n, double age_s, double tau_s) noexcept nogil:
    """Weight factor after age_s: exp(-age / tau), with that floor."""
    return kept_of(n, exp(-age_s / tau_s)) if age_s > 0.0 and n > 8.0 else 1.0


cdef inline void observe(Evidence* e, const double* x, int d, double y, double var) noexcept nogil:
    """A += x x', b += x y, c += y^2 + var (of a y that is only expected), as compensated sums. x (d,) is readable up to
    PADDED_D."""
    kernels.observe(e.total, e.lost, x, d, y, y * y + var)


cdef inline void merge_sums(Evidence* e, const double* sums, int d, double shift) noexcept nogil:
    """e += sums whose y were centred elsewhere: theirs + shift = ours. Compensated as observe.
    With y' = y + h: b' = b + h a0, c' = c + 2 h b0 + h^2 n, where a0 is the first column of A and n its corner."""
    cdef double[MAX_SUMS] row
    cdef const double* b = sums + d * (d + 1) // 2
    cdef double total, back
    cdef int i, at = d * (d + 1) // 2
    for i in range(at):
        row[i] = sums[i]
    for i in range(d):
        row[at + i] = b[i] + shift * sums[i * (i + 1) // 2]
    row[at + d] = b[d] + 2.0 * shift * b[0] + shift * shift * sums[0]
    for i in range(at + d + 1):
        total = e.total[i] + row[i]
        back = total - e.total[i]
        e.lost[i] += (e.total[i] - (total - back)) + (row[i] - back)
        e.total[i] = total


cdef inline void fade(Evidence* e, int d, double factor) noexcept nogil:
    kernels.fade(e.total, e.lost, factor, n_sums(d))


cdef inline void add_sums(const Evidence* e, int d, double factor, double* sums) noexcept nogil:
    """sums += factor * evidence: how profiles pool and shards merge."""
    add_scaled(sums, e.total, e.lost, factor, n_sums(d))


cdef inline void factorise(const double* sums, const double* l0, int d, double* c) noexcept nogil:
    """Cholesky of L = diag(l0) + A:  c c' = L, c packed lower  # OUT.

    A is a sum of squares, so every pivot of L is >= min l0 in exact arithmetic; rounding is held to that.
    """
    cdef int i, j, k
    cdef double v, least = l0[0]
    for i in range(1, d):
        if l0[i] < least:
            least = l0[i]
    for i in range(d):
        for j in range(i + 1):
            v = sums[i * (i + 1) // 2 + j]
            if i == j:
                v += l0[i]
            for k in range(j):
                v -= c[i * (i + 1) // 2 + k] * c[j * (j + 1) // 2 + k]
            if i == j:
                c[i * (i + 1) // 2 + i] = sqrt(v if v > least else least)
            else:
                c[i * (i + 1) // 2 + j] = v / c[j * (j + 1) // 2 + j]


cdef inline void solve_mean(
    const double* sums, const double* l0, const double* mu0, const double* c, int d, double* mean
) noexcept nogil:
    """mean = L^-1 (L0 mu0 + b) by two triangular solves with the factor c."""
    cdef const double* b = sums + d * (d + 1) // 2
    cdef int i, k
    for i in range(d):
        mean[i] = l0[i] * mu0[i] + b[i]
        for k in range(i):
            mean[i] -= c[i * (i + 1) // 2 + k] * mean[k]
        mean[i] /= c[i * (i + 1) // 2 + i]
    for i in range(d - 1, -1, -1):
        for k in range(i + 1, d):
            mean[i] -= c[k * (k + 1) // 2 + i] * mean[k]
        mean[i] /= c[i * (i + 1) // 2 + i]


cdef inline void invert(const double* c, int d, double* f) noexcept nogil:
    """f = c^-1, packed lower  # OUT: then x' L^-1 x = |f x|^2, which no rounding makes negative."""
    cdef int i, j, k
    cdef double v
    for i in range(d):
        f[i * (i + 1) // 2 + i] = 1.0 / c[i * (i + 1) // 2 + i]
        for j in range(i):
            v = 0.0
            for k in range(j, i):
                v -= c[i * (i + 1) // 2 + k] * f[k * (k + 1) // 2 + j]
            f[i * (i + 1) // 2 + j] = v * f[i * (i + 1) // 2 + i]


cdef inline double noise(
    const double* sums, const double* l0, const double* mu0, const double* mean, int d, double beta0
) noexcept nogil:
    """beta = beta0 + (c + mu0'L0 mu0 - mu'L mu) / 2, never below beta0."""
    cdef const double* b = sums + d * (d + 1) // 2
    cdef double q = b[d]
    cdef int i
    for i in range(d):
        q += l0[i] * mu0[i] * mu0[i] - mean[i] * (l0[i] * mu0[i] + b[i])
    return beta0 + (0.5 * q if q > 0.0 else 0.0)
