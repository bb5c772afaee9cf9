/* P(on time) of all lanes needs a distribution function on each: Student's t in float32. */
#ifndef TAILWISE_STUDENT_H
#define TAILWISE_STUDENT_H
#include "vector.h"

/* The normal distribution function at +-a, 0 <= a < 13: Abramowitz and Stegun 7.1.28, absolute error < 4e-7 in float32
 * (the first powers without the 1, which they would round off). */
TW_INLINE tw_v tw_phi(tw_v a, tw_i above)
{
    tw_v x = 0.70710678f * a, z = x * x;
    tw_v e = 0.0705230784f * x + z * (0.0422820123f + 0.0092705272f * x)
        + z * z * (0.0001520143f + 0.0002765672f * x + 0.0000430638f * z);
    tw_v e2 = e * (e + 2.0f), p4 = e2 * (e2 + 2.0f) + 1.0f, p8 = p4 * p4, tail = tw_inv(p8 * p8 * 2.0f);
    return tw_pick(above, 1.0f - tail, tail);
}

/* P(T <= t) of Student's t, t = d / sqrt(s2): student_z of student.pxd from t^2 / dof, over one denominator where it
 * has two. A deviate above 10 is as good as certain, and so is the normal beyond 1e8 degrees of freedom: their powers
 * may not fit float32. */
TW_INLINE tw_v tw_student_p(tw_v d, tw_v s2, tw_v dof)
{
    tw_v a = tw_min(dof - 0.5f, tw_splat(1e8f)), b = 48.0f * a * a;
    tw_v y = a * tw_log1p(d * d * tw_inv(s2 * dof));
    y = tw_max(tw_min(y, tw_splat(100.0f)), tw_splat(1e-30f));
    tw_v w = y * y, under = 0.8f * w + (100.0f + b);
    tw_v over = w * (-0.4f * y - 3.3f) - (24.0f * y + 85.5f) + (y + 3.0f) * under;
    return tw_phi(tw_root(y) * (over * tw_inv(b * under) + 1.0f), d >= 0.0f);
}

#endif
