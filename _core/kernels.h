/* The arithmetic over all candidates of a decision, at one vector width: the file that includes it sets TW_WIDTH and
 * TW_VERSION and is compiled for one instruction set (avx2.c, avx512.c, plain.c). What each must answer is in
 * _core/reference; tests run over every version that the processor has. */
#include <float.h>

#include "choose.h"
#include "columns.h"
#include "on_time.h"
#include "outlook.h"
#include "sums.h"
#include "vector.h"
#include "versions.h"

/* x[0] = 1; per feature z = ln(u / typical), or ln(1 + u) without typical; with a knee also ln cosh z. */
static int encode(const tw_features *features, const double *u, double *x, int64_t *n_clipped)
{
    double z[PADDED_D];
    const tw_d none = tw_splat_d(0.0), one = tw_splat_d(1.0), limit = tw_splat_d(16.0);
    tw_l bad = {0}, over = {0};
    for (int i = 0; i < features->n; i += TW_DOUBLES) {
        tw_d v = tw_gather_d(u + i), w = v, lost = none;
        if (features->n_plain) {
            tw_l plain = (tw_l)tw_load_d((const double *)(features->plain + i));
            w = v + tw_pick_d(plain, one, none);
            lost = tw_pick_d(plain, (v - (w - 1.0)) / w, none);     /* what 1 + u rounds away */
        }
        bad |= ~((w > none) & (v >= none) & (v <= DBL_MAX));
        w = tw_pick_d(w > DBL_MIN, w, tw_splat_d(DBL_MIN));         /* clipped in any case */
        tw_d ln = tw_ln_d(w) - tw_load_d(features->ln_typical + i) + lost;
        over |= (ln > limit) | (-ln > limit);
        tw_store_d(z + i, ln);
    }
    if (tw_any_d(bad))
        return 0;
    x[0] = 1.0;
    if (!features->n_knees && !tw_any_d(over)) {
        for (int i = 0; i < features->n; i++)
            x[1 + i] = z[i];
        return 1;
    }
    for (int i = 0, k = 1; i < features->n; i++) {
        x[k++] = tw_clip(z[i], 16.0, n_clipped);
        if (features->knee[i])
            /* ln cosh z = |z| + ln((1 + e^-2|z|) / 2), which cannot overflow */
            x[k++] = tw_clip(fabs(z[i]) + log1p(exp(-2.0 * fabs(z[i]))) - 0.6931471805599453, 16.0, n_clipped);
    }
    return 1;
}

/* Seconds until a job of the level starts, TW_WIDTH / 2 lanes from l on. */
TW_INLINE tw_d wait_at(const tw_wait_block *wait, const double *ahead, double now_s, int l)
{
    const tw_d none = tw_splat_d(0.0);
    tw_d since = now_s - tw_load_d(wait->since_s + l);
    tw_d left = tw_load_d(wait->residual_s + l) + tw_load_d(wait->slope + l) * tw_max_d(since, none);
    return (tw_max_d(left, none) + tw_load_d(ahead + l)) * tw_load_d(wait->inv_slots + l);
}

/* The same of TW_WIDTH lanes, as float32. */
TW_INLINE tw_v waits_at(const tw_wait_block *wait, int level, double now_s, int l)
{
    const double *ahead = wait->ahead_s + level * LANES;
    return tw_narrow(wait_at(wait, ahead, now_s, l), wait_at(wait, ahead, now_s, l + TW_DOUBLES));
}

/* Seconds of all jobs, ten times as many where it is not going to be in time: cost_of of score.pxd. */
TW_INLINE tw_v cost_at(const tw_stake *stake, const float *row, const float *crowd, tw_v w, tw_v s)
{
    tw_v seconds = w + s * (1.0f + stake->patience * tw_load(crowd));
    seconds = tw_pick(w + 2.0f * s > stake->left_s, 10.0f * seconds, seconds);
    return seconds * tw_load(row + ROW_INV_AVAIL * LANES) + tw_load(row + ROW_OFFSET * LANES);
}

/* mean'x of the request's entries, TW_WIDTH lanes from l on, for each of `n` requests: the lanes' numbers are loaded once
 * for all of them. n is a constant where it is inlined. */
