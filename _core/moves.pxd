# A ticket decided again while it is queued: taken out of the accounts, scored over all candidates, put where it is best.
from _core.among cimport decide_any
from _core.decide cimport GREEDY, has_place
from _core.forecast cimport Forecast, RouteInfo, forecast_lane
from _core.foreign cimport note_past
from _core.health cimport claim_probe, release_probe
from _core.layout cimport Load, ModelInfo, LANES, State, TicketSlot, int64_t, uint64_t
from _core.tickets cimport (
    count_queued, lane_changed, queue_ticket, run_ticket, set_forecast, uncount_queued, unlink,
)
from _core.stream cimport add_tokens, own_of, remove_tokens
from _core.urgency cimport patience, urgency
from _core.warmup cimport end_gap
from _core.wait cimport has_room


cdef inline RouteInfo unrefusing(const RouteInfo* route, double budget_s) noexcept nogil:
    """For decisions on a job that was admitted already: it is not refused, nor sent anywhere to learn."""
    cdef RouteInfo again = route[0]
    again.reject_below = 0.0
    again.explore = again.asks = False
    again.guaranteed = False
    again.placed = True
    again.patience = patience(budget_s)
    again.policy = GREEDY   # a new draw is no reason to move
    return again


cdef inline void keep_given(State* st, const TicketSlot* job) noexcept nogil:
    """Columns of the job's own lane with a given part, as they were decided on, into the scratch that decide reads."""
    cdef const ModelInfo* info = st.model + job.model
    cdef int j, stride = st.head.n_blocks * LANES
    for j in range(info.n_columns):
        if info.given_row[j] >= 0:
            st.given[j * stride + job.lane] = <float>job.x[info.n_request + j]


cdef inline void move_ticket(State* st, int t, const Forecast* f, const double* own, int64_t now_ns) noexcept nogil:
    """Links a queued ticket that is in no account (but still in its list) to the lane of f."""
    cdef TicketSlot* job = st.ticket + t
    cdef Load* load = st.load + f.lane
    cdef bint starts
    unlink(st, t)
    if st.load[job.lane].ejected:
        release_probe(st, job.lane, t)
    note_past(st.load + job.lane, job, now_ns)
    job.lane = f.lane
    job.came_ns = now_ns
    if st.head.idle_gap_ns:
        end_gap(st, f.lane, now_ns)
    if load.ejected:
        claim_probe(st, f.lane, t, now_ns)
    set_forecast(st, job, f)
    starts = load.in_order and has_room(load)
    if st.model[job.model].counts_tokens:
        job.own = own_of(own, f.lane, job.prompt)
        add_tokens(st, job)
    if starts:
        run_ticket(st, t, now_ns)
        lane_changed(st, f.lane, True, True, now_ns)
    else:
        queue_ticket(st, t, f)
        lane_changed(st, f.lane, False, True, now_ns)


cdef inline bint reconsider(
    State* st, int t, const RouteInfo* route, const uint64_t* mask, const double* own, double bonus, double left_s,
    int64_t now_ns, Forecast* f,
) noexcept nogil:
    """True when the queued ticket moved: another lane costs less than (1 - bonus) of staying. f: its forecast  # OUT.
    own as in own_of; NULL = not said again: what was said of its lane holds there.

    The job must not stand in its own way, so it leaves the accounts before the lanes are scored. Whoever is asked
    to reconsider has mostly waited longer than forecast: the line of residuals of its lane is drawn anew.
    """
    cdef TicketSlot* job = st.ticket + t
    cdef int lane = job.lane, n_tied
    cdef bint moves
    uncount_queued(st, t)
    if st.model[job.model].counts_tokens:
        remove_tokens(st, t)
    lane_changed(st, lane, True, True, now_ns)
    moves = has_place(decide_any(st, route, job.x, mask, left_s, now_ns, f, &n_tied)) and f.lane != lane \
        and st.cost[f.lane] < (1.0 - bonus) * st.cost[lane]
    if moves:
        move_ticket(st, t, f, own, now_ns)
    else:
        forecast_lane(st, route, lane, job.x, left_s, now_ns, f)
        set_forecast(st, job, f)
        job.urgency = urgency(job.budget_s, f.left_s, f.wait_s)
        if st.model[job.model].counts_tokens:
            job.own = job.own if own == NULL else own_of(own, lane, job.prompt)
            add_tokens(st, job)
        count_queued(st, t)
        lane_changed(st, lane, False, True, now_ns)
    return moves
