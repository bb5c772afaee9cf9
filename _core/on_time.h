/* Whether what a class bounds will hold, for all candidates: the float32 answer that says where to look closely
 * (outlook.h). In two passes over CHUNK lanes each, since the second is one long chain a vector: short of anything else,
 * the processor takes the next vector's meanwhile, as many as it can see. */
#ifndef TAILWISE_ON_TIME_H
#define TAILWISE_ON_TIME_H
#include "columns.h"
#include "student.h"
#include "vector.h"
#include "versions.h"

enum { CHUNK = 64 };

/* ln(time) of CHUNK lanes, as the served copy of one signal has it. */
typedef struct {
    float m[CHUNK], var[CHUNK];     /* within LN_LIMIT; s^2 = scale2 (1 + |F z|^2) + what unknown columns add */
    float own[CHUNK];               /* scale2 |F z|^2: the part of it that more results would take away */
} __attribute__((aligned(64))) tw_beliefs;

/* The lanes' columns, squares and products into z; whether any column of them is unknown. */
TW_INLINE int fill(const tw_candidates *c, const float *row, int at, tw_v *z)
{
    int n = c->n_request;
    tw_i unknown = {0};
    tw_v raw;
    for (int i = 0; i < c->n_columns; i++) {
        z[n + i] = column_at(c, row, i, at, &raw);
        unknown |= raw != raw;
    }
    for (int i = 0; c->n_terms && i < c->n_columns; i++) {
        if (c->square[i])
            z[c->square[i]] = z[n + i] * z[n + i];
        if (c->product[i])
            z[c->product[i]] = z[n + i] * z[c->factor[i]];
    }
    return tw_bits(unknown) != 0;
}

/* What unknown columns add to s^2. */
TW_INLINE tw_v unsure(const tw_candidates *c, const float *row, int at, const tw_v *z)
{
    tw_v extra = tw_splat(0.0f), raw;
    for (int i = 0; i < c->n_columns; i++) {
        tw_v steep = steepness(c, row, i, z[c->n_request + i]);
        column_at(c, row, i, at, &raw);
        extra = extra + tw_known(raw - raw, steep * steep * tw_load(row + (ROW_COLUMN_VAR + i) * LANES));
    }
    return extra;
}

/* mean'z, the slopes of columns bent as in score. */
TW_INLINE tw_v bent_location(const tw_candidates *c, const float *row, const tw_v *z)
{
    tw_v m = tw_load(row + ROW_MEAN * LANES);
    for (int k = 1; k < c->n_request; k++)
        m = m + z[k] * tw_load(row + (ROW_MEAN + k) * LANES);
    for (int i = 0, k = c->n_request; i < c->n_columns; i++, k++)
        m = m + z[k] * bend(c, row, i, z[k], tw_load(row + (ROW_MEAN + k) * LANES));
    return m;
}

/* mean'z and |F z|^2, d known when it is compiled: of a loop, half of the instructions would count. */
TW_INLINE tw_v products(const float *row, const tw_v *z, const int d, tw_v *m)
{
    const float *mean = row + ROW_MEAN * LANES, *factor = mean + d * LANES;
    tw_v q = tw_splat(0.0f), l = tw_load(mean);
#pragma GCC unroll 12
    for (int i = 0; i < d; i++) {
        tw_v v = tw_load(factor) * z[0];
#pragma GCC unroll 12
        for (int j = 1; j <= i; j++)
            v = v + tw_load(factor + j * LANES) * z[j];
        factor += (i + 1) * LANES;
        q = q + v * v;
        if (i > 0)
            l = l + tw_load(mean + i * LANES) * z[i];
    }
    *m = l;
    return q;
}

TW_INLINE void believe_row(
    const tw_candidates *c, const float *row, int at, int in, int unknown, const tw_v *z, const int d, tw_beliefs *out)
{
    tw_v scale2 = tw_load(row + ROW_SCALE2 * LANES), m, own = scale2 * products(row, z, d, &m), var = scale2 + own;
    if (c->n_terms)
        m = bent_location(c, row, z);
    if (unknown)
        var = var + unsure(c, row, at, z);
    tw_store(out->m + in, tw_min(tw_max(m, tw_splat(-(float)LN_LIMIT)), tw_splat((float)LN_LIMIT)));
    tw_store(out->var + in, var);
    tw_store(out->own + in, own);
}

