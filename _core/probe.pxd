# When belief alone would drop or refuse a job, and when it lets one through all the same, to see whether it still holds;
# and when a probe makes the next one due at once. Who is probed though no job would come there is in stale.pxd.
from libc.math cimport exp

from _core.lanes cimport is_candidate, set_bit
from _core.layout cimport LANES, Profile, State, TicketSlot, int64_t, profile_at, served_block
from _core.predict cimport location

cdef extern from *:
    """
    #define TW_DRIFT 0.75           /* of the CUSUM (change.pxd): half of the smallest shift of the mean worth an alarm */
    #define TW_SURPRISING 1.25      /* CUSUM of results faster than believed: 2 sd at once */
    """
    const double DRIFT "TW_DRIFT"
    const double SURPRISING "TW_SURPRISING"

cdef enum:
    PROBE_GAP_NS = 1_000_000_000    # so long without a result, a job that belief would refuse may be let through
    NEW_RESULTS = 8                 # after which a profile that became faster is known again


cdef inline void is_recovering(State* st, int model, int lane) noexcept nogil:
    """The next job may be a probe of it, as soon as it is idle (stale.pxd)."""
    set_bit(st.model[model].recovering, lane, True)
    st.model[model].next_stale_ns = 0


cdef inline void doubt_slowness(State* st, int lane) noexcept nogil:
    """The resource became faster: until they have seen enough of it, its profiles refuse nothing and are probed."""
    cdef Profile* p
    cdef int m
    for m in range(st.head.n_models):
        p = profile_at(st, m, lane)
        p.doubted_until = p.n_results + NEW_RESULTS
        if is_candidate(st, m, lane):
            is_recovering(st, m, lane)


cdef inline void judge_probe(State* st, const TicketSlot* job, int signal, double faster) noexcept nogil:
    """After a result was tested for change, `faster` being the CUSUM before: whether the next probe of its profile is
    due at once. Not after one that was slower than the median, however fast those before it: luck that lasts for three
    would else take another ten to come down. Whatever was due before, a job's first signal decides anew."""
    cdef const Profile* p = profile_at(st, job.model, job.lane)
    if p.n_results < p.doubted_until or (
            job.probe and p.drift[signal].faster > max(SURPRISING, faster - DRIFT)):
        is_recovering(st, job.model, job.lane)
    elif signal == 0:
        set_bit(st.model[job.model].recovering, job.lane, False)


cdef inline bint is_known(const Profile* p, bint streams) noexcept nogil:
    """Enough is known (n >= 8 of each signal, a given profile's weight counted in) to refuse by it. A cold profile would
    refuse everything and never learn; one that has just been found to be faster would be refused by what it
    was like before."""
    return p.signal[0].total[0] + p.given.weight >= 8.0 and (not streams or p.signal[1].total[0] >= 8.0) \
        and p.n_results >= p.doubted_until


cdef inline bint probe_due(Profile* p, int64_t now_ns) noexcept nogil:
    """True once a second while nothing is learned of the profile: a resource that was slow and has recovered must
    be able to show it. Where results come in, belief follows them and needs no probe. A result that was faster than
    forecast makes the next one due after a tenth of that: it takes several to tell a recovery from luck.
    (One in twenty of those that would be dropped, besides: +.11 +- .20 and -.05 +- .23 points of goodput at .95 and
    1.2 of the capacity over 14 seeds in tests/world.py; so not that.)"""
    cdef int64_t gap = PROBE_GAP_NS // 10 if p.drift[0].faster > SURPRISING else PROBE_GAP_NS
    if 0 <= now_ns - p.decayed_ns < gap or 0 <= now_ns - p.probed_ns < gap:    # a clock that went back hides none for long
        return False
    p.probed_ns = now_ns
    return True


cdef inline double median_service(const State* st, const TicketSlot* job) noexcept nogil:
    """exp(m) of a ticket by what is believed now; its columns are as they were decided on."""
    return exp(location(served_block(st, job.model, 0, job.lane // LANES) + job.lane % LANES, job.x, job.d))


cdef inline bint may_start(
    const State* st, const TicketSlot* job, bint explore, double left_s, int64_t now_ns
) noexcept nogil:
    """The start test: a job whose turn has come and whose median service exceeds the time left is not started."""
    cdef Profile* p = profile_at(st, job.model, job.lane)
    cdef bint two = st.model[job.model].n_signals == 2
    return not is_known(p, two) or median_service(st, job) <= left_s or (explore and probe_due(p, now_ns))
