/* TW_WIDTH float32 lanes as one value, and half as many of float64. Plain GCC/Clang vector types, few intrinsics, each
 * with a plain form beside it, and no fast-math: the compiler makes AVX-512, AVX2, SSE2, NEON or scalars of
 * it, whatever the file that includes it is compiled for. A vector wider than the machine's would be taken apart lane
 * by lane (measured: ten times slower), so each version of the kernels has its own width. */
#ifndef TAILWISE_VECTOR_H
#define TAILWISE_VECTOR_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#define TW_INLINE static inline __attribute__((always_inline, unused))

enum { TW_DOUBLES = TW_WIDTH / 2 };

typedef float tw_v __attribute__((vector_size(4 * TW_WIDTH), may_alias));
typedef int32_t tw_i __attribute__((vector_size(4 * TW_WIDTH), may_alias));
typedef double tw_d __attribute__((vector_size(4 * TW_WIDTH), may_alias));
typedef int64_t tw_l __attribute__((vector_size(4 * TW_WIDTH), may_alias));
typedef uint64_t tw_u __attribute__((vector_size(4 * TW_WIDTH), may_alias));

TW_INLINE tw_v tw_load(const float *p) { tw_v v; memcpy(&v, p, sizeof v); return v; }
TW_INLINE void tw_store(float *p, tw_v v) { memcpy(p, &v, sizeof v); }
TW_INLINE tw_v tw_splat(float a) { return a - (tw_v){0}; }
TW_INLINE tw_v tw_pick(tw_i mask, tw_v a, tw_v b) { return (tw_v)((mask & (tw_i)a) | (~mask & (tw_i)b)); }
TW_INLINE tw_v tw_known(tw_v v, tw_v otherwise) { return tw_pick(v == v, v, otherwise); }

/* b where either is NaN. By name on x86, where the compiler does not see one instruction in a comparison and a choice. */
#if TW_WIDTH == 16 && defined(__AVX512F__)
TW_INLINE tw_v tw_min(tw_v a, tw_v b) { return (tw_v)__builtin_ia32_minps512_mask(a, b, a, (unsigned short)-1, 4); }
TW_INLINE tw_v tw_max(tw_v a, tw_v b) { return (tw_v)__builtin_ia32_maxps512_mask(a, b, a, (unsigned short)-1, 4); }
#elif TW_WIDTH == 8 && defined(__AVX__)
TW_INLINE tw_v tw_min(tw_v a, tw_v b) { return (tw_v)__builtin_ia32_minps256(a, b); }
TW_INLINE tw_v tw_max(tw_v a, tw_v b) { return (tw_v)__builtin_ia32_maxps256(a, b); }
#elif TW_WIDTH == 4 && defined(__SSE2__)
TW_INLINE tw_v tw_min(tw_v a, tw_v b) { return (tw_v)__builtin_ia32_minps(a, b); }
TW_INLINE tw_v tw_max(tw_v a, tw_v b) { return (tw_v)__builtin_ia32_maxps(a, b); }
#else
TW_INLINE tw_v tw_min(tw_v a, tw_v b) { return tw_pick(a < b, a, b); }
TW_INLINE tw_v tw_max(tw_v a, tw_v b) { return tw_pick(a > b, a, b); }
#endif

TW_INLINE tw_d tw_load_d(const double *p) { tw_d v; memcpy(&v, p, sizeof v); return v; }
TW_INLINE void tw_store_d(double *p, tw_d v) { memcpy(p, &v, sizeof v); }
TW_INLINE tw_d tw_splat_d(double a) { return a - (tw_d){0}; }
TW_INLINE tw_d tw_pick_d(tw_l mask, tw_d a, tw_d b) { return (tw_d)((mask & (tw_l)a) | (~mask & (tw_l)b)); }