TW_INLINE void believe_of(
    const tw_bounds *b, int from, int end, tw_v *z, tw_beliefs *first, tw_beliefs *second, const int d)
{
    for (int at = from; at < end; at += TW_WIDTH) {
        int offset = at / LANES * SERVED_ROWS * LANES + at % LANES, unknown = fill(b->c, b->c->served + offset, at, z);
        believe_row(b->c, b->c->served + offset, at, at - from, unknown, z, d, first);
        if (!b->second)
            continue;
        if (unknown)    /* what each signal has its own mean of */
            fill(b->second, b->second->served + offset, at, z);
        believe_row(b->second, b->second->served + offset, at, at - from, unknown, z, d, second);
    }
}

static void believe(const tw_bounds *b, int from, int end, tw_v *z, tw_beliefs *first, tw_beliefs *second)
{
    switch (b->c->d) {
    case 1: believe_of(b, from, end, z, first, second, 1); break;
    case 2: believe_of(b, from, end, z, first, second, 2); break;
    case 3: believe_of(b, from, end, z, first, second, 3); break;
    case 4: believe_of(b, from, end, z, first, second, 4); break;
    case 5: believe_of(b, from, end, z, first, second, 5); break;
    case 6: believe_of(b, from, end, z, first, second, 6); break;
    case 7: believe_of(b, from, end, z, first, second, 7); break;
    case 8: believe_of(b, from, end, z, first, second, 8); break;
    case 9: believe_of(b, from, end, z, first, second, 9); break;
    case 10: believe_of(b, from, end, z, first, second, 10); break;
    case 11: believe_of(b, from, end, z, first, second, 11); break;
    default: believe_of(b, from, end, z, first, second, MAX_D);
    }
}

/* s2 of ln(wait + service), matched by two moments as in forecast_total, and ln(left) - m of it. */
TW_INLINE void reach_total(
    const tw_bounds *b, int at, tw_v var, tw_v mean, tw_v *d, tw_v *s2)
{
    tw_v total = tw_load(b->waiting + at) + mean, inv = tw_inv(total);
    tw_v part = mean * inv, share = tw_load(b->wait_sd + at) * inv; /* of the total: squares of seconds may not fit */
    *s2 = tw_max(tw_log1p(part * part * tw_expm1(var) + share * share), tw_splat(1e-12f));
    *d = b->ln_left - tw_ln(total) + 0.5f * *s2;
}

/* Where a claim lies on its axis u, in cells: cell_u of spreads_left (claim.pxd), from ln(left / E[completion]). */
TW_INLINE tw_v claim_row(tw_v ln_ratio, tw_v var, tw_v held)
{
    tw_v u = (ln_ratio + 0.5f * held) * tw_inv(tw_root(var));
    tw_v bent = u * tw_inv(3.0f + tw_max(u, -u));
    tw_v row = (bent + 0.5f) * ((U_CELLS - 1) / (16.0f / 19.0f + 0.5f));
    return tw_min(tw_max(row, tw_splat(0.0f)), tw_splat(U_CELLS - 1));
}

/* The first bound, of wait and service: d = ln(left) - m and s2 of ln(completion), or where the claim lies; beside it
 * what else is asked for. */
TW_INLINE void reach_first(const tw_bounds *b, int at, tw_v m, tw_v whole, tw_v *d, tw_v *s2)
{
    tw_v var = tw_max(tw_min(whole, tw_splat(1.0f)), tw_splat(1e-12f)), mean = var;
    int waits = tw_bits(tw_load(b->waiting + at) > 0.0f) != 0;
    if (b->mean_s || waits) {
        mean = tw_load(b->service + at) * tw_exp(0.5f * var);
        if (b->mean_s)
            tw_store(b->mean_s + at, mean);
    }
    if (b->claims) {
        tw_v ln_mean = m + 0.5f * var;
        if (waits)
            ln_mean = tw_ln(tw_load(b->waiting + at) + mean);
        *d = claim_row(b->ln_left - ln_mean, whole, var);
    } else if (waits) {
        reach_total(b, at, var, mean, d, s2);
    } else {
        *s2 = var;      /* what the same formulas come to without a wait */
        *d = b->ln_left - m;
    }
}

/* The pace: of this job's bound and those that its open jobs were promised the tightest, since this one slows them
 * down. */
