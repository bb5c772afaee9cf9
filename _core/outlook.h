/* One candidate looked at closely: as reference/forecast.py has it, in the order in which a
 * processor can overlap them. Nothing of a decision takes longer: each of its logarithms waits for the one before. */
#include <float.h>

#include "vector.h"
#include "versions.h"

/* ln of three numbers at once; on two lanes the C library's. */
TW_INLINE void ln3(double *a, double *b, double *c)
{
#if TW_WIDTH == 16
    tw_d ln = tw_ln_d((tw_d){*a, *b, *c, 1.0, 1.0, 1.0, 1.0, 1.0});
#elif TW_WIDTH == 8
    tw_d ln = tw_ln_d((tw_d){*a, *b, *c, 1.0});
#else
    double ln[3] = {log(*a), log(*b), log(*c)};
#endif
    *a = ln[0];
    *b = ln[1];
    *c = ln[2];
}

/* e^v - 1 for 0 <= v <= 1, the series to v^18 by Horner in v^2: relative error < 1e-15. */
TW_INLINE double series(double v)
{
    double w = v * v, even = 1.0 / 6402373705728000.0, odd = 1.0 / 355687428096000.0;
    static const double up[] = {
        1.0 / 20922789888000.0, 1.0 / 1307674368000.0, 1.0 / 87178291200.0, 1.0 / 6227020800.0, 1.0 / 479001600.0,
        1.0 / 39916800.0, 1.0 / 3628800.0, 1.0 / 362880.0, 1.0 / 40320.0, 1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0,
        1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0,
    };
    for (int i = 0; i < 16; i += 2) {
        even = even * w + up[i];
        odd = odd * w + up[i + 1];
    }
    return odd * v + even * w;
}

/* The normal distribution function: J. F. Hart's 5666 as G. West gives it (Wilmott Magazine, May 2005), error 1e-15. */
TW_INLINE double phi(double z)
{
    double a = fabs(z), tail;
    if (a > 37.0)
        return z > 0.0 ? 1.0 : 0.0;
    tail = exp(-0.5 * a * a);
    if (a < 7.07106781186547)
        tail *= ((((((3.52624965998911e-02 * a + 0.700383064443688) * a + 6.37396220353165) * a + 33.912866078383) * a
                   + 112.079291497871) * a + 221.213596169931) * a + 220.206867912376)
            / (((((((8.83883476483184e-02 * a + 1.75566716318264) * a + 16.064177579207) * a + 86.7807322029461) * a
                  + 296.564248779674) * a + 637.333633378831) * a + 793.826512519948) * a + 440.413735824752);
    else
        tail /= 2.506628274631 * (a + 1.0 / (a + 2.0 / (a + 3.0 / (a + 4.0 / (a + 0.65)))));
    return z > 0.0 ? 1.0 - tail : tail;
}

/* student_z of student.pxd from share = t^2 / dof, its sign aside. Divisions that only the degrees of freedom need do
 * not wait for t. */
TW_INLINE double hill(double share, double dof)
{
    double a = dof - 0.5, b = 48.0 * a * a, inv_b = 1.0 / b, w = 1.0 + share;
    double y = a * (w < DBL_MAX ? log(w) + (share - (w - 1.0)) / w : 710.0);
    double z = (((-0.4 * y - 3.3) * y - 24.0) * y - 85.5) / (0.8 * y * y + 100.0 + b);
    return ((z + y + 3.0) * inv_b + 1.0) * sqrt(y);
}

/* moment_spread in wait.pxd */
TW_INLINE double bounded(double s)
{
    s = s < 1.0 ? s : 1.0;
    return s > 1e-6 ? s : 1e-6;
}

/* Moments of the service. */
TW_INLINE void outlook_service(tw_outlook *o)
{
    double s = bounded(o->s), idle = bounded(o->idle_s), s2 = s * s, mean = exp(o->m + 0.5 * s2);
    o->mean_s = mean;
    o->idle_mean_s = o->idle_s == o->s ? mean : exp(o->m + 0.5 * idle * idle);
    o->var_s2 = mean * mean * series(s2);
}

/* m_total, s_total and u; returns s_total^2. */
TW_INLINE double outlook_total(tw_outlook *o)
{
    double s = bounded(o->s), idle = bounded(o->idle_s), total = o->wait_s + o->mean_s, spread2 = s * s;
    /* float32: neighbours lie further apart than a logarithm is wrong (claim.pxd) */
    float ratio = (float)fmin(o->left_s / (o->wait_s + o->idle_mean_s), FLT_MAX);
    double ln_total = total, ln_ratio = ratio > 0.0f ? (double)ratio : 1.0;
    if (o->wait_s > 0.0) {
        double r = (o->wait_var + o->var_s2) / (total * total), w = 1.0 + r, ln_w = w;
        ln3(&ln_total, &ln_ratio, &ln_w);
        spread2 = ln_w + (r - (w - 1.0)) / w;
        o->m_total = ln_total - 0.5 * spread2;
    } else {            /* what a completion without a wait comes to by the same formulas */
        ln_ratio = log(ln_ratio);
        o->m_total = o->m;
    }
    o->s_total = sqrt(spread2);
    o->u = ratio > 0.0f ? ln_ratio / o->idle_s + 0.5 * idle * idle / o->idle_s : -INFINITY;
    return spread2;
}

TW_INLINE double outlook_p(const tw_outlook *o, double spread2)
{
    double above = o->ln_left - o->m_total, z = hill(above * above / (spread2 * o->dof), o->dof);
    return o->left_s > 0.0 ? phi(above >= 0.0 ? z : -z) : 0.0;
}

static void outlook(tw_outlook *o)
{
    outlook_service(o);
    o->p = outlook_p(o, outlook_total(o));
}

/* Step by step, so that no job waits for the logarithms of another. */
static void outlooks(tw_outlook *o, int n)
{
    double spread2[SEVERAL];
    for (int i = 0; i < n; i++)
        outlook_service(o + i);
    for (int i = 0; i < n; i++)
        spread2[i] = outlook_total(o + i);
    for (int i = 0; i < n; i++)
        o[i].p = outlook_p(o + i, spread2[i]);
}

/* forecast_stream; returns P(ln(seconds per token) <= ln_tpot), 1 where that is +inf. */
static double stream(tw_stream *o, double first_s, double first_var, double ln_tpot)
{
    double s = bounded(o->s), length = bounded(o->tokens_s), s2 = s * s, length2 = length * length;
    double mean = exp(o->m + 0.5 * s2), tokens = exp(o->ln_tokens + 0.5 * length2);
    double var = mean * mean * series(s2), tokens_var = tokens * tokens * series(length2);
    double more = tokens > 1.0 ? tokens - 1.0 : 0.0, rest = more * mean, above = ln_tpot - o->m, z;
    o->mean_s = mean;
    o->var_s2 = var;
    o->tokens = tokens;
    o->tokens_var = tokens_var;
    o->busy_s = first_s + rest;
    o->busy_var = first_var + (more * more + tokens_var) * (var + mean * mean) - rest * rest;
    if (ln_tpot == INFINITY)
        return 1.0;
    z = hill(above * above / (o->s * o->s * o->dof), o->dof);
    return phi(above >= 0.0 ? z : -z);
}
