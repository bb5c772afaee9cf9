/* Sums of rows of features, as plain loops over whole fours of float64 that a compiler turns into vectors of any width;
 * every element is what a loop over the sums alone gives, to the last bit. Arrays have MAX_SUMS elements, a multiple of
 * four: what lies behind the last sum of a smaller row is zero and stays so. */
#ifndef TAILWISE_SUMS_H
#define TAILWISE_SUMS_H

#define TW_SUMS_INLINE static inline __attribute__((always_inline, unused))

TW_SUMS_INLINE int tw_fours(int n) { return (n + 3) & ~3; }

/* out[4] = a v[4] */
TW_SUMS_INLINE void tw_four(double a, const double *restrict v, double *restrict out)
{
    for (int i = 0; i < 4; i++)
        out[i] = a * v[i];
}

/* row: x x' (packed lower triangle), x y, c, then zeros to the next multiple of four  # OUT, room for four more elements.
 * x has d elements and room for a multiple of four; what is behind the d-th counts for nothing. Returns the elements. */
TW_SUMS_INLINE int tw_make_row(const double *restrict x, int d, double y, double c, double *restrict row)
{
    int k = 0;
    for (int i = 0; i < d; i++) {
        for (int j = 0; j <= i; j += 4) /* the next row of the triangle overwrites what this one has too much */
            tw_four(x[i], x + j, row + k + j);
        k += i + 1;
    }
    for (int j = 0; j < d; j += 4)
        tw_four(y, x + j, row + k + j);
    k += d;
    row[k++] = c;
    for (int i = 0; i < 4; i++)
        row[k + i] = 0.0;
    return k;
}

/* total + lost += row[n], compensated: Knuth's TwoSum, no branch, exact error. */
TW_SUMS_INLINE void tw_two_sum(double *restrict total, double *restrict lost, const double *restrict row, int n)
{
    n = tw_fours(n);
    for (int i = 0; i < n; i++) {
        double sum = total[i] + row[i];
        double back = sum - total[i];
        lost[i] += (total[i] - (sum - back)) + (row[i] - back);
        total[i] = sum;
    }
}

TW_SUMS_INLINE void tw_scale(double *restrict a, double *restrict b, double factor, int n)
{
    n = tw_fours(n);
    for (int i = 0; i < n; i++) {
        a[i] *= factor;
        b[i] *= factor;
    }
}

/* sums += factor (total + lost) */
TW_SUMS_INLINE void tw_add_scaled(
    double *restrict sums, const double *restrict total, const double *restrict lost, double factor, int n)
{
    n = tw_fours(n);
    for (int i = 0; i < n; i++)
        sums[i] += factor * (total[i] + lost[i]);
}

#endif
