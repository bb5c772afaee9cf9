/* The arithmetic of one decision with two signals and nothing else, as bare.c has it for one: of every lane the rank by
 * the time to the first token, P(first token in time), P(the pace holds), both together; the least rank of the lanes
 * where that is likely enough; and that lane once more in double. */
#include <math.h>
#include <stdint.h>
#include <time.h>
#include "loop.h"
#include "student.h"
#include "vector.h"

enum { LANES = 16, MAX_D = 12, MAX_LANES = 4096 };

typedef struct {
    int n_lanes, n_blocks, d, n_columns; /* d counts the intercept and the columns, of which the last one is given */
    const float *mean[2];       /* of each signal [n_blocks, d, LANES] */
    const float *factor[2];     /* [n_blocks, d (d + 1) / 2, LANES] */
    const float *scale2[2], *dof[2], *inv_availability[2]; /* [n_blocks LANES] */
    const float *column_mean[2], *column_var[2];           /* [n_columns, n_blocks LANES] */
    const float *columns;       /* [n_columns - 1, n_blocks LANES] stored, encoded */
    const float *crowd;         /* [n_blocks LANES] */
    const double *residual_s, *slope, *since_s, *ahead_s, *inv_slots, *wait_var; /* [n_blocks LANES] */
    const double *promised_s;   /* [n_blocks LANES] least seconds per token promised to an open job; +inf = none */
    const double *typical;      /* [d - 1 - n_columns] */
    const int32_t *n_open;      /* [n_lanes] */
    double given_scale, ttft_s, tpot_s, on_time, patience;
} Decision;

static float given[MAX_LANES], service[MAX_LANES], waiting[MAX_LANES], cost[MAX_LANES], pick[MAX_LANES];
static float wait_sd[MAX_LANES], none[MAX_LANES], var[MAX_LANES], pace[MAX_LANES];
static float likely[MAX_LANES], holds[MAX_LANES];

static const float *column_of(const Decision *D, int i)
{
    return i < D->n_columns - 1 ? D->columns + i * D->n_blocks * LANES : given;
}

/* median = exp(mean'x), and s^2 of ln: scale2 (1 + |F x|^2) + what unknown columns add. */
static void weigh(const Decision *D, int signal, const float *x, float *median, float *spread2)
{
    int d = D->d, n_request = d - D->n_columns, stride = D->n_blocks * LANES;
    for (int at = 0; at < D->n_blocks * LANES; at += TW_WIDTH) {
        int b = at / LANES, in = at % LANES;
        const float *mean = D->mean[signal] + b * d * LANES + in;
        const float *factor = D->factor[signal] + b * d * (d + 1) / 2 * LANES + in;
        tw_v z[MAX_D], m = tw_load(mean), q = tw_splat(0.0f), extra = tw_splat(0.0f);
        z[0] = tw_splat(1.0f);
        for (int i = 1; i < n_request; i++)
            z[i] = tw_splat(x[i]);
        for (int i = 0; i < D->n_columns; i++) {
            tw_v v = tw_load(column_of(D, i) + at), slope = tw_load(mean + (n_request + i) * LANES);
            z[n_request + i] = tw_known(v, tw_load(D->column_mean[signal] + i * stride + at));
            extra += tw_known(v - v, slope * slope * tw_load(D->column_var[signal] + i * stride + at));
        }
        for (int i = 1; i < d; i++)
            m += z[i] * tw_load(mean + i * LANES);
        for (int i = 0; i < d; i++) {
            tw_v v = tw_splat(0.0f);
            for (int j = 0; j <= i; j++, factor += LANES)
                v += tw_load(factor) * z[j];
            q += v * v;
        }
        tw_v scale2 = tw_load(D->scale2[signal] + at);
        tw_store(median + at, tw_exp(m));
        tw_store(spread2 + at, scale2 + scale2 * q + extra);
    }
}

static void rank(const Decision *D, double now_s)
{
    float left_s = (float)D->ttft_s, patience = (float)D->patience;
    for (int l = 0; l < D->n_blocks * LANES; l++) {
        double left = D->residual_s[l] + D->slope[l] * (now_s - D->since_s[l]);
        float wait = (float)(((left > 0.0 ? left : 0.0) + D->ahead_s[l]) * D->inv_slots[l]);
        float seconds = wait + service[l] * (1.0f + patience * D->crowd[l]);
        waiting[l] = wait;
        wait_sd[l] = wait > 0.0f ? (float)sqrt(D->wait_var[l]) : 0.0f;
        seconds = wait + 2.0f * service[l] > left_s ? 10.0f * seconds : seconds;
        cost[l] = seconds * D->inv_availability[0][l];
    }
}

