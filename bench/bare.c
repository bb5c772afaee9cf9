/* The arithmetic of one decision and nothing else: no Python, no clock, no ticket, no generator. What `route.select`
 * adds to this is what a Python caller pays for it. Lanes in blocks of 16, float32, as in the package, and compiled for
 * the instruction set that the package runs on (bare.py). */
#include <math.h>
#include <stdint.h>
#include <time.h>
#include "loop.h"
#include "vector.h"

enum { LANES = 16, MAX_D = 12, U_CELLS = 12, H_CELLS = 8, FINE = 65536 };

typedef struct {
    int n_lanes, n_blocks, d, n_columns, n_given; /* d counts the intercept and the columns */
    const float *mean;      /* [n_blocks, d, LANES] */
    const float *factor;    /* [n_lanes, d (d + 1) / 2], read for the chosen lane only */
    const float *columns;   /* [n_columns - n_given, n_blocks LANES] stored, encoded */
    const float *column_mean; /* [n_columns, n_blocks LANES] */
    const float *scale2, *dof, *inv_availability, *crowd; /* [n_blocks LANES] */
    const double *residual_s, *slope, *since_s, *ahead_s, *inv_slots; /* [n_blocks LANES] */
    const double *typical;  /* [d - 1 - n_columns] */
    const double *claims;   /* [U_CELLS, H_CELLS] */
    const double *queued_s; /* [n_lanes] how long the job at the head of the lane's queue waits */
    const int32_t *n_open;  /* [n_lanes] jobs on each lane: the fewer wins a tie */
    const uint8_t *mask;    /* [n_lanes] or NULL */
    double given_scale, deadline_s, patience; /* patience: cube root of the deadline */
} Decision;

static float cost[4096], service[4096], given[4096];

static void score(const Decision *D, const float *x, double now_s)
{
    int n_request = D->d - D->n_columns, n_stored = D->n_columns - D->n_given, stride = D->n_blocks * LANES;
    float left_s = (float)D->deadline_s, patience = (float)D->patience, wait[LANES];
    for (int b = 0; b < D->n_blocks; b++) {
        for (int l = 0; l < LANES; l++) {
            int at = b * LANES + l;
            double left = D->residual_s[at] + D->slope[at] * (now_s - D->since_s[at]);
            wait[l] = (float)(((left > 0.0 ? left : 0.0) + D->ahead_s[at]) * D->inv_slots[at]);
        }
        for (int h = 0; h < LANES; h += TW_WIDTH) {
            const float *mean = D->mean + b * D->d * LANES + h;
            int at = b * LANES + h;
            tw_v m = tw_load(mean);
            for (int i = 1; i < n_request; i++)
                m += tw_splat(x[i]) * tw_load(mean + i * LANES);
            for (int i = 0; i < D->n_columns; i++) {
                tw_v z = tw_load((i < n_stored ? D->columns + i * stride : given) + at);
                m += tw_known(z, tw_load(D->column_mean + i * stride + at)) * tw_load(mean + (n_request + i) * LANES);
            }
            tw_v service_s = tw_exp(m), wait_s = tw_load(wait + h);
            tw_v seconds = wait_s + service_s * (1.0f + patience * tw_load(D->crowd + at));
            seconds = tw_pick(wait_s + 2.0f * service_s > left_s, 10.0f * seconds, seconds);
            tw_store(service + at, service_s);
            tw_store(cost + at, seconds * tw_load(D->inv_availability + at));
        }
    }
}

