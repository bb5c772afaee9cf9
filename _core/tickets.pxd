# Open decisions: a free list of slots, a running and a fifo list per lane, and the counts that follow them.
from libc.stdint cimport INT64_MAX
from libc.string cimport memcpy

from _core.encode cimport store_column
from _core.forecast cimport Forecast
from _core.foreign cimport note_past
from _core.health cimport claim_probe, release_probe
from _core.joint cimport joint_share
from _core.lanes cimport line_of, set_bit
from _core.layout cimport (
    COLUMN_IN_FLIGHT, COLUMN_KV, COLUMN_PREFILL, COLUMN_RUNNING, COLUMN_WAITING, Load, ModelInfo, State, TICKET_FREE, TICKET_QUEUED,
    TICKET_RIDING, TICKET_RUNNING, TicketSlot, int64_t, profile_at,
)
from _core.overdue cimport look_around, look_at, watch
from _core.promise cimport leave_job
from _core.stream cimport add_tokens, occupy, own_of, prompt_of, remove_tokens
from _core.warmup cimport end_gap
from _core.urgency cimport urgency
from _core.wait cimport has_room, n_open, refresh, update_ahead


cdef inline void track_columns(State* st, int lane) noexcept nogil:
    """Rewrites the tracked columns of every model that has one: on the lane's events, never in a decision."""
    cdef const Load* load = st.load + lane
    cdef const ModelInfo* info
    cdef double count
    cdef int m, j
    if not st.head.n_tracking:
        return
    for m in range(st.head.n_models):
        info = st.model + m
        for j in range(info.n_columns):
            if info.column_kind[j] == COLUMN_RUNNING:
                count = load.n_running
            elif info.column_kind[j] == COLUMN_WAITING:
                count = load.n_waiting
            elif info.column_kind[j] == COLUMN_IN_FLIGHT:
                count = n_open(load)
            elif info.column_kind[j] == COLUMN_PREFILL:
                count = max(load.prefill_tokens, 0.0)
            elif info.column_kind[j] == COLUMN_KV:
                count = max(load.kv_tokens, 0.0)
            else:
                continue
            store_column(st, m, j, lane, count)


cdef inline void lane_changed(
    State* st, int lane, bint running_changed, bint queue_changed, int64_t now_ns
) noexcept nogil:
    """Brings what decisions read of a lane up to date after its jobs changed."""
    set_bit(st.head.busy, lane, n_open(st.load + lane) > 0)
    if queue_changed:
        update_ahead(st, lane)
    if running_changed or st.load[lane].soft:
        refresh(st, lane, now_ns)
    track_columns(st, lane)


cdef inline void unlink(State* st, int t) noexcept nogil:
    cdef TicketSlot* job = st.ticket + t
    cdef Load* load = st.load + job.lane
    cdef int line = line_of(load, job.level)
    if job.prev >= 0:
        st.ticket[job.prev].next = job.next
    elif job.state == TICKET_RUNNING:
        load.first_running = job.next
    else:
        load.first_queued[line] = job.next
    if job.next >= 0:
        st.ticket[job.next].prev = job.prev
    elif job.state == TICKET_QUEUED:
        load.last_queued[line] = job.prev


cdef inline void uncount_queued(State* st, int t) noexcept nogil:
    cdef TicketSlot* job = st.ticket + t
    cdef Load* load = st.load + job.lane
    load.n_queued[job.level] -= 1
    load.n_waiting -= 1
    load.queued_s[job.level] -= job.queued_s
    load.queued_var[job.level] -= job.queued_var
    load.queued_urgency -= job.urgency
    load.kv_queued -= job.prompt
    # rounding must not outlive the queue, nor leave less than nothing where a huge job stood before small ones
    if load.n_queued[job.level] == 0 or load.queued_s[job.level] < 0.0:
        load.queued_s[job.level] = 0.0
    if load.n_queued[job.level] == 0 or load.queued_var[job.level] < 0.0:
        load.queued_var[job.level] = 0.0
    if load.n_waiting == 0 or load.queued_urgency < 0.0:
        load.queued_urgency = 0.0


cdef inline void count_queued(State* st, int t) noexcept nogil:
    cdef TicketSlot* job = st.ticket + t
    cdef Load* load = st.load + job.lane
    cdef double share = joint_share(st, job.model, job.lane)
    job.queued_s = job.mean_s * share
    job.queued_var = job.var_s2 * share
    load.n_queued[job.level] += 1
    load.n_waiting += 1
    load.queued_s[job.level] += job.queued_s
    load.queued_var[job.level] += job.queued_var
    load.queued_urgency += job.urgency
    load.kv_queued += job.prompt


cdef inline void leave_queue(State* st, int t) noexcept nogil:
    unlink(st, t)
    uncount_queued(st, t)


cdef inline void run_ticket(State* st, int t, int64_t start_ns) noexcept nogil:
    """Puts a ticket that is in no list at the head of its lane's running list."""
    cdef TicketSlot* job = st.ticket + t
    cdef Load* load = st.load + job.lane
    job.state = TICKET_RUNNING
    job.start_ns = start_ns
    job.prev = -1
    job.next = load.first_running
    if job.next >= 0:
        st.ticket[job.next].prev = t
    load.first_running = t
    load.n_running += 1
    watch(st, job, start_ns)


cdef inline void join_line(State* st, int t) noexcept nogil:
    """Links a queued ticket that is in no list behind all others of its line."""
    cdef TicketSlot* job = st.ticket + t
    cdef Load* load = st.load + job.lane
    cdef int line = line_of(load, job.level)
    job.next = -1
    job.prev = load.last_queued[line]
    if job.prev >= 0:
        st.ticket[job.prev].next = t
    else:
        load.first_queued[line] = t
    load.last_queued[line] = t


