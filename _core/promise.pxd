# One promise a job. A hedge or a retry is another ticket of the same job: its open tickets form a ring (`mate`, itself
# when alone), and one of them carries what was promised by the first.
from _core.lanes cimport set_bit
from _core.layout cimport Promise, State, uint64_t


cdef inline void join_job(State* st, int t, int mate) noexcept nogil:
    """The new ticket t is of the same job as the open ticket `mate`."""
    st.ticket[t].mate = st.ticket[mate].mate
    st.ticket[mate].mate = t


cdef inline void leave_job(State* st, int t) noexcept nogil:
    """Cost O(open tickets of the job)."""
    cdef int before = t
    while st.ticket[before].mate != t:
        before = st.ticket[before].mate
    st.ticket[before].mate = st.ticket[t].mate
    st.ticket[t].mate = t


cdef inline void leave_out_job(const State* st, int t, uint64_t* lanes) noexcept nogil:
    """Clears the lanes that the open tickets of t's job are on: what holds one up would hold up another as well."""
    cdef int other = t
    while True:
        set_bit(lanes, st.ticket[other].lane, False)
        other = st.ticket[other].mate
        if other == t:
            return


cdef inline Promise* promise_of(State* st, int t) noexcept nogil:
    """What was promised to the job of ticket t, whichever of its tickets carries it; that of t itself, not made, when
    nothing was or it is settled."""
    cdef int other = t
    while not st.ticket[other].promise.made:
        other = st.ticket[other].mate
        if other == t:
            break
    return &st.ticket[other].promise


cdef inline bint hand_over(State* st, int t) noexcept nogil:
    """Before t ends without a result: False when it is the last one, and the promise is settled by its end."""
    cdef int mate = st.ticket[t].mate
    if mate == t:
        return False
    if st.ticket[t].promise.made:
        st.ticket[mate].promise = st.ticket[t].promise
        st.ticket[t].promise.made = 0
    return True


cdef inline int set_aside(State* st, int t, Promise* kept) noexcept nogil:
    """Before t is closed and its job tried again: takes the promise out of the slot  # OUT. Returns another open ticket
    of the job, or -1."""
    cdef int mate = st.ticket[t].mate
    kept[0] = st.ticket[t].promise
    st.ticket[t].promise.made = 0
    return mate if mate != t else -1
