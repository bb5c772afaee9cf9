/* Sizes, rows and kinds of the layout, for the kernels in C and for Cython (shape.pxd passes them on). */
#ifndef TAILWISE_SHAPE_H
#define TAILWISE_SHAPE_H
#include <stdint.h>

enum {
    LANES = 16,         /* candidates per block: one cache line of float32 */
    MAX_D = 12,         /* encoded features, the intercept included */
    PADDED_D = 16,      /* the same in whole vectors of any width */
    MAX_PACKED = 78,    /* MAX_D (MAX_D + 1) / 2, lower triangle by rows */
    CLOSE = (1 + MAX_D) * PADDED_D, /* of one lane (close_copy in layout.pxd) */
    MAX_SUMS = 96,      /* packed A, then b, then c: 91, in whole vectors of any width (sums.h) */
    MAX_COLUMNS = 4,
    MAX_LEVELS = 8,     /* priorities 0 (served first) .. 7 */
    N_SIGNALS = 2,
    U_CELLS = 12,       /* of a class's claims (claim.pxd) */
    H_CELLS = 8,
    PAST_JOBS = 32,     /* ended jobs that a lane remembers the times of */
    MASK_WORDS = 64,    /* 4096 lanes */
    SEVERAL = 8,        /* jobs of a batch that are scored against one state (several.pxd) */
    N_POOLED = 64,      /* lanes of a model that a rebuild reads and, of those without a result, rewrites (pool.pxd) */
    LENGTH_LIMIT = 16,  /* ln(tokens) of a forecast: nobody writes more than 9 million */
    LN_LIMIT = 60       /* |ln(service)| of a forecast: e^60 s times 2^20 queued jobs still fits float32, so that
                         * no extrapolation makes a cost infinite (no candidate) or NaN */
};

/* Rows of one served block (each LANES float32). The first sixteen have fixed places, then d rows of
 * the mean, then d (d + 1) / 2 rows of the factor F with F'F = posterior covariance / sigma^2. */
enum {
    ROW_SCALE2 = 0,     /* beta / a, the noise scale squared in ln(seconds) */
    ROW_DOF = 1,        /* 2 a */
    ROW_INV_AVAIL = 2,  /* 1 / posterior mean of availability */
    ROW_OFFSET = 3,     /* seconds added; +inf where the resource is not a candidate of the model */
    ROW_COLUMN_MEAN = 4, /* what an unknown column is taken to be */
    ROW_COLUMN_VAR = 8, /* and how unsure that is */
    ROW_COLUMN = 12,    /* stored columns now, encoded (value / scale where the call adds to it); NaN = unknown */
    ROW_MEAN = 16,
    SERVED_ROWS = 106   /* 16 + MAX_D + MAX_PACKED */
};

typedef struct {        /* what a decision reads of LANES resources */
    double residual_s[LANES];   /* seconds left at `since_s` of running jobs, 0 with a slot free, and of others' jobs */
    double slope[LANES];        /* its rate of change */
    double since_s[LANES];
    double inv_slots[LANES];
    float crowd[LANES];         /* urgency of our queued jobs per slot: of those who wait while one more is served */
    float pace[LANES];          /* most tokens per second that an open job was promised; 0 = none */
    double ahead_s[MAX_LEVELS * LANES]; /* queued seconds ahead of a job of each level */
} tw_wait_block;

typedef struct {        /* what the rank of a job's candidates depends on beside their times */
    int model, level;
    float left_s;       /* to the deadline that it heeds; +inf = none */
    float patience;     /* what it counts for: others' urgency times this */
} tw_stake;

#endif
