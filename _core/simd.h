/* Eight float32 lanes as one value. Plain GCC/Clang vector types: the compiler lowers them to AVX2, SSE2,
 * NEON or scalars, whatever the function that uses them is compiled for. No intrinsics, no fast-math. */
#ifndef TAILWISE_SIMD_H
#define TAILWISE_SIMD_H
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef float tw_v8 __attribute__((vector_size(32), may_alias));
typedef int32_t tw_i8 __attribute__((vector_size(32), may_alias));

/* One binary, several instruction sets, chosen when the library loads (ELF ifunc; elsewhere the plain build). The
 * level x86-64-v3 (AVX2, FMA) asks for features; "arch=haswell" would ask for that one processor model. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#if __GNUC__ >= 12
#define TW_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define TW_CLONES __attribute__((target_clones("avx2", "default")))
#endif
#else
#define TW_CLONES
#endif

/* Always inlined: a 32-byte vector never crosses a call, whatever the target's calling convention. */
#define TW_INLINE static inline __attribute__((always_inline, unused))

TW_INLINE tw_v8 tw_load(const float *p) { tw_v8 v; memcpy(&v, p, sizeof v); return v; }
TW_INLINE void tw_store(float *p, tw_v8 v) { memcpy(p, &v, sizeof v); }
TW_INLINE tw_v8 tw_splat(float a) { return (tw_v8){a, a, a, a, a, a, a, a}; }
TW_INLINE tw_v8 tw_pick(tw_i8 mask, tw_v8 a, tw_v8 b) { return (tw_v8)((mask & (tw_i8)a) | (~mask & (tw_i8)b)); }
TW_INLINE tw_v8 tw_known(tw_v8 v, tw_v8 otherwise) { return tw_pick(v == v, v, otherwise); }
TW_INLINE tw_v8 tw_min(tw_v8 a, tw_v8 b) { return tw_pick(a < b, a, b); }
TW_INLINE tw_v8 tw_max(tw_v8 a, tw_v8 b) { return tw_pick(a > b, a, b); }

/* exp: 2^k p(r), r = x - k ln 2 in two parts; Cephes expf coefficients, relative error < 2e-7.
 * Held to [-60, 60] (LN_LIMIT in layout.pxd). */
TW_INLINE tw_v8 tw_exp(tw_v8 x)
{
    x = tw_min(tw_max(x, tw_splat(-60.0f)), tw_splat(60.0f));
    const tw_v8 shift = tw_splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    tw_v8 k = x * 1.44269504f + shift;
    tw_i8 bits = ((tw_i8)k) << 23;             /* the low bits of the sum are k: into the exponent */
    k = k - shift;
    tw_v8 r = x - k * 0.693359375f;
    r = r - k * -2.12194440e-4f;
    tw_v8 p = tw_splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return (tw_v8)((tw_i8)p + bits);
}

/* ln of a normal v > 0, relative error smallest for v >= 1 (columns: 1 + v/scale); Cephes logf coefficients, relative error < 2e-7. */
TW_INLINE tw_v8 tw_ln(tw_v8 v)
{
    tw_i8 i = (tw_i8)v;
    tw_i8 e = ((i >> 23) & 0xff) - 126;        /* v = m 2^e, m in [0.5, 1) */
    tw_v8 m = (tw_v8)((i & 0x007fffff) | 0x3f000000);
    tw_i8 low = m < 0.707106781f;
    e = e + low;                               /* low is -1 where true */
    m = m + tw_pick(low, m, tw_splat(0.0f)) - 1.0f;
    tw_v8 k = __builtin_convertvector(e, tw_v8);
    tw_v8 z = m * m;
    tw_v8 p = tw_splat(7.0376836292e-2f);
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    p = p * m * z + k * -2.12194440e-4f - 0.5f * z;
    return m + p + k * 0.693359375f;
}

TW_INLINE tw_v8 tw_where_negative(tw_v8 v, tw_v8 then, tw_v8 otherwise) { return tw_pick(v < 0.0f, then, otherwise); }

TW_INLINE tw_v8 tw_sqrt(tw_v8 v)
{
    float a[8];
    memcpy(a, &v, sizeof v);
    for (int i = 0; i < 8; i++)
        a[i] = sqrtf(a[i]);
    memcpy(&v, a, sizeof v);
    return v;
}

/* ln(1 + v), v >= 0: the series where 1 + v would round away what v knows; relative error < 3e-6. */
TW_INLINE tw_v8 tw_log1p(tw_v8 v)
{
    tw_v8 small = v * (1.0f - v * (0.5f - v * (0.333333333f - v * (0.25f - v * 0.2f))));
    return tw_pick(v < 0.06f, small, tw_ln(v + 1.0f));
}

/* e^v - 1 for 0 <= v <= 1: nine terms of the series, relative error < 4e-7. */
TW_INLINE tw_v8 tw_expm1(tw_v8 v)
{
    tw_v8 p = 1.0f + v * (1.0f / 9.0f);
    for (int i = 8; i > 1; i--)
        p = 1.0f + p * v * (1.0f / (float)i);
    return p * v;
}

/* The normal distribution function: Abramowitz and Stegun 26.2.17, absolute error < 2e-7 in float32. */
TW_INLINE tw_v8 tw_phi(tw_v8 z)
{
    tw_v8 a = tw_max(z, -z);
    tw_v8 k = 1.0f / (1.0f + 0.2316419f * a);
    tw_v8 p = k * (-0.356563782f + k * (1.781477937f + k * (-1.821255978f + k * 1.330274429f)));
    tw_v8 tail = 0.39894228f * tw_exp(-0.5f * a * a) * k * (0.319381530f + p);
    return tw_pick(z >= 0.0f, 1.0f - tail, tail);
}

/* student_z of student.pxd: the normal deviate with the tail of t. */
TW_INLINE tw_v8 tw_student_z(tw_v8 t, tw_v8 dof)
{
    tw_v8 a = dof - 0.5f;
    tw_v8 b = 48.0f * a * a;
    tw_v8 y = a * tw_log1p(t * t / dof);
    tw_v8 z = ((((-0.4f * y - 3.3f) * y - 24.0f) * y - 85.5f) / (0.8f * y * y + 100.0f + b) + y + 3.0f) / b + 1.0f;
    z = z * tw_sqrt(y);
    return tw_pick(t >= 0.0f, z, -z);
}

#endif
