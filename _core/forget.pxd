# How evidence loses weight: by time, and at once when it no longer describes its resource.
from _core.layout cimport Evidence, Profile, State, Work, int64_t
from _core.posterior cimport fade, kept
from _core.served cimport profile_age_s

cdef enum:
    LEAST_N = 8     # what an alarm leaves of a profile; the clock alone never takes it below that either


cdef inline void scale_work(Work* work, double factor) noexcept nogil:
    work.items *= factor
    work.busy_s *= factor
    work.n *= factor


cdef inline void fade_profile(State* st, Profile* p, int model, int64_t now_ns) noexcept nogil:
    """Brings every decayed number of the profile to now. A clock that went back fades nothing, and goes on from there."""
    cdef double age_s = profile_age_s(p, now_ns)
    cdef double factor
    cdef int s
    if age_s <= 0.0:
        p.decayed_ns = now_ns
        return
    for s in range(st.model[model].n_signals):
        factor = kept(p.signal[s].total[0], age_s, st.model[model].tau_s)
        if factor < 1.0:
            fade(&p.signal[s], st.model[model].d, factor)
    factor = kept(p.succeeded + p.failed, age_s, st.model[model].tau_s)
    p.succeeded *= factor
    p.failed *= factor
    scale_work(&p.work, kept(p.work.n, age_s, st.model[model].tau_s))
    p.decayed_ns = now_ns


cdef inline double weight_left(double n, double most) noexcept nogil:
    """Factor that leaves at most `most` of n."""
    return most / n if n > most else 1.0


cdef inline void discount(Evidence* e, int d, double most) noexcept nogil:
    """The same rows, together worth at most `most`."""
    if e.total[0] > most:
        fade(e, d, weight_left(e.total[0], most))
