/* A candidate's columns as the kernels over all of them read them. */
#ifndef TAILWISE_COLUMNS_H
#define TAILWISE_COLUMNS_H
#include "vector.h"
#include "versions.h"

/* What the column's square and product make of its slope at z: slope + slope_2 z + slope_x x. On a load column it is
 * floored at 0 once more, since x may be negative. */
TW_INLINE tw_v bend(const tw_candidates *c, const float *row, int column, tw_v z, tw_v slope)
{
    if (c->square[column])
        slope = slope + z * tw_load(row + (ROW_MEAN + c->square[column]) * LANES);
    if (c->product[column])
        slope = slope + tw_splat((float)c->x[c->factor[column]]) * tw_load(row + (ROW_MEAN + c->product[column]) * LANES);
    return c->is_load[c->n_request + column] ? tw_max(slope, tw_splat(0.0f)) : slope;
}

/* The encoded column of TW_WIDTH lanes, from lane `at` on: the profile's mean of it where it is unknown. */
TW_INLINE tw_v column_at(const tw_candidates *c, const float *row, int column, int at, tw_v *raw)
{
    *raw = tw_load(c->given_row[column] < 0 ? row + (ROW_COLUMN + column) * LANES : c->given + column * c->stride + at);
    return tw_known(*raw, tw_load(row + (ROW_COLUMN_MEAN + column) * LANES));
}

/* The slope of m in a column where it stands, as place in context.pxd has it. */
TW_INLINE tw_v steepness(const tw_candidates *c, const float *row, int column, tw_v z)
{
    tw_v slope = tw_load(row + (ROW_MEAN + c->n_request + column) * LANES), steep, term;
    if (!c->n_terms)
        return slope;
    steep = slope;
    if (c->product[column]) {
        term = tw_splat((float)c->x[c->factor[column]]) * tw_load(row + (ROW_MEAN + c->product[column]) * LANES);
        slope = slope + term;
        steep = steep + term;
    }
    if (c->square[column]) {
        term = z * tw_load(row + (ROW_MEAN + c->square[column]) * LANES);
        slope = slope + term;
        steep = steep + term + term;
    }
    return c->is_load[c->n_request + column] ? tw_pick(slope < 0.0f, tw_splat(0.0f), steep) : steep;
}

#endif
