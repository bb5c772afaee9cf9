/* Sums of rows of features, at the width of whoever includes it (kernels.h). Every element is what a loop of scalars
 * gives, to the last bit: nothing is both multiplied and added, so that no version fuses it. Arrays have MAX_SUMS
 * elements, whole vectors of any width; what lies behind the last sum of a smaller row is zero and stays so. */
#ifndef TAILWISE_SUMS_H
#define TAILWISE_SUMS_H
#include "shape.h"
#include "vector.h"

/* row: x x' (packed lower triangle), x y, c, and zeros in what is left of the last vector  # OUT. Returns the elements. */
TW_INLINE int tw_make_row(const double *x, int d, double y, double c, double *row)
{
    int k = 0;
    for (int i = 0; i < d; k += ++i)
        for (int j = 0; j <= i; j += TW_DOUBLES)    /* what is too much, the next row of the triangle overwrites */
            tw_store_d(row + k + j, x[i] * tw_load_d(x + j));
    for (int j = 0; j < d; j += TW_DOUBLES)
        tw_store_d(row + k + j, y * tw_load_d(x + j));
    k += d;
    row[k++] = c;
    tw_store_d(row + k, tw_splat_d(0.0));
    return k;
}

/* total + lost += the row of x, y, c, compensated: Knuth's TwoSum, no branch, exact error. */
static void observe(double *total, double *lost, const double *x, int d, double y, double c)
{
    double row[MAX_SUMS + TW_DOUBLES];
    int n = tw_make_row(x, d, y, c, row);
    for (int i = 0; i < n; i += TW_DOUBLES) {
        tw_d a = tw_load_d(total + i), b = tw_load_d(row + i);
        tw_d sum = a + b;
        tw_d back = sum - a;
        tw_store_d(lost + i, tw_load_d(lost + i) + ((a - (sum - back)) + (b - back)));
        tw_store_d(total + i, sum);
    }
}

static void fade(double *total, double *lost, double factor, int n)
{
    for (int i = 0; i < n; i += TW_DOUBLES) {
        tw_store_d(total + i, factor * tw_load_d(total + i));
        tw_store_d(lost + i, factor * tw_load_d(lost + i));
    }
}

#endif