/* P(wait + a time of this median and spread <= the bound) x availability. */
static void chance(
    const Decision *D, int signal, const float *median, const float *wait, const float *sd, float ln_bound, float *p)
{
    for (int at = 0; at < D->n_blocks * LANES; at += TW_WIDTH) {
        tw_v s2 = tw_min(tw_load(var + at), tw_splat(1.0f));
        tw_v mean = tw_load(median + at) * tw_exp(0.5f * s2);
        tw_v total = tw_load(wait + at) + mean, part = mean / total, spread = tw_load(sd + at) / total;
        s2 = tw_max(tw_log1p(part * part * tw_expm1(s2) + spread * spread), tw_splat(1e-12f));
        tw_v on_time = tw_student_p(ln_bound - tw_ln(total) + 0.5f * s2, s2, tw_load(D->dof[signal] + at));
        tw_store(p + at, on_time / tw_load(D->inv_availability[signal] + at));
    }
}

/* P(wait + the signal's time <= bound_s) of one lane, in double; extra as in weigh. */
static double closely(
    const Decision *D, int signal, int lane, const double *x, double wait_s, double wait_var, double bound_s)
{
    int d = D->d, b = lane / LANES, l = lane % LANES, stride = D->n_blocks * LANES, n_request = d - D->n_columns;
    const float *mean = D->mean[signal] + b * d * LANES + l;
    const float *factor = D->factor[signal] + b * d * (d + 1) / 2 * LANES + l;
    double z[MAX_D], m = 0.0, q = 0.0, extra = 0.0;
    for (int i = 0; i < d; i++) {
        z[i] = i < n_request ? x[i] : column_of(D, i - n_request)[lane];
        if (isnan(z[i])) {
            int at = (i - n_request) * stride + lane;
            z[i] = D->column_mean[signal][at];
            extra += (double)mean[i * LANES] * mean[i * LANES] * D->column_var[signal][at];
        }
        m += z[i] * mean[i * LANES];
    }
    for (int i = 0; i < d; i++) {
        double v = 0.0;
        for (int j = 0; j <= i; j++, factor += LANES)
            v += *factor * z[j];
        q += v * v;
    }
    double s = sqrt(D->scale2[signal][lane] * (1.0 + q) + extra), bounded = s > 1.0 ? 1.0 : s;
    double time = exp(m + 0.5 * bounded * bounded), total = wait_s + time;
    double s2 = log1p((wait_var + time * time * expm1(bounded * bounded)) / (total * total));
    return student_cdf((log(bound_s) - log(total) + 0.5 * s2) / sqrt(s2), D->dof[signal][lane]);
}

/* One decision. Returns the lane; p_on_time: that both bounds hold there. */
int streams_decide(const Decision *D, const double *u, const double *given_row, double now_s, double *p_on_time)
{
    double x[MAX_D] = {1.0};
    float x32[MAX_D] = {1.0f};
    int n_request = D->d - D->n_columns, n_left = 0;
    for (int i = 1; i < n_request; i++)
        x32[i] = (float)(x[i] = log(u[i - 1] / D->typical[i - 1]));
    encode_given(given_row, D->given_scale, D->n_lanes, given);
    weigh(D, 0, x32, service, var);
    rank(D, now_s);
    chance(D, 0, service, waiting, wait_sd, (float)log(D->ttft_s), likely);
    weigh(D, 1, x32, pace, var);
    for (int l = 0; l < D->n_lanes; l++)
        pace[l] /= (float)(D->promised_s[l] < D->tpot_s ? D->promised_s[l] : D->tpot_s);
    chance(D, 1, pace, none, none, 0.0f, holds);
    for (int l = 0; l < D->n_lanes; l++) {
        float missed = (1.0f - holds[l] * D->inv_availability[1][l]) / D->inv_availability[0][l];
        likely[l] = likely[l] > missed ? likely[l] - missed : 0.0f;
        n_left += likely[l] >= (float)(D->on_time - 1e-4);
    }
    for (int l = 0; l < D->n_blocks * LANES; l++)
        pick[l] = l < D->n_lanes && (!n_left || likely[l] >= (float)(D->on_time - 1e-4)) ? cost[l] : INFINITY;
    int lane = least_loaded(pick, D->n_open, D->n_lanes);
    double tpot_s = D->promised_s[lane] < D->tpot_s ? D->promised_s[lane] : D->tpot_s;
    double missed = 1.0 - closely(D, 0, lane, x, waiting[lane], wait_sd[lane] * wait_sd[lane], D->ttft_s);
    missed += 1.0 - closely(D, 1, lane, x, 0.0, 0.0, tpot_s);
    *p_on_time = (missed < 1.0 ? 1.0 - missed : 0.0) / D->inv_availability[0][lane];
    return lane;
}

/* Nanoseconds per decision over n requests u [n, n_features]; a checksum keeps the work from being dropped. */
double streams_time(const Decision *D, const double *u, int n, const double *given_row, double *checksum)
{
    struct timespec begin, end;
    int n_features = D->d - D->n_columns - 1;
    double p;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int i = 0; i < n; i++)
        *checksum += streams_decide(D, u + i * n_features, given_row, 1.0, &p) + p;
    clock_gettime(CLOCK_MONOTONIC, &end);
    return ((end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec)) / n;
}
