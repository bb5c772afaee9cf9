# How evidence loses weight: by time, and at once when it no longer describes its resource.
from libc.math cimport exp

from _core.layout cimport Evidence, MAX_D, Profile, State, Work, int64_t
from _core.posterior cimport fade, kept_of
from _core.pool cimport profile_age_s

cdef enum:
    LEAST_N = 8     # what an alarm leaves of a profile; the clock alone never takes it below that either
    # results that slopes count as after an alarm; on recorded logs of a language model 30 to 100 are as good (bench/README)
    KEPT_SLOPES = 60


cdef inline void scale_work(Work* work, double factor) noexcept nogil:
    work.items *= factor
    work.busy_s *= factor
    work.n *= factor


cdef inline void fade_profile(State* st, Profile* p, int model, int64_t now_ns) noexcept nogil:
    """Brings every decayed number of the profile to now. A clock that went back fades nothing, and goes on from there."""
    cdef double age_s = profile_age_s(p, now_ns)
    cdef double aged, factor
    cdef int s
    if age_s <= 0.0:
        p.decayed_ns = now_ns
        return
    aged = exp(-age_s / st.model[model].tau_s)
    for s in range(st.model[model].n_signals):
        factor = kept_of(p.signal[s].total[0], aged)
        if factor < 1.0:
            fade(&p.signal[s], st.model[model].d, factor)
    factor = kept_of(p.succeeded + p.failed, aged)
    p.succeeded *= factor
    p.failed *= factor
    scale_work(&p.work, kept_of(p.work.n, aged))
    p.decayed_ns = now_ns


cdef inline double weight_left(double n, double most) noexcept nogil:
    """Factor that leaves at most `most` of n."""
    return most / n if n > most else 1.0


cdef inline void discount(Evidence* e, int d, double most, const double* mean) noexcept nogil:
    """The same rows, together worth at most `most`; but what they say of slopes counts as at most KEPT_SLOPES: a resource
    that has changed runs everything so many times slower or faster, and what a longer prompt costs is still known.

    Added back is the scatter of x about its mean, as rows without noise at the slopes of mean (d,), the posterior's: they
    say nothing of the level, and n and the noise stay those of `most` rows. Cost O(d^2).
    """
    cdef double n = e.total[0], w = weight_left(n, most), more = min(1.0, KEPT_SLOPES / n) - w if n > 0.0 else 0.0
    cdef double[MAX_D] to_mean
    cdef double scatter
    cdef int i, j, k, b = d * (d + 1) // 2
    if n <= most:
        return
    for i in range(d):
        to_mean[i] = e.total[i * (i + 1) // 2] / n
    for i in range(1, d):
        for j in range(1, i + 1):
            k = i * (i + 1) // 2 + j
            scatter = more * (e.total[k] - n * to_mean[i] * to_mean[j])
            if more > 0.0:
                e.total[k] += scatter / w       # faded with the rest below
                e.total[b + i] += scatter * mean[j] / w
                e.total[b + d] += scatter * mean[i] * mean[j] / w
                if i != j:
                    e.total[b + j] += scatter * mean[i] / w
                    e.total[b + d] += scatter * mean[i] * mean[j] / w
    fade(e, d, w)
