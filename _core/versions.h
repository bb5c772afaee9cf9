/* The kernels of one decision, in several versions of which the processor at hand chooses: a table of functions each. */
#ifndef TAILWISE_VERSIONS_H
#define TAILWISE_VERSIONS_H
#include <math.h>
#include <string.h>

#include "shape.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define TW_HAS_X86 1    /* a file can be compiled for more than the rest by #pragma GCC target */
#else
#define TW_HAS_X86 0
#endif

typedef struct {                /* how a model's features are encoded */
    int n, n_plain, n_knees;
    const double *ln_typical;   /* [PADDED_D] of those that have a typical value; else 0 */
    const int64_t *plain;       /* [PADDED_D] -1 = it has none: ln(1 + u) */
    const int32_t *knee;        /* [n] */
} tw_features;

typedef struct {                /* the candidates of one request, by one signal of its model */
    int d, n_request, n_columns, n_terms, n_lanes, stride;
    const int32_t *given_row, *square, *product, *factor, *is_load; /* as in ModelInfo */
    const float *served;        /* [n_lanes / LANES rounded up, SERVED_ROWS, LANES] */
    const float *given;         /* [n_columns, stride] encoded, NaN = unknown */
    const double *x;            /* [n_request] encoded */
} tw_candidates;

typedef struct {                /* what a class bounds, of all candidates. Arrays are [n_lanes]; NULL = not asked for */
    const tw_candidates *c, *second;            /* by time to what is bounded first; by pace, NULL = not bounded */
    const tw_wait_block *wait;                  /* a block for each LANES */
    const float *service, *waiting, *wait_sd;   /* median, mean, seconds; wait_sd is read where lanes wait  # IN */
    float ln_left, ln_tpot, tpot_s;             /* ln(seconds to the deadline); of the pace's bound, and that  # IN */
    const float *cost;          /* NULL = all are weighed; else only who may have the least cost of those where */
    float enough;               /* on_time >= enough, ties counted; the others' on_time is -1  # IN */
    int claims;                                 /* 1: on_time is where claims lie on their axis u, in cells  # IN */
    float *on_time;                             /* raw P(all hold)  # OUT */
    float *var, *model_var;                     /* s^2 of ln(service), and the part that results take away: both or none  # OUT */
    float *mean_s, *pace;                       /* E[service]; median seconds per token  # OUT */
} tw_bounds;

typedef struct {                /* a job on one lane, as if its model had one signal */
    double m, s, dof;           /* ln(service) */
    double idle_s;              /* s as if the lane had no load: its claim's */
    double wait_s, wait_var, left_s, ln_left;   /* left_s: to the deadline; ln_left of it or, of none, any  # IN */
    double mean_s, var_s2, idle_mean_s;         /* service moments  # OUT, as all that follows */
    double m_total, s_total;    /* ln(completion), moment-matched */
    double p;                   /* P(completion <= left_s), given that it succeeds */
    double u;                   /* spreads left of its claim (claim.pxd) */
} tw_outlook;

typedef struct {                /* what follows the first token of a job on one lane */
    double m, s, dof;           /* ln(seconds per token) */
    double idle_s;              /* s as if the lane had no load */
    double ln_tokens, tokens_s; /* ln(output length): location, scale  # IN */
    double mean_s, var_s2;      /* moments of the seconds per token  # OUT, as all that follows */
    double tokens, tokens_var;  /* and of the length */
    double busy_s, busy_var;    /* start to end = first token + (tokens - 1) x seconds per token, as if independent */
} tw_stream;