/* What the table of claims says, bilinear between four of its cells. */
static double claim_of(const Decision *D, double s, double total_s, double waits_s)
{
    double bounded = s > 1.0 ? 1.0 : s, u = log(D->deadline_s / total_s) / s + 0.5 * bounded * bounded / s;
    double bent = u > 0.0 ? 1.0 - 3.0 / (3.0 + u) : 3.0 / (3.0 - u) - 1.0;
    double at = (bent + 0.5) / (16.0 / 19.0 + 0.5), old = waits_s / D->deadline_s;
    int row = (int)((at < 1.0 ? at > 0.0 ? at : 0.0 : 1.0) * ((U_CELLS - 1) * FINE));
    int column = (int)((old < 1.0 ? old : 1.0) * ((H_CELLS - 1) * FINE));
    int i = row / FINE < U_CELLS - 2 ? row / FINE : U_CELLS - 2, j = column / FINE < H_CELLS - 2 ? column / FINE : H_CELLS - 2;
    const double *v = D->claims + i * H_CELLS + j;
    double fu = (row - i * FINE) * (1.0 / FINE), fh = (column - j * FINE) * (1.0 / FINE);
    double low = v[0] + fh * (v[1] - v[0]), high = v[H_CELLS] + fh * (v[H_CELLS + 1] - v[H_CELLS]);
    return low + fu * (high - low);
}

/* One decision: encode, score, choose, and the chosen lane's spread, P(on time) and claim. Returns the lane. */
int bare_decide(const Decision *D, const double *u, const double *given_row, double now_s, double *p_on_time, double *claim)
{
    double x[MAX_D] = {1.0};
    float x32[MAX_D] = {1.0f};
    int n_request = D->d - D->n_columns, n_stored = D->n_columns - D->n_given, stride = D->n_blocks * LANES;
    for (int i = 1; i < n_request; i++)
        x32[i] = (float)(x[i] = log(u[i - 1] / D->typical[i - 1]));
    if (D->n_given)
        encode_given(given_row, D->given_scale, D->n_lanes, given);
    score(D, x32, now_s);
    if (D->mask)
        for (int l = 0; l < D->n_lanes; l++)
            cost[l] = D->mask[l] ? cost[l] : INFINITY;
    int lane = least_loaded(cost, D->n_open, D->n_lanes);
    double m = 0.0, q = 0.0;
    for (int i = 0; i < D->d; i++) {
        if (i >= n_request) {
            int j = i - n_request;
            x[i] = j < n_stored ? D->columns[j * stride + lane] : given[lane];
            if (isnan(x[i]))
                x[i] = D->column_mean[j * stride + lane];
        }
        m += x[i] * D->mean[(lane / LANES * D->d + i) * LANES + lane % LANES];
    }
    const float *f = D->factor + lane * D->d * (D->d + 1) / 2;
    for (int i = 0; i < D->d; i++) {
        double v = 0.0;
        for (int j = 0; j <= i; j++)
            v += *f++ * x[j];
        q += v * v;
    }
    double s = sqrt(D->scale2[lane] * (1.0 + q)), bounded = s > 1.0 ? 1.0 : s;
    double mean = exp(m + 0.5 * bounded * bounded), var = mean * mean * expm1(bounded * bounded);
    double left = D->residual_s[lane] + D->slope[lane] * (now_s - D->since_s[lane]);
    double total = ((left > 0.0 ? left : 0.0) + D->ahead_s[lane]) * D->inv_slots[lane] + mean;
    double s2 = log1p(var / (total * total)), m_total = log(total) - 0.5 * s2;
    *p_on_time = student_cdf((log(D->deadline_s) - m_total) / sqrt(s2), D->dof[lane]) / D->inv_availability[lane];
    *claim = claim_of(D, s, total, D->queued_s[lane]) / D->inv_availability[lane];
    return lane;
}

/* Nanoseconds per decision over n requests u [n, n_features]; a checksum keeps the work from being dropped. */
double bare_time(const Decision *D, const double *u, int n, const double *given_row, double *checksum)
{
    struct timespec begin, end;
    int n_features = D->d - D->n_columns - 1;
    double p, claim;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int i = 0; i < n; i++)
        *checksum += bare_decide(D, u + i * n_features, given_row, 1.0, &p, &claim) + p + claim;
    clock_gettime(CLOCK_MONOTONIC, &end);
    return ((end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec)) / n;
}
