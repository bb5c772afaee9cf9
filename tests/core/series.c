/* The series of vector.h and outlook.h against the libm of the same machine: prints a name and the largest error of
 * each, relative or absolute as their comments have it. Every vector holds different numbers. */
#include <stdio.h>
#include "outlook.h"
#include "student.h"
#include "vector.h"

enum { N = 400000 };

typedef tw_v (*Series)(tw_v);
typedef double (*Exact)(double);

static double between(double low, double high, int i) { return low + (high - low) * i / (N - 1.0); }

static double exact_phi(double z) { return 0.5 * erfc(-z * 0.70710678118654752); }

static double worst(Series series, Exact exact, double low, double high, int geometric, int relative)
{
    double most = 0.0;
    for (int i = 0; i < N; i += TW_WIDTH) {
        float in[TW_WIDTH], out[TW_WIDTH];
        for (int l = 0; l < TW_WIDTH; l++)
            in[l] = (float)(geometric ? exp(between(log(low), log(high), i + l)) : between(low, high, i + l));
        tw_store(out, series(tw_load(in)));
        for (int l = 0; l < TW_WIDTH; l++) {
            double want = exact(in[l]), error = fabs(out[l] - want);
            error = relative ? error / fabs(want) : error;
            most = error <= most ? most : error;    /* NaN is the worst */
        }
    }
    return most;
}

/* The same of float64, TW_DOUBLES lanes. */
static double worst_ln(double low, double high)
{
    double most = 0.0;
    for (int i = 0; i < N; i += TW_DOUBLES) {
        double in[TW_DOUBLES], out[TW_DOUBLES];
        for (int l = 0; l < TW_DOUBLES; l++)
            in[l] = exp(between(log(low), log(high), i + l));
        tw_store_d(out, tw_ln_d(tw_load_d(in)));
        for (int l = 0; l < TW_DOUBLES; l++) {
            double error = fabs(out[l] / log(in[l]) - 1.0);
            most = error <= most ? most : error;
        }
    }
    return most;
}

static double worst_scalar(Exact series, Exact exact, double low, double high, int relative)
{
    double most = 0.0;
    for (int i = 0; i < N; i++) {
        double at = between(low, high, i), want = exact(at), error = fabs(series(at) - want);
        error = relative ? error / want : error;
        most = error <= most ? most : error;
    }
    return most;
}

/* Hill's formula (student.pxd) in double. */
static double student_p(double t, double dof)
{
    double a = dof - 0.5, b = 48.0 * a * a, y = a * log1p(t * t / dof);
    double z = ((((-0.4 * y - 3.3) * y - 24.0) * y - 85.5) / (0.8 * y * y + 100.0 + b) + y + 3.0) / b + 1.0;
    return exact_phi(t < 0.0 ? -z * sqrt(y) : z * sqrt(y));
}

static double worst_student(void)
{
    double most = 0.0;
    for (int i = 0; i < N; i += TW_WIDTH) {
        float t[TW_WIDTH], s[TW_WIDTH], s2[TW_WIDTH], dof[TW_WIDTH], out[TW_WIDTH];
        for (int l = 0; l < TW_WIDTH; l++) {
            t[l] = (float)between(-12.0, 12.0, (i * 7 + l * 997) % N);
            s[l] = (float)exp(between(log(1e-6), 0.0, (i * 3 + l * 499) % N));
            s2[l] = s[l] * s[l];
            dof[l] = (float)exp(between(log(4.0), log(1e7), i + l));
            t[l] *= s[l];
        }
        tw_store(out, tw_student_p(tw_load(t), tw_load(s2), tw_load(dof)));
        for (int l = 0; l < TW_WIDTH; l++) {
            double error = fabs(out[l] - student_p(t[l] / sqrt(s2[l]), dof[l]));
            most = error <= most ? most : error;
        }
    }
    return most;
}

static tw_v exp_v(tw_v v) { return tw_exp(v); }
static tw_v ln_v(tw_v v) { return tw_ln(v); }
static tw_v log1p_v(tw_v v) { return tw_log1p(v); }
static tw_v expm1_v(tw_v v) { return tw_expm1(v); }
static tw_v sqrt_v(tw_v v) { return tw_sqrt(v); }
static tw_v root_v(tw_v v) { return tw_root(v); }
static tw_v inv_v(tw_v v) { return tw_inv(v); }
static double inverse(double v) { return 1.0 / v; }
static tw_v phi_v(tw_v v) { return tw_phi(tw_max(v, -v), v >= 0.0f); }

int main(void)
{
    printf("exp %.3g\n", worst(exp_v, exp, -60.0, 60.0, 0, 1));
    printf("ln %.3g\n", worst(ln_v, log, 1.0001, 1e30, 1, 1));
    printf("log1p %.3g\n", worst(log1p_v, log1p, 1e-12, 1e12, 1, 1));
    printf("expm1 %.3g\n", worst(expm1_v, expm1, 1e-12, 1.0, 1, 1));
    printf("sqrt %.3g\n", worst(sqrt_v, sqrt, 1e-12, 1e12, 1, 1));
    printf("root %.3g\n", worst(root_v, sqrt, 1e-30, 1e30, 1, 1));
    printf("inv %.3g\n", worst(inv_v, inverse, 1e-36, 1e36, 1, 1));
    printf("phi %.3g\n", worst(phi_v, exact_phi, -12.0, 12.0, 0, 0));
    printf("ln_d %.3g\n", worst_ln(1e-307, 1e307));
    printf("ln_d_near_1 %.3g\n", worst_ln(0.7, 1.4));
    printf("series %.3g\n", worst_scalar(series, expm1, 1e-12, 1.0, 1));
    printf("phi_d %.3g\n", worst_scalar(phi, exact_phi, -40.0, 40.0, 0));
    printf("student_p %.3g\n", worst_student());
    return 0;
}
