# How many tokens an answer will have: ln(tokens) on the request's features, one regression per model over all resources.
from libc.math cimport log, sqrt
from libc.string cimport memset

from _core.fit cimport Posterior, Prior, posterior_of
from _core.layout cimport Length, LENGTH_LIMIT, MAX_SUMS, ModelInfo, State, int64_t
from _core.posterior cimport add_sums, fade, kept, observe
from _core.wait cimport service_mean, service_var

cdef extern from *:
    """
    #define TW_LN_TOKENS 4.852030263919617      /* ln 128: what an answer is taken to have while none was seen */
    """
    const double LN_TOKENS "TW_LN_TOKENS"


cdef inline void length_prior(const ModelInfo* info, double y0, Prior* prior) noexcept nogil:
    """128 tokens, as vague as a service time: variances 60 and 3 in units of sigma^2."""
    cdef int i
    for i in range(info.n_request):
        prior.l0[i] = 1.0 / 3.0
        prior.mu0[i] = 0.0
    prior.l0[0] = 1.0 / 60.0
    prior.mu0[0] = LN_TOKENS - y0
    prior.a0 = 2.0
    prior.beta0 = 0.18


cdef inline void serve_length(State* st, int model) noexcept nogil:
    """Works the posterior out from the sums. Cost O(d^3)."""
    cdef Length* length = &st.model[model].length
    cdef const ModelInfo* info = st.model + model
    cdef double[MAX_SUMS] sums
    cdef Prior prior
    cdef Posterior post
    cdef int i
    memset(sums, 0, sizeof(sums))
    add_sums(&length.data, info.n_request, 1.0, sums)
    length_prior(info, length.y0, &prior)
    posterior_of(sums, sums[0], &prior, info.n_request, &post)
    for i in range(info.n_request):
        length.mean[i] = post.mean[i]
    length.mean[0] += length.y0
    for i in range(info.n_request * (info.n_request + 1) // 2):
        length.factor[i] = post.factor[i]
    length.scale2 = post.scale2
    length.dof = post.dof
    length.pending = 0


cdef inline void learn_length(State* st, int model, const double* x, double tokens, int64_t now_ns) noexcept nogil:
    """Adds one whole answer of tokens >= 1; rebuilt as a served copy is."""
    cdef Length* length = &st.model[model].length
    cdef int d = st.model[model].n_request
    cdef double y = log(tokens), age_s = <double>(now_ns - length.decayed_ns) * 1e-9, factor
    if age_s > 0.0:
        factor = kept(length.data.total[0], age_s, st.model[model].tau_s)
        if factor < 1.0:
            fade(&length.data, d, factor)
        length.decayed_ns = now_ns
    if length.data.total[0] <= 0.0:
        length.y0 = y
    observe(&length.data, x, d, y - length.y0, 0.0)
    length.pending += 1
    if length.pending * 8 >= length.data.total[0] or length.pending >= 64:
        serve_length(st, model)


cdef inline void forecast_length(
    const State* st, int model, const double* x, double* ln_tokens, double* spread
) noexcept nogil:
    """Location and scale of ln(tokens)  # OUT."""
    cdef const Length* length = &st.model[model].length
    cdef int d = st.model[model].n_request, i, j, k = 0
    cdef double m = 0.0, q = 0.0, v
    for i in range(d):
        m += length.mean[i] * x[i]
        v = 0.0
        for j in range(i + 1):
            v += length.factor[k] * x[j]
            k += 1
        q += v * v
    ln_tokens[0] = max(0.0, min(<double>LENGTH_LIMIT, m))
    spread[0] = sqrt(length.scale2 * (1.0 + q))


cdef inline double length_moments(const State* st, int model, const double* x, double* var) noexcept nogil:
    """Mean and variance of the number of tokens."""
    cdef double m, s, mean
    forecast_length(st, model, x, &m, &s)
    mean = service_mean(m, s)
    var[0] = service_var(mean, s)
    return mean