TW_INLINE void locations(const tw_candidates *c, const float *row, float (*x)[MAX_D], int n, tw_v *m)
{
    tw_v even[SEVERAL];
    int k = 1;
    for (int r = 0; r < n; r++) {
        m[r] = tw_load(row + ROW_MEAN * LANES);
        even[r] = tw_splat(0.0f);
    }
    for (; k + 1 < c->n_request; k += 2) {      /* two sums, since one alone would wait for itself */
        tw_v slope = tw_load(row + (ROW_MEAN + k) * LANES), next = tw_load(row + (ROW_MEAN + k + 1) * LANES);
        for (int r = 0; r < n; r++) {
            m[r] = m[r] + tw_splat(x[r][k]) * slope;
            even[r] = even[r] + tw_splat(x[r][k + 1]) * next;
        }
    }
    for (int r = 0; r < n; r++) {
        if (k < c->n_request)
            m[r] = m[r] + tw_splat(x[r][k]) * tw_load(row + (ROW_MEAN + k) * LANES);
        m[r] = m[r] + even[r];
    }
}

/* Median service exp(m), wait W and cost of every candidate. */
static void score(const tw_candidates *c, const tw_stake *stake, const tw_wait_block *wait, double now_s,
                  float *service, float *waiting, float *cost)
{
    float x[1][MAX_D];
    tw_floats(c->x, c->n_request, x[0]);
    for (int at = 0; at < c->n_lanes; at += TW_WIDTH) {
        int h = at % LANES;
        const float *row = c->served + at / LANES * SERVED_ROWS * LANES + h;
        const tw_wait_block *block = wait + at / LANES;
        tw_v w = waits_at(block, stake->level, now_s, h), m, raw;
        locations(c, row, x, 1, &m);
        for (int i = 0; i < c->n_columns; i++) {
            tw_v z = column_at(c, row, i, at, &raw);
            tw_v slope = tw_load(row + (ROW_MEAN + c->n_request + i) * LANES);
            m = m + z * (c->n_terms ? bend(c, row, i, z, slope) : slope);
        }
        tw_v s = tw_exp(m);
        tw_store(waiting + at, w);
        tw_store(service + at, s);
        tw_store(cost + at, cost_at(stake, row, block->crowd + h, w, s));
    }
}

/* Costs of candidates whose bit is set as if they took service_s where they take longer. */
static void favour(const tw_candidates *c, const tw_stake *stake, const tw_wait_block *wait, const uint64_t *words,
                   float service_s, const float *service, const float *waiting, float *cost)
{
    for (int at = 0; at < c->n_lanes; at += TW_WIDTH) {
        const float *row = c->served + at / LANES * SERVED_ROWS * LANES + at % LANES;
        tw_v s = tw_splat(service_s), old = tw_load(cost + at);
        tw_i yes = chosen_at(words, at) & (s < tw_load(service + at)) & (old < INFINITY);
        tw_v new = cost_at(stake, row, wait[at / LANES].crowd + at % LANES, tw_load(waiting + at), s);
        tw_store(cost + at, tw_pick(yes, new, old));
    }
}

/* The nearest lane of each request, by the costs that score, mask and tied would find. */
static void nearest(const tw_candidates *c, int n, const tw_stake *stake, const tw_wait_block *wait, double now_s,
                    const uint64_t *words, float *cost, int *lane)
{
    enum { ROWS = 4 };      /* as many at once as there are registers for */
    float x[SEVERAL][MAX_D];
    tw_v low[SEVERAL];
    for (int r = 0; r < SEVERAL; r++) {
        low[r] = tw_splat(INFINITY);
        tw_floats(c->x + (r < n ? r : n - 1) * MAX_D, c->n_request, x[r]);
    }
    for (int at = 0; at < c->n_lanes; at += TW_WIDTH) {
        int h = at % LANES;
        const float *row = c->served + at / LANES * SERVED_ROWS * LANES + h;
        const tw_wait_block *block = wait + at / LANES;
        tw_v w = waits_at(block, stake->level, now_s, h);
        for (int from = 0; from < n; from += ROWS) {
            tw_v m[ROWS];
            locations(c, row, x + from, ROWS, m);
            for (int i = 0; i < ROWS; i++) {
                tw_v v = cost_at(stake + from + i, row, block->crowd + h, w, tw_exp(m[i]));
                if (words)
                    v = tw_pick(chosen_at(words, at), v, tw_splat(INFINITY));
                low[from + i] = tw_min(v, low[from + i]);
                tw_store(cost + (from + i) * c->stride + at, v);
            }
        }
    }
    for (int r = 0; r < n; r++)
        lane[r] = only_least(cost + r * c->stride, tw_least(low[r]), c->n_lanes);
}

