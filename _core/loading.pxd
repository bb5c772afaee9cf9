# A model that a resource has not loaded: its jobs wait there for that, too, beside what is ahead of every job. Nothing in a
# decision looks at it while all models are loaded.
from libc.math cimport INFINITY

from _core.lanes cimport get_bit, next_lane, set_bit
from _core.layout cimport ModelInfo, Stake, State, int64_t, profile_at
from _core.score cimport score_lane
from _core.wait cimport wait_mean


cdef inline void set_load(State* st, int model, int lane, double load_s) noexcept nogil:
    """The model's next job on the lane waits load_s >= 0 for it to be loaded; 0 = it is."""
    cdef ModelInfo* info = st.model + model
    cdef bint absent = load_s > 0.0
    info.n_absent += <int>absent - <int>get_bit(info.absent, lane)
    set_bit(info.absent, lane, absent)
    profile_at(st, model, lane).load_s = load_s


cdef inline double wait_for(const State* st, int model, int lane, int level, int64_t now_ns) noexcept nogil:
    """Seconds until a job of the model that arrives now would start on the lane: jobs ahead may start before it is loaded."""
    return wait_mean(st, lane, level, now_ns) + profile_at(st, model, lane).load_s


cdef inline void await_loads(const State* st, const Stake* stake) noexcept nogil:
    """After a score of all lanes: those that have not loaded the model. Cost: O(their number)."""
    cdef const ModelInfo* info = st.model + stake.model
    cdef int lane
    if not info.n_absent:
        return
    lane = next_lane(info.absent, -1)
    while lane >= 0:
        if st.cost[lane] < INFINITY:
            score_lane(st, stake, lane, st.waiting[lane] + profile_at(st, stake.model, lane).load_s, st.service[lane])
        lane = next_lane(info.absent, lane)
