# Jobs of one model that are served together, as one run: its lead runs on the lane as any job does, with the features
# of the whole; its riders are in no account of the lane, keep what they were promised, and teach nothing.
from _core.foreign cimport note_past
from _core.forecast cimport Forecast, RouteInfo, forecast_lane
from _core.layout cimport Load, State, TICKET_RIDING, TicketSlot, int64_t
from _core.moves cimport keep_given
from _core.tickets cimport lane_changed, leave_queue, run_ticket, set_forecast, track_columns


cdef inline void lead_out(State* st, int t) noexcept nogil:
    """The queued ticket t is to lead: first of all it leaves its queue."""
    cdef TicketSlot* job = st.ticket + t
    leave_queue(st, t)
    job.alone_s = job.mean_s
    job.n_riders = 0
    st.model[job.model].joins = 1


cdef inline void take_along(State* st, int t, int lead, int64_t now_ns) noexcept nogil:
    """The queued ticket t rides with one that was led out of the same lane's queue. What it holds of the lane, tokens
    in its cache and the breaker's probe, is the run's from now on."""
    cdef TicketSlot* job = st.ticket + t
    cdef TicketSlot* first = st.ticket + lead
    cdef Load* load = st.load + job.lane
    leave_queue(st, t)
    note_past(load, job, now_ns)    # of those that waited there
    job.state = TICKET_RIDING
    job.start_ns = now_ns
    job.next = job.prev = -1
    first.alone_s += job.mean_s
    first.n_riders += 1
    first.probe |= job.probe
    first.prompt += job.prompt
    first.own += job.own
    job.prompt = job.own = 0.0
    if load.breaker.probe == t + 1:
        load.breaker.probe = lead + 1


cdef inline void set_out(
    State* st, int lead, const RouteInfo* route, const double* x, double left_s, int64_t now_ns, Forecast* f
) noexcept nogil:
    """All are aboard: the run begins. x (n_request,), encoded, of all of it  # IN; f: its forecast, with the columns
    of its lane as they are without its jobs  # OUT"""
    cdef TicketSlot* job = st.ticket + lead
    track_columns(st, job.lane)
    keep_given(st, job)
    forecast_lane(st, route, job.lane, x, left_s, now_ns, f)
    set_forecast(st, job, f)
    run_ticket(st, lead, now_ns)
    lane_changed(st, job.lane, True, True, now_ns)


cdef inline void share_forecast(State* st, int t, int lead) noexcept nogil:
    """A rider's service is that of the run."""
    cdef TicketSlot* job = st.ticket + t
    cdef const TicketSlot* first = st.ticket + lead
    job.m, job.s, job.dof = first.m, first.s, first.dof
    job.mean_s, job.var_s2 = first.mean_s, first.var_s2