/* TW_WIDTH entries of a column with a given part: ln(1 + (row / scale + stored)), clipped at 6, NaN where unknown. least and
 * most pass over NaN. */
TW_INLINE tw_v given_at(const double *row, float inv, const float *stored, tw_d *least, tw_d *most)
{
    tw_d low = tw_load_d(row), high = tw_load_d(row + TW_DOUBLES);
    tw_v v = tw_narrow(low, high) * inv;
    *least = tw_min_d(high, tw_min_d(low, *least));
    *most = tw_max_d(high, tw_max_d(low, *most));
    if (stored)
        v = v + tw_load(stored);
    /* tw_ln has no NaN branch: unknown goes around it. Of +inf it makes 88 */
    return tw_pick(v == v, tw_min(tw_ln(1.0f + v), tw_splat(6.0f)), v);
}

static int encode_given(const double *row, double scale, int n, const float *stored, float *z)
{
    float inv = (float)(1.0 / scale);
    tw_d least = tw_splat_d(0.0), most = least;
    int i = 0;
    for (; i + TW_WIDTH <= n; i += TW_WIDTH)
        tw_store(z + i, given_at(row + i, inv, stored ? stored + i / LANES * SERVED_ROWS * LANES + i % LANES : 0, &least, &most));
    if (i < n) {        /* the row ends where it ends */
        double rest[TW_WIDTH] = {0};
        memcpy(rest, row + i, (size_t)(n - i) * sizeof *row);
        tw_store(z + i, given_at(rest, inv, stored ? stored + i / LANES * SERVED_ROWS * LANES + i % LANES : 0, &least, &most));
    }
    return !tw_any_d((least < 0.0) | (most > 1e30));
}

/* |F x|^2, and the same without the entries of x that are load. `rows` is a constant where it is inlined: loops whose
 * ends are known are laid out flat, and F and x are zero where d ends before them. */
TW_INLINE double quadratic(const float *factor, int rows, const double *x, const int32_t *is_load, double *idle)
{
    int n = rows < MAX_D ? rows : MAX_D;
    double idle_x[MAX_D];
    tw_d whole = tw_splat_d(0.0), part = whole;
    if (is_load)
        for (int j = 0; j < n; j++)
            idle_x[j] = is_load[j] ? 0.0 : x[j];
    for (int i = 0; i < rows; i += TW_DOUBLES) {
        tw_d v = tw_splat_d(0.0), odd = v, w = v;       /* two sums, since one alone would wait for itself */
        for (int j = 0; j < n && j < i + TW_DOUBLES; j++) {
            tw_d column = tw_widen(factor + j * rows + i);
            if (j % 2)
                odd = odd + column * x[j];
            else
                v = v + column * x[j];
            if (is_load)
                w = w + column * idle_x[j];
        }
        v = v + odd;
        whole = whole + v * v;
        part = part + w * w;
    }
    *idle = is_load ? tw_sum_d(part) : tw_sum_d(whole);
    return tw_sum_d(whole);
}

/* mean'x over the first n entries, and quadratic, of one lane. */
static double look(const float *close, const double *x, int n, int d, const int32_t *is_load, double *location, double *idle)
{
    const float *factor = close + PADDED_D;
    double even = 0.0, odd = 0.0;
    int i = 0;
    for (; i + 1 < n; i += 2) {
        even += close[i] * x[i];
        odd += close[i + 1] * x[i + 1];
    }
    *location = even + odd + (i < n ? close[i] * x[i] : 0.0);
    if (d <= 8)
        return is_load ? quadratic(factor, 8, x, is_load, idle) : quadratic(factor, 8, x, 0, idle);
    return is_load ? quadratic(factor, PADDED_D, x, is_load, idle) : quadratic(factor, PADDED_D, x, 0, idle);
}

const tw_kernels TW_VERSION = {
    encode, encode_given, score, mask, fastest, favour, narrow, narrow_to_least, least, tied, nearest, on_time, look, outlook,
    outlooks, stream, observe, fade,
};