/* As tw_min and tw_max. */
#if TW_WIDTH == 16 && defined(__AVX512F__)
TW_INLINE tw_d tw_min_d(tw_d a, tw_d b) { return (tw_d)__builtin_ia32_minpd512_mask(a, b, a, (unsigned char)-1, 4); }
TW_INLINE tw_d tw_max_d(tw_d a, tw_d b) { return (tw_d)__builtin_ia32_maxpd512_mask(a, b, a, (unsigned char)-1, 4); }
#elif TW_WIDTH == 8 && defined(__AVX__)
TW_INLINE tw_d tw_min_d(tw_d a, tw_d b) { return (tw_d)__builtin_ia32_minpd256(a, b); }
TW_INLINE tw_d tw_max_d(tw_d a, tw_d b) { return (tw_d)__builtin_ia32_maxpd256(a, b); }
#elif TW_WIDTH == 4 && defined(__SSE2__)
TW_INLINE tw_d tw_min_d(tw_d a, tw_d b) { return (tw_d)__builtin_ia32_minpd(a, b); }
TW_INLINE tw_d tw_max_d(tw_d a, tw_d b) { return (tw_d)__builtin_ia32_maxpd(a, b); }
#else
TW_INLINE tw_d tw_min_d(tw_d a, tw_d b) { return tw_pick_d(a < b, a, b); }
TW_INLINE tw_d tw_max_d(tw_d a, tw_d b) { return tw_pick_d(a > b, a, b); }
#endif

/* TW_WIDTH / 2 float32 as float64. */
TW_INLINE tw_d tw_widen(const float *p)
{
    typedef float half __attribute__((vector_size(2 * TW_WIDTH)));
    half v;
    memcpy(&v, p, sizeof v);
    return __builtin_convertvector(v, tw_d);
}

/* One by one, and volatile keeps the compiler from making one load of it: a vector loaded over what scalars have just
 * stored waits until all of them are in the cache (15 ns). */
TW_INLINE void tw_floats(const volatile double *x, int n, float *out)
{
    for (int i = 0; i < n; i++)
        out[i] = (float)x[i];
}

/* The same for a vector. */
TW_INLINE tw_d tw_gather_d(const volatile double *p)
{
#if TW_WIDTH == 16
    return (tw_d){p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]};
#elif TW_WIDTH == 8
    return (tw_d){p[0], p[1], p[2], p[3]};
#else
    return (tw_d){p[0], p[1]};
#endif
}

/* Both halves as float32. */
TW_INLINE tw_v tw_narrow(tw_d low, tw_d high)
{
    typedef float half __attribute__((vector_size(2 * TW_WIDTH)));
    half l = __builtin_convertvector(low, half), h = __builtin_convertvector(high, half);
#if !defined(__clang__) && __GNUC__ < 12    /* has no other way to put two together */
    tw_v both;
    memcpy(&both, &l, sizeof l);
    memcpy((char *)&both + sizeof l, &h, sizeof h);
    return both;
#elif TW_WIDTH == 16
    return __builtin_shufflevector(l, h, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#elif TW_WIDTH == 8
    return __builtin_shufflevector(l, h, 0, 1, 2, 3, 4, 5, 6, 7);
#else
    return __builtin_shufflevector(l, h, 0, 1, 2, 3);
#endif
}

/* Bit i: whether lane i of a comparison holds. */
TW_INLINE unsigned tw_bits(tw_i mask)
{
#if TW_WIDTH == 16 && defined(__AVX512DQ__)
    return (unsigned)(uint16_t)__builtin_ia32_cvtd2mask512((__attribute__((vector_size(64))) int)mask);
#elif TW_WIDTH == 8 && defined(__AVX__)
    return (unsigned)__builtin_ia32_movmskps256((__attribute__((vector_size(32))) float)mask);
#elif TW_WIDTH == 4 && defined(__SSE2__)
    return (unsigned)__builtin_ia32_movmskps((__attribute__((vector_size(16))) float)mask);
#else
    unsigned bits = 0;
    for (int i = 0; i < TW_WIDTH; i++)
        bits |= (unsigned)(mask[i] & 1) << i;
    return bits;
#endif
}

/* The least lane. By halves: in registers, where a loop over memory would wait for its own stores. */
TW_INLINE float tw_least(tw_v v)
{
    typedef float quarter __attribute__((vector_size(16)));
    typedef int32_t ints __attribute__((vector_size(16)));
    quarter q[TW_WIDTH / 4];
    memcpy(q, &v, sizeof v);
    for (int i = 1; i < TW_WIDTH / 4; i++) {
        ints less = q[i] < q[0];
        q[0] = (quarter)((less & (ints)q[i]) | (~less & (ints)q[0]));
    }
    float a = q[0][0] < q[0][1] ? q[0][0] : q[0][1], b = q[0][2] < q[0][3] ? q[0][2] : q[0][3];
    return a < b ? a : b;
}

TW_INLINE double tw_sum_d(tw_d v)
{
#if TW_WIDTH == 16
    return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]));
