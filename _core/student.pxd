# Normal and Student-t probabilities, to the accuracy that a decision needs.
from libc.math cimport erfc, exp, log, log1p, sqrt


cdef inline double normal_cdf(double z) noexcept nogil:
    return 0.5 * erfc(-z * 0.7071067811865476)


cdef inline double normal_pdf(double z) noexcept nogil:
    return 0.3989422804014327 * exp(-0.5 * z * z)


cdef inline double normal_quantile(double p) noexcept nogil:
    """z with Phi(z) = p in (0, 1): M. J. Wichura, Algorithm AS 241 (PPND7), relative error 1e-7."""
    cdef double q = p - 0.5
    cdef double r, z
    if -0.425 <= q <= 0.425:
        r = 0.180625 - q * q
        return q * (((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179) \
            / (((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0)
    r = sqrt(-log(p if q < 0.0 else 1.0 - p))
    if r <= 5.0:
        r -= 1.6
        z = (((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777) \
            / ((0.12021132975 * r + 0.73700164250) * r + 1.0)
    else:
        r -= 5.0
        z = (((0.017337203997 * r + 0.42868294337) * r + 3.0812263860) * r + 6.6579051150) \
            / ((0.012258202635 * r + 0.24197894225) * r + 1.0)
    return z if q > 0.0 else -z


cdef inline double student_z(double t, double dof) noexcept nogil:
    """The normal deviate with the tail of t: G. W. Hill, Algorithm 395 (CACM 13, 1970), error < 2e-6 at dof >= 4."""
    cdef double a = dof - 0.5
    cdef double b = 48.0 * a * a
    cdef double y = a * log1p(t * t / dof)  # log(1 + ..) is flat near 0, where the quantile needs its slope
    cdef double z = (((((-0.4 * y - 3.3) * y - 24.0) * y - 85.5) / (0.8 * y * y + 100.0 + b) + y + 3.0) / b + 1.0)
    z *= sqrt(y)
    return z if t >= 0.0 else -z


cdef inline double student_cdf(double t, double dof) noexcept nogil:
    return normal_cdf(student_z(t, dof))


cdef inline double student_quantile(double z, double dof) noexcept nogil:
    """t with P(T <= t) = Phi(z): Newton on student_z, which is smooth and nearly linear in t."""
    cdef double t = z * (1.0 + (z * z + 1.0) / (4.0 * dof))
    cdef double step
    cdef int k
    for k in range(12):
        step = 1e-6 * (1.0 + (t if t > 0.0 else -t))
        step = (student_z(t, dof) - z) * 2.0 * step / (student_z(t + step, dof) - student_z(t - step, dof))
        t -= step
        if -1e-10 < step < 1e-10:
            break
    return t