typedef struct {                /* lanes are read and written in whole vectors: arrays hold n_lanes rounded up to LANES */
    /* u [PADDED_D] raw, 1 where nothing is declared  # IN; x [1 + features + knees], clipped at 16 and the clips counted  # OUT. 0 when a value is
     * NaN, infinite, negative, or zero though it has a typical value; x then means nothing. */
    int (*encode)(const tw_features *features, const double *u, double *x, int64_t *n_clipped);
    /* row [n] raw; stored, the first lane's row of a served copy, in units of scale, is added; NULL = nothing  # IN
     * z [n rounded up to LANES] encoded  # OUT. 0 when an entry is negative or above 1e30; NaN = unknown. */
    int (*encode_given)(const double *row, double scale, int n, const float *stored, float *z);
    /* wait: a block for each LANES  # IN; service, waiting, cost [n_lanes] seconds  # OUT */
    void (*score)(const tw_candidates *c, const tw_stake *stake, const tw_wait_block *wait, double now_s,
                  float *service, float *waiting, float *cost);
    /* cost [n_lanes] in place, a bit of words for each */
    void (*mask)(float *cost, const uint64_t *words, int n_lanes);
    /* words NULL = no bit is set; +inf where there is no such candidate */
    float (*fastest)(const float *service, const float *cost, const uint64_t *words, int n_lanes);
    /* service, waiting as score left them  # IN; cost in place */
    void (*favour)(const tw_candidates *c, const tw_stake *stake, const tw_wait_block *wait, const uint64_t *words,
                   float service_s, const float *service, const float *waiting, float *cost);
    /* left [n_lanes] = cost where it is finite and fits [n_lanes] >= limit, else +inf  # OUT. 0, and nothing is written,
     * where that is no lane. left may be cost. */
    int (*narrow)(const float *cost, const float *fits, float limit, int n_lanes, float *left);
    /* cost [n_lanes] becomes +inf where value [n_lanes] is beyond tw_tie_limit of the least among those that are finite */
    void (*narrow_to_least)(const float *value, float *cost, int n_lanes);
    float (*least)(const float *cost, int n_lanes);
    /* words [n_lanes / 64 rounded up]  # OUT, unless the least cost, which it returns, is +inf */
    float (*tied)(const float *cost, int n_lanes, uint64_t *words);
    /* Of n <= SEVERAL requests of a model without columns: x of c [n, MAX_D], stake [SEVERAL] of one level, words NULL = no
     * mask  # IN; cost [SEVERAL, stride]  # scratch; lane [n], -1 where several tie or none is a candidate  # OUT */
    void (*nearest)(const tw_candidates *c, int n, const tw_stake *stake, const tw_wait_block *wait, double now_s,
                    const uint64_t *words, float *cost, int *lane);
    void (*on_time)(const tw_bounds *b);
    /* close: a close_copy of layout.pxd, x [PADDED_D] with zeros beyond d, is_load [d] or NULL  # IN; location: mean'x over the first n entries,
     * idle: |F x|^2 where entries of load are 0  # OUT; |F x|^2 */
    double (*look)(const float *close, const double *x, int n, int d, const int32_t *is_load, double *location,
                   double *idle);
    void (*outlook)(tw_outlook *o);
    void (*outlooks)(tw_outlook *o, int n);     /* of n <= SEVERAL jobs */
    /* first_s, first_var: moments of the time to the first token; ln_tpot: of the pace's bound  # IN; P(it holds), 1 where
     * that is +inf */
    double (*stream)(tw_stream *o, double first_s, double first_var, double ln_tpot);
    /* total, lost [MAX_SUMS] as Evidence, x [d] and readable up to PADDED_D; c: what y^2 is taken to be */
    void (*observe)(double *total, double *lost, const double *x, int d, double y, double c);
    /* total, lost *= factor, n of MAX_SUMS */
    void (*fade)(double *total, double *lost, double factor, int n);
} tw_kernels;

extern const tw_kernels tw_plain, tw_avx2, tw_avx512;

static inline double tw_clip(double v, double limit, int64_t *n_clipped)
{
    if (fabs(v) <= limit)
        return v;
    *n_clipped += 1;
    return v > 0.0 ? limit : -limit;
}

/* Costs up to this equal `least`: float32 sums of the same terms differ by less. */
static inline float tw_tie_limit(float least) { return least + 1e-4f * fabsf(least); }

/* Whether any lane of a block lies beyond the limit. */
static inline int tw_any_below(const float *v, float limit)
{
    int any = 0;
    for (int l = 0; l < LANES; l++)
        any |= v[l] < limit;
    return any;
}

static inline int tw_any_above(const float *v, float limit)
{
    int any = 0;
    for (int l = 0; l < LANES; l++)
        any |= v[l] > limit;
    return any;
}

/* By name; NULL where the processor, or the compiler of this build, has no such version. */
static inline const tw_kernels *tw_version(const char *name)
{
    if (!strcmp(name, "plain"))
        return &tw_plain;
#if TW_HAS_X86
    if (!strcmp(name, "avx2") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &tw_avx2;
    if (!strcmp(name, "avx512") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")
            && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
        return &tw_avx512;
#endif
    return 0;
}

#endif