#elif TW_WIDTH == 8
    return (v[0] + v[1]) + (v[2] + v[3]);
#else
    return v[0] + v[1];
#endif
}

TW_INLINE int tw_any_d(tw_l mask)
{
    int64_t any = 0;
    for (int i = 0; i < TW_DOUBLES; i++)
        any |= mask[i];
    return any != 0;
}

/* exp: 2^k p(r), r = x - k ln 2 in two parts; Cephes expf coefficients, relative error < 2e-7.
 * Held to [-60, 60] (LN_LIMIT in shape.h). */
TW_INLINE tw_v tw_exp(tw_v x)
{
    x = tw_min(tw_max(x, tw_splat(-60.0f)), tw_splat(60.0f));
    const tw_v shift = tw_splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    tw_v k = x * 1.44269504f + shift;
    tw_i bits = ((tw_i)k) << 23;              /* the low bits of the sum are k: into the exponent */
    k = k - shift;
    tw_v r = x - k * 0.693359375f;
    r = r - k * -2.12194440e-4f;
    /* by pairs (Estrin): with eight candidates nothing else is there to be done while one step waits for another */
    tw_v r2 = r * r;
    tw_v high = (1.9875691500e-4f * r + 1.3981999507e-3f) * r2 + (8.3334519073e-3f * r + 4.1665795894e-2f);
    tw_v p = high * (r2 * r2) + ((1.6666665459e-1f * r + 5.0000001201e-1f) * r2 + (r + 1.0f));
    return (tw_v)((tw_i)p + bits);
}

/* ln((1 + f) 2^k), f in [-.3, .42]: Cephes logf coefficients, by pairs as in tw_exp. */
TW_INLINE tw_v tw_ln_of(tw_v f, tw_v k)
{
    tw_v z = f * f;
    tw_v low = (-2.4999993993e-1f * f + 3.3333331174e-1f) + z * (-1.6668057665e-1f * f + 2.0000714765e-1f);
    tw_v high = (-1.2420140846e-1f * f + 1.4249322787e-1f) + z * (-1.1514610310e-1f * f + 1.1676998740e-1f)
        + z * z * 7.0376836292e-2f;
    return f + ((low + z * z * high) * f * z + (k * -2.12194440e-4f - 0.5f * z)) + k * 0.693359375f;
}

/* k of v = m 2^k, m in [sqrt(1/2), sqrt(2)). */
TW_INLINE tw_i tw_exponent(tw_v v) { return ((tw_i)v - 0x3f3504f3) >> 23; }

/* ln of a normal v > 0, relative error smallest for v >= 1 (columns: 1 + v/scale), where it is < 2e-7. */
TW_INLINE tw_v tw_ln(tw_v v)
{
    tw_i k = tw_exponent(v);
    return tw_ln_of((tw_v)((tw_i)v - (k << 23)) - 1.0f, __builtin_convertvector(k, tw_v));
}

/* ln of a normal v > 0 in float64, relative error < 1e-15: FreeBSD's e_log.c without its branches. Two lanes are no
 * gain over the C library. */
