# Whom a profile with little data borrows from: the resources of its model that reported last, N_POOLED at most, so that
# no rebuild reads more of them, however many there are. Up to N_POOLED resources that is everyone who ever reported.
#
# Who reports and is not among them takes the place of the one that came in first: a queue costs O(1), and in a fleet of
# thousands whoever reports again is soon in again. Sums are read in order of lanes, so that the order in which reports
# came does not show in the last bit.
from libc.string cimport memset

from _core.fit cimport regress
from _core.lanes cimport get_bit, next_lane, set_bit
from _core.layout cimport MAX_SUMS, N_POOLED, Pool, Profile, State, int64_t, profile_at, uint64_t
from _core.posterior cimport add_sums, kept


cdef inline void join_pool(Pool* pool, int lane) noexcept nogil:
    """The lane has reported."""
    if get_bit(pool.lanes, lane):
        return
    if pool.n == N_POOLED:
        set_bit(pool.lanes, pool.lane[pool.next], False)
    else:
        pool.n += 1
    set_bit(pool.lanes, lane, True)
    pool.lane[pool.next] = lane
    pool.next = (pool.next + 1) % N_POOLED


cdef inline double profile_age_s(const Profile* p, int64_t now_ns) noexcept nogil:
    return <double>(now_ns - p.decayed_ns) * 1e-9


cdef inline double read_sums(
    const State* st, int model, int signal, int lane, int64_t now_ns, double* sums
) noexcept nogil:
    """sums += the profile's sums, faded to now; returns their n (the corner of A, since x[0] = 1)."""
    cdef const Profile* p = profile_at(st, model, lane)
    cdef double n = p.signal[signal].total[0] + p.signal[signal].lost[0]
    cdef double factor
    if n <= 0.0:
        return 0.0
    factor = kept(n, profile_age_s(p, now_ns), st.model[model].tau_s)
    add_sums(&p.signal[signal], st.model[model].d, factor, sums)
    return factor * n


cdef inline double pooled_mean(
    const State* st, int model, int signal, int skip, int64_t now_ns, double* mean, double* sums
) noexcept nogil:
    """Regression over the pooled resources but `skip`: mean (d,)  # OUT, sums  # OUT. Returns n. Cost: N_POOLED sums."""
    cdef const uint64_t* pooled = st.model[model].pool.lanes
    cdef double n = 0.0
    cdef int r = next_lane(pooled, -1)
    memset(sums, 0, MAX_SUMS * sizeof(double))
    while r >= 0:
        if r != skip:
            n += read_sums(st, model, signal, r, now_ns, sums)
        r = next_lane(pooled, r)
    regress(st.model + model, signal, sums, n, mean)
    return n
