# What jobs that are served together take of what each was forecast to take alone: what queued ones count for.
from _core.layout cimport Joint, State, TicketSlot, profile_at

cdef extern from *:
    """
    #define TW_KEPT .95     /* weight of a run against the next: the last twenty, since batches grow with the load */
    """
    const double KEPT "TW_KEPT"


cdef inline double joint_share(const State* st, int model, int lane) noexcept nogil:
    """Of its own service, what a queued job of the model makes those behind it wait; 1 where none were joined."""
    cdef const Joint* joint
    if not st.model[model].joins:
        return 1.0
    joint = &profile_at(st, model, lane).joint
    return joint.run_s / joint.alone_s if joint.run_s < joint.alone_s else 1.0


cdef inline void learn_joint(State* st, const TicketSlot* job, double service_s) noexcept nogil:
    """A run has completed, of one job or of several."""
    cdef Joint* joint = &profile_at(st, job.model, job.lane).joint
    if not st.model[job.model].joins:
        return
    joint.run_s = KEPT * joint.run_s + service_s
    joint.alone_s = KEPT * joint.alone_s + (job.alone_s if job.n_riders else job.mean_s)