TW_INLINE tw_d tw_ln_d(tw_d v)
{
#if TW_WIDTH == 4
    return (tw_d){log(v[0]), log(v[1])};
#endif
    const double two52 = 4503599627370496.0;
    tw_u bits = (tw_u)v;
    /* the exponent as the low bits of 2^52: no instruction before AVX-512 converts int64 */
    tw_d k = (tw_d)((bits >> 52) | 0x4330000000000000u) - (two52 + 1023.0);
    tw_d m = (tw_d)((bits & 0x000fffffffffffffu) | 0x3ff0000000000000u);
    tw_l high = m > 1.4142135623730951;
    m = tw_pick_d(high, 0.5 * m, m);
    k = k + tw_pick_d(high, tw_splat_d(1.0), tw_splat_d(0.0));
    tw_d f = m - 1.0, s = f / (2.0 + f), z = s * s, w = z * z, half = 0.5 * f * f;
    tw_d even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
    tw_d odd = z * (6.666666666666735130e-01 + w * (2.857142874366239149e-01
        + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
    return k * 6.93147180369123816490e-01 - ((half - (s * (half + even + odd) + k * 1.90821492927058770002e-10)) - f);
}

TW_INLINE tw_v tw_sqrt(tw_v v)
{
    float a[TW_WIDTH];
    memcpy(a, &v, sizeof v);
    for (int i = 0; i < TW_WIDTH; i++)
        a[i] = sqrtf(a[i]);
    memcpy(&v, a, sizeof v);
    return v;
}

/* 1 / v of a normal v, relative error < 3e-7: on x86 the processor's estimate and one step of Newton, in a fifth of the
 * time that its divider is busy. NaN where v is 0 or infinite. */
TW_INLINE tw_v tw_inv(tw_v v)
{
#if TW_WIDTH == 16 && defined(__AVX512F__)
    tw_v r = (tw_v)__builtin_ia32_rcp14ps512_mask(v, v, (unsigned short)-1);
#elif TW_WIDTH == 8 && defined(__AVX__)
    tw_v r = (tw_v)__builtin_ia32_rcpps256(v);
#elif TW_WIDTH == 4 && defined(__SSE2__)
    tw_v r = (tw_v)__builtin_ia32_rcpps(v);
#else
    return 1.0f / v;
#endif
#if defined(__SSE2__)
    return r * (2.0f - v * r);
#endif
}

/* sqrt of a normal v, relative error < 3e-7, by the estimate of 1 / sqrt. NaN where v is 0 or infinite. */
TW_INLINE tw_v tw_root(tw_v v)
{
#if TW_WIDTH == 16 && defined(__AVX512F__)
    tw_v r = (tw_v)__builtin_ia32_rsqrt14ps512_mask(v, v, (unsigned short)-1);
#elif TW_WIDTH == 8 && defined(__AVX__)
    tw_v r = (tw_v)__builtin_ia32_rsqrtps256(v);
#elif TW_WIDTH == 4 && defined(__SSE2__)
    tw_v r = (tw_v)__builtin_ia32_rsqrtps(v);
#else
    return tw_sqrt(v);
#endif
#if defined(__SSE2__)
    tw_v w = v * r;
    return w * (1.5f - 0.5f * w * r);
#endif
}

/* ln(1 + v), v >= 0, relative error < 3e-7: what 1 + v would round away stays where nothing is to be scaled. */
TW_INLINE tw_v tw_log1p(tw_v v)
{
    tw_v w = v + 1.0f;
    tw_i k = tw_exponent(w);
    tw_v f = tw_pick(k == 0, v, (tw_v)((tw_i)w - (k << 23)) - 1.0f);
    return tw_ln_of(f, __builtin_convertvector(k, tw_v));
}

/* e^v - 1 for 0 <= v <= 1: nine terms of the series, relative error < 4e-7. */
TW_INLINE tw_v tw_expm1(tw_v v)
{
    tw_v w = v * v;
    tw_v low = (1.0f + v * 0.5f) + w * (1.0f / 6.0f + v * (1.0f / 24.0f));
    tw_v high = (1.0f / 120.0f + v * (1.0f / 720.0f)) + w * (1.0f / 5040.0f + v * (1.0f / 40320.0f))
        + w * w * (1.0f / 362880.0f);
    return v * (low + w * w * high);
}

#endif
