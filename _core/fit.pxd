# A prior and what it makes of sums: the fit of one regression.
from _core.layout cimport MAX_D, MAX_PACKED, ModelInfo
from _core.posterior cimport factorise, invert, noise, solve_mean

cdef extern from *:
    """
    #define TW_LN_TPOT -3.506557897319982     /* ln .03 s: a token of a language model, while none was seen */
    """
    const double LN_TPOT "TW_LN_TPOT"

cdef struct Prior:                  # normal-inverse-gamma, the coefficient precision diagonal
    double l0[MAX_D]                # in units of 1 / sigma^2
    double mu0[MAX_D]
    double a0, beta0

cdef struct Posterior:
    double mean[MAX_D]              # of y - y0
    double factor[MAX_PACKED]       # F, x' L^-1 x = |F x|^2
    double scale2, dof


cdef inline void vague(const ModelInfo* model, int signal, Prior* prior) noexcept nogil:
    """Nothing known: one second (.03 a token) give or take sd 7.7 sigma; variances 3 for request slopes, 1 for columns
    and terms."""
    cdef int i
    for i in range(model.d):
        prior.l0[i] = 1.0 / 3.0 if i < model.n_request else 1.0
        prior.mu0[i] = 0.0
    prior.l0[0] = 1.0 / 60.0
    prior.mu0[0] = (0.0 if signal == 0 else LN_TPOT) - model.y0[signal]
    prior.a0 = 2.0
    prior.beta0 = 0.18


cdef inline double excess_noise(
    const Prior* prior, const Prior* used, const double* mean, double beta, double n, int d
) noexcept nogil:
    """Noise variance of the residuals, the prior's counted in, over the prior's alone."""
    cdef double rss = 2.0 * (beta - prior.beta0), v
    cdef int i
    for i in range(d):
        v = mean[i] - used.mu0[i]
        rss -= used.l0[i] * v * v
    return (prior.beta0 + 0.5 * (rss if rss > 0.0 else 0.0)) / (prior.a0 + 0.5 * n) * prior.a0 / prior.beta0


cdef inline double fit(const double* sums, double n, const Prior* prior, int d, double* c, double* mean) noexcept nogil:
    """c: factor of L, mean (d,)  # OUT. Returns beta. Cost O(d^3).

    What the prior says of slopes is meant in ln(seconds), while a conjugate prior loosens with the noise: one stall would
    free the slopes to fit it, and extrapolate. So noise beyond the prior's tightens l0 of the slopes as much. Three
    rounds: eight jobs on an idle resource, then one of 1000 times in the first busy state (one column at 1), left a
    forecast 49 times too long there without, 3 with. Mean |error| of ln(seconds), n = 2..100 (sim): clean data lose up
    to 8% (slopes of sd 1, n = 4), with 5% outliers of 100 times it gains up to 23% (slopes of sd .5, n = 8).
    Rounds cost only where noise exceeds the prior's: at sd .6 complete took 1.9x as long on the first 8 results, 1.3x at 100.
    """
    cdef Prior tight = prior[0]
    cdef double beta, excess
    cdef int k, i
    for k in range(4):
        factorise(sums, tight.l0, d, c)
        solve_mean(sums, tight.l0, tight.mu0, c, d, mean)
        beta = noise(sums, tight.l0, tight.mu0, mean, d, tight.beta0)
        if d == 1 or k == 3:
            break
        excess = excess_noise(prior, &tight, mean, beta, n, d)
        if excess <= 1.0:
            break
        for i in range(1, d):
            tight.l0[i] = prior.l0[i] * excess
    return beta


cdef inline void regress(const ModelInfo* info, int signal, const double* sums, double n, double* mean) noexcept nogil:
    """mean (d,) of y - y0 from sums and the vague prior  # OUT."""
    cdef double c[MAX_PACKED]
    cdef Prior prior
    vague(info, signal, &prior)
    fit(sums, n, &prior, info.d, c, mean)


cdef inline void posterior_of(const double* sums, double n, const Prior* prior, int d, Posterior* out) noexcept nogil:
    cdef double c[MAX_PACKED]
    cdef double a = prior.a0 + 0.5 * n
    out.scale2 = fit(sums, n, prior, d, c, out.mean) / a
    invert(c, d, out.factor)
    out.dof = 2.0 * a
