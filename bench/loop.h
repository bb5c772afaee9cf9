/* What the bare loops with one signal and with two have in common. */
#ifndef BENCH_LOOP_H
#define BENCH_LOOP_H
#include <math.h>
#include <stdint.h>

#include "vector.h"

static inline double student_cdf(double t, double dof)
{
    double a = dof - 0.5, b = 48.0 * a * a, y = a * log1p(t * t / dof);
    double z = ((((-0.4 * y - 3.3) * y - 24.0) * y - 85.5) / (0.8 * y * y + 100.0 + b) + y + 3.0) / b + 1.0;
    z *= sqrt(y);
    return 0.5 * erfc((t >= 0.0 ? -z : z) * 0.7071067811865476);
}

/* row [n] raw, NaN = unknown; given [n in whole vectors] encoded */
static inline void encode_given(const double *row, double scale, int n, float *given)
{
    tw_v one = tw_splat(1.0f);
    float inv = (float)(1.0 / scale);
    for (int l = 0; l < n; l++)
        given[l] = (float)row[l];
    for (int l = 0; l < n; l += TW_WIDTH) {
        tw_v v = tw_load(given + l);
        tw_store(given + l, (v - v) + tw_min(tw_ln(one + tw_known(v, one) * inv), tw_splat(6.0f)));
    }
}

/* Of the lanes whose cost is within 1e-4 of the least, that of fewest jobs. The package's generator, for a tie of that too,
 * is left out. cost is padded with +inf to whole vectors. */
static inline int least_loaded(const float *cost, const int32_t *n_open, int n_lanes)
{
    float lanes[TW_WIDTH], least, limit;
    int chosen = -1;
    tw_v low = tw_load(cost);
    for (int at = TW_WIDTH; at < n_lanes; at += TW_WIDTH)
        low = tw_min(tw_load(cost + at), low);
    tw_store(lanes, low);
    least = lanes[0];
    for (int i = 1; i < TW_WIDTH; i++)
        least = lanes[i] < least ? lanes[i] : least;
    limit = least + 1e-4f * least;
    for (int at = 0; at < n_lanes; at += TW_WIDTH)
        for (unsigned bits = tw_bits(tw_load(cost + at) <= limit); bits; bits &= bits - 1) {
            int l = at + __builtin_ctz(bits);
            if (chosen < 0 || n_open[l] < n_open[chosen])
                chosen = l;
        }
    return chosen;
}

#endif
