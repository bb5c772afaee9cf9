# A lane's lines of tickets; which lanes take jobs at all, and which ones changed so much that queued jobs should be looked at again.
from libc.math cimport INFINITY

from _core.layout cimport LANES, Load, MASK_WORDS, MAX_LEVELS, ROW_OFFSET, State, served_block, uint64_t


cdef extern from *:
    int lowest_bit "__builtin_ctzll"(uint64_t bits) nogil    # of bits != 0


cdef inline void set_bit(uint64_t* words, int lane, bint on) noexcept nogil:
    if on:
        words[lane >> 6] |= <uint64_t>1 << (lane & 63)
    else:
        words[lane >> 6] &= ~(<uint64_t>1 << (lane & 63))


cdef inline bint get_bit(const uint64_t* words, int lane) noexcept nogil:
    return (words[lane >> 6] >> (lane & 63)) & 1


cdef inline int next_lane(const uint64_t* words, int lane) noexcept nogil:
    """The first lane after `lane` (-1 = the first of all) whose bit is set; -1 = none."""
    cdef int word = (lane + 1) >> 6
    cdef uint64_t bits
    if word >= MASK_WORDS:
        return -1
    bits = words[word] & (~<uint64_t>0 << ((lane + 1) & 63))
    while bits == 0:
        word += 1
        if word == MASK_WORDS:
            return -1
        bits = words[word]
    return word * 64 + lowest_bit(bits)


cdef inline void clear_lines(Load* load) noexcept nogil:
    """No ticket runs or is queued."""
    cdef int line
    load.first_running = -1
    for line in range(MAX_LEVELS):
        load.first_queued[line] = load.last_queued[line] = -1


cdef inline int line_of(const Load* load, int level) noexcept nogil:
    """Which line the queued jobs of a level stand in."""
    return 0 if load.in_order else level


cdef inline bint is_candidate(const State* st, int model, int lane) noexcept nogil:
    """Whether the lane's resource can run the model at all."""
    return served_block(st, model, 0, lane // LANES)[ROW_OFFSET * LANES + lane % LANES] < INFINITY


cdef inline void update_open(State* st, int lane) noexcept nogil:
    """A lane is open to new jobs while it is neither drained (a removed one is) nor ejected; n_shut counts the others."""
    cdef const Load* load = st.load + lane
    cdef bint now_open = not (load.drained or load.ejected)
    if now_open != get_bit(st.head.open_lanes, lane):
        set_bit(st.head.open_lanes, lane, now_open)
        st.head.n_shut += -1 if now_open else 1


cdef inline void disturb(State* st, int lane) noexcept nogil:
    """Forecasts of the lane's queued jobs no longer hold: their owner asks with `take_disturbed`."""
    set_bit(st.head.disturbed, lane, True)