TW_INLINE void reach_pace(const tw_bounds *b, int at, tw_v m, tw_v *d)
{
    tw_v tighter = b->tpot_s * tw_load(b->wait[at / LANES].pace + at % LANES), one = tw_splat(1.0f);
    *d = b->ln_tpot - m;
    if (tw_bits(tighter > 1.0000005f))      /* not where rounding makes it so of the very same bound */
        *d = *d - tw_ln(tw_max(tighter, one));
    if (b->pace)
        tw_store(b->pace + at, tw_exp(m));
}

/* First all that is short, d into the place of m and s2 into that of var. */
TW_INLINE void reach(const tw_bounds *b, int from, int end, tw_beliefs *first, tw_beliefs *second)
{
    tw_v d, s2 = tw_splat(0.0f);
    for (int at = from, in = 0; at < end; at += TW_WIDTH, in += TW_WIDTH) {
        if (b->model_var) {
            tw_store(b->var + at, tw_load(first->var + in));
            tw_store(b->model_var + at, tw_load(first->own + in));
        }
        reach_first(b, at, tw_load(first->m + in), tw_load(first->var + in), &d, &s2);
        tw_store(b->claims ? b->on_time + at : first->m + in, d);
        tw_store(first->var + in, s2);
        if (b->second) {
            reach_pace(b, at, tw_load(second->m + in), &d);
            tw_store(second->m + in, d);
            tw_store(second->var + in, tw_max(tw_min(tw_load(second->var + in), tw_splat(1.0f)), tw_splat(1e-12f)));
        }
    }
}

/* P(all bounds hold) x availability of CHUNK lanes at most: of two by the union bound, as forecast_bounds has it. */
static void weigh(const tw_bounds *b, int from, int end, tw_v *z)
{
    tw_beliefs first, second;
    believe(b, from, end, z, &first, &second);
    reach(b, from, end, &first, &second);
    for (int at = from, in = 0; !b->claims && at < end; at += TW_WIDTH, in += TW_WIDTH) {
        int row = at / LANES * SERVED_ROWS * LANES + at % LANES;
        const float *served = b->c->served + row;
        tw_v p = tw_student_p(tw_load(first.m + in), tw_load(first.var + in), tw_load(served + ROW_DOF * LANES));
        if (b->second)
            p = p - 1.0f + tw_student_p(
                tw_load(second.m + in), tw_load(second.var + in), tw_load(b->second->served + row + ROW_DOF * LANES));
        tw_store(b->on_time + at, tw_max(p, tw_splat(0.0f)) * tw_inv(tw_load(served + ROW_INV_AVAIL * LANES)));
    }
}

/* The least cost of a block's lanes, of all or of those that are on time. */
TW_INLINE float least_of_block(const tw_bounds *b, int from, float p)
{
    tw_v none = tw_splat(INFINITY), low = none;
    for (int at = from; at < from + LANES; at += TW_WIDTH)
        low = tw_min(tw_pick(tw_load(b->on_time + at) >= p, tw_load(b->cost + at), none), low);
    return tw_least(low);
}

/* The block of the nearest lane first, then those that have a lane as near as the nearest that was found to hold. */
static void weigh_nearest(const tw_bounds *b, tw_v *z)
{
    float low[MASK_WORDS * 64 / LANES], limit = INFINITY;
    int nearest = 0, n_blocks = (b->c->n_lanes + LANES - 1) / LANES;
    for (int at = 0; at < n_blocks * LANES; at += TW_WIDTH)
        tw_store(b->on_time + at, tw_splat(-1.0f));
    for (int k = 0; k < n_blocks; k++) {
        low[k] = least_of_block(b, k * LANES, -1.0f);
        nearest = low[k] < low[nearest] ? k : nearest;
    }
    for (int k = -1; k < n_blocks; k++) {
        int block = k < 0 ? nearest : k;
        if (k == nearest || !(low[block] <= limit))
            continue;
        weigh(b, block * LANES, (block + 1) * LANES, z);
        float found = least_of_block(b, block * LANES, b->enough);
        limit = found < limit && tw_tie_limit(found) < limit ? tw_tie_limit(found) : limit;
    }
}

static void on_time(const tw_bounds *b)
{
    int n = b->c->n_lanes;
    tw_v z[MAX_D];
    for (int i = 0; i < b->c->n_request; i++)
        z[i] = tw_splat((float)b->c->x[i]);
    if (b->cost) {
        weigh_nearest(b, z);
        return;
    }
    for (int from = 0; from < n; from += CHUNK)
        weigh(b, from, from + CHUNK < n ? from + CHUNK : n, z);
}

#endif
