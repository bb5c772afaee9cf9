# Normal and Student-t probabilities, to the accuracy that a decision needs.
from libc.math cimport erfc, exp, log1p, sqrt


cdef inline double normal_cdf(double z) noexcept nogil:
    return 0.5 * erfc(-z * 0.7071067811865476)


cdef inline double normal_pdf(double z) noexcept nogil:
    return 0.3989422804014327 * exp(-0.5 * z * z)


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
