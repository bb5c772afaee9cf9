# Items per second of busy time. A batch server may take longer for a job and yet get more done.
from libc.math cimport exp, expm1

from _core.forget cimport scale_work
from _core.layout cimport ModelInfo, Profile, State, TicketSlot, Work, int64_t, profile_at
from _core.posterior cimport kept
from _core.pool cimport profile_age_s


cdef inline double items_of(const ModelInfo* info, const double* x) noexcept nogil:
    """Items of one encoded request; 1 where the model does not say which feature counts them."""
    if info.items == 0:
        return 1.0
    return info.items_typical * exp(x[info.items]) if info.items_typical > 0.0 else expm1(x[info.items])


cdef inline void learn_work(State* st, const TicketSlot* job, double service_s) noexcept nogil:
    """Adds a completion to a faded profile; after its latency, so that an alarm discounts only what came before."""
    cdef Work* work = &profile_at(st, job.model, job.lane).work
    work.items += items_of(st.model + job.model, job.x)
    work.busy_s += service_s
    work.n += 1.0


cdef inline Work work_now(const State* st, int model, int lane, int64_t now_ns) noexcept nogil:
    """What was done, weighted as of now."""
    cdef const Profile* p = profile_at(st, model, lane)
    cdef Work work = p.work
    scale_work(&work, kept(work.n, profile_age_s(p, now_ns), st.model[model].tau_s))
    return work


cdef inline double throughput_of(
    const State* st, int model, int lane, double items, double service_s, int64_t now_ns
) noexcept nogil:
    """Items per busy second: what was seen and this request with its expected service as one job more, so that nothing
    known is the forecast."""
    cdef Work work = work_now(st, model, lane, now_ns)
    return (work.items + items) / (work.busy_s + service_s)
