# Completions whose time says nothing of the next one: after an idle gap or the load of a model, or by a clock that
# went back. They count for availability, and nothing else.
from _core.layout cimport Load, Profile, State, TicketSlot, int64_t, profile_at
from _core.learn cimport count_end, teaches
from _core.wait cimport n_open


cdef inline void learn_warmup(State* st, const TicketSlot* job, int64_t now_ns) noexcept nogil:
    """A profile that was seen in warm-ups only still counts as untried."""
    if teaches(st, job):
        count_end(st, job, True, now_ns)


cdef inline void end_gap(State* st, int lane, int64_t now_ns) noexcept nogil:
    """A job comes to the lane: was the lane without any for idle_gap_ns?"""
    cdef Load* load = st.load + lane
    if load.idle_ns != 0 and now_ns - load.idle_ns >= st.head.idle_gap_ns and n_open(load) == 0:
        load.n_gaps += 1


cdef inline bint is_cold(const State* st, const TicketSlot* job) noexcept nogil:
    """Whether its profile has completed nothing since the lane's last gap: first tokens until then are as slow."""
    return profile_at(st, job.model, job.lane).n_gaps != st.load[job.lane].n_gaps


cdef inline bint first_after_gap(State* st, const TicketSlot* job) noexcept nogil:
    """Whether this is the first completion of its profile since the lane's last gap; from now on it is none."""
    cdef bint first = is_cold(st, job)
    profile_at(st, job.model, job.lane).n_gaps = st.load[job.lane].n_gaps
    return first