cdef inline void queue_ticket(State* st, int t, const Forecast* f) noexcept nogil:
    cdef TicketSlot* job = st.ticket + t
    job.urgency = urgency(job.budget_s, f.left_s, f.wait_s)
    job.state = TICKET_QUEUED
    job.start_ns = INT64_MAX
    join_line(st, t)
    count_queued(st, t)


cdef inline void split_line(State* st, int lane) noexcept nogil:
    """The lane serves by priority from now on: who stood in its one line stands in those of the levels."""
    cdef Load* load = st.load + lane
    cdef int t = load.first_queued[0], following
    if not load.in_order:
        return
    load.in_order = 0
    load.first_queued[0] = load.last_queued[0] = -1
    while t >= 0:
        following = st.ticket[t].next
        join_line(st, t)
        t = following
    update_ahead(st, lane)


cdef inline void set_forecast(const State* st, TicketSlot* job, const Forecast* f) noexcept nogil:
    job.m = f.m
    job.s = f.s
    job.dof = f.dof
    job.mean_s = f.mean_s
    job.var_s2 = f.var_s2
    job.n_served = profile_at(st, job.model, f.lane).n_served
    memcpy(job.x, f.x, sizeof(job.x))
    if f.streams:
        occupy(job, &f.stream)


cdef inline void bring_tokens(State* st, TicketSlot* job, const Forecast* f, const double* own) noexcept nogil:
    """Counts the tokens of a job that was just decided on."""
    cdef const ModelInfo* info = st.model + job.model
    job.prompt = prompt_of(info, f.x) if info.prompt else 0.0
    job.own = own_of(own, f.lane, job.prompt)
    job.pace = 1.0 / f.tpot_bound_s
    add_tokens(st, job)


cdef inline int open_ticket(
    State* st, const Forecast* f, const double* own, int model, int level, int64_t now_ns
) noexcept nogil:
    """Takes a slot (the caller saw that one is free) and counts the job on its lane at once. own as in own_of."""
    cdef int t = st.head.free_ticket
    cdef TicketSlot* job = st.ticket + t
    cdef Load* load = st.load + f.lane
    cdef bint starts = load.in_order and has_room(load)
    if st.head.idle_gap_ns:
        end_gap(st, f.lane, now_ns)
    st.head.free_ticket = job.next
    st.head.n_open += 1
    job.lane = f.lane
    job.model = model
    job.level = level
    job.d = st.model[model].d
    job.probe = f.probe
    job.budget_s = f.left_s
    job.promise.made = 0
    job.mate = t
    job.arrival_ns = job.came_ns = now_ns
    job.prompt = job.own = job.tokens = job.pace = 0.0
    job.n_riders = 0
    set_forecast(st, job, f)
    if st.model[model].counts_tokens:
        bring_tokens(st, job, f, own)
    if starts:
        run_ticket(st, t, now_ns)
    else:
        queue_ticket(st, t, f)
    if load.ejected:
        claim_probe(st, f.lane, t, now_ns)
    lane_changed(st, f.lane, starts, not starts, now_ns)
    return t


cdef inline int64_t start_of(const State* st, const TicketSlot* job) noexcept nogil:
    """When service began; of a job never seen to start: not before a slot was last freed."""
    if job.state == TICKET_QUEUED:
        return max(job.came_ns, st.load[job.lane].freed_ns)
    return job.start_ns


cdef inline void start_ticket(State* st, int t, int64_t start_ns, int64_t now_ns) noexcept nogil:
    """A job that waits has been in service since start_ns; of any other nothing changes."""
    if st.ticket[t].state == TICKET_QUEUED:
        leave_queue(st, t)
        run_ticket(st, t, start_ns)
        lane_changed(st, st.ticket[t].lane, True, True, now_ns)


cdef inline void free_slot(State* st, int t) noexcept nogil:
    """Of a ticket that is in no list and no account of its lane."""
    cdef TicketSlot* job = st.ticket + t
    leave_job(st, t)
    job.state = TICKET_FREE
    job.generation += 1
    job.next = st.head.free_ticket
    st.head.free_ticket = t
    st.head.n_open -= 1


cdef inline void close_ticket(State* st, int t, int64_t now_ns) noexcept nogil:
    """Frees the slot; on a fifo resource the next job's service is taken to start now."""
    if st.ticket[t].state == TICKET_RIDING:
        free_slot(st, t)
    else:
        close_own(st, t, now_ns)


cdef inline void close_own(State* st, int t, int64_t now_ns) noexcept nogil:
    """Of a ticket that waits or runs on its own."""
    cdef TicketSlot* job = st.ticket + t
    cdef Load* load = st.load + job.lane
    cdef int waiting
    cdef bint was_running = job.state == TICKET_RUNNING, queue_changed = not was_running
    if was_running:
        unlink(st, t)
        load.n_running -= 1
    else:
        leave_queue(st, t)
    if st.model[job.model].counts_tokens:
        remove_tokens(st, t)
    if load.ejected:
        release_probe(st, job.lane, t)
    note_past(load, job, now_ns)
    if was_running:
        load.freed_ns = now_ns
    while load.in_order and load.first_queued[0] >= 0 and has_room(load):
        waiting = load.first_queued[0]
        leave_queue(st, waiting)
        queue_changed = True
        run_ticket(st, waiting, now_ns)
    free_slot(st, t)
    if st.head.idle_gap_ns and n_open(load) == 0:
        load.idle_ns = now_ns
    if was_running and job.overdue:
        look_at(st, job.lane, now_ns)
    lane_changed(st, job.lane, was_running, queue_changed, now_ns)
    if now_ns >= st.head.next_look_ns:
        look_around(st, now_ns)
