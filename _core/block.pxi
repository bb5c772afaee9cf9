# The memory of an engine, and what is declared in it.

@cython.no_gc_clear         # tickets that are collected with it still settle in it
cdef class Block:
    """The engine's state: one flat zeroed block of fixed capacity."""

    cdef State st
    cdef char* base
    cdef size_t n_bytes, n_state
    cdef Clock clock
    cdef int64_t last_ns
    cdef readonly list resources     # by lane; None where one was removed
    cdef readonly dict lanes         # by name
    cdef dict kinds                  # device classes by name, numbered from 1
    cdef dict reported_s             # when each lane's last report was measured

    def __cinit__(self, *, int max_resources, int max_models, int max_classes, int max_tickets, uint64_t seed, double tau_s, clock):
        if max_resources > MASK_WORDS * 64:
            raise CapacityError(f"{max_resources} resources: an engine holds at most {MASK_WORDS * 64}; split them")
        self.clock = as_clock(clock)
        self.resources = []
        self.kinds = {}
        self.reported_s = {}
        self.lanes = {}
        self._lay_out(max_resources, max_models, max_classes, max_tickets)
        cdef Header* head = self.st.head
        cdef int i
        head.tau_s = tau_s
        head.detects_change = True
        head.rollout = 1.0
        head.next_look_ns = INT64_MAX
        head.start_ns = self.last_ns = self.clock.read()
        for i in range(4):
            head.rng[i] = splitmix(&seed)
        for i in range(max_tickets):
            self.st.ticket[i].next = i + 1 if i + 1 < max_tickets else -1
        for i in range(max_resources):
            clear_lines(self.st.load + i)
        for i in range(head.n_blocks * LANES):      # scores of a narrower vector end before their block does
            self.st.cost[i] = INFINITY

    cdef int _lay_out(self, int max_resources, int max_models, int max_classes, int max_tickets) except -1:
        cdef int n_blocks = (max_resources + LANES - 1) // LANES
        cdef size_t lanes = n_blocks * LANES
        cdef size_t[20] size = [
            sizeof(Header), max_models * sizeof(ModelInfo), max_resources * sizeof(Load), n_blocks * sizeof(WaitBlock),
            <size_t>max_models * max_resources * sizeof(Profile),
            <size_t>N_SIGNALS * max_models * max_resources * sizeof(Level), max_tickets * sizeof(TicketSlot),
            <size_t>max_models * N_SIGNALS * SERVED_ROWS * lanes * sizeof(float),
            n_blocks * sizeof(PriceBlock), <size_t>max_models * max_resources * sizeof(int8_t), max_classes * sizeof(Certificate),
            lanes * sizeof(float), lanes * sizeof(float), lanes * sizeof(float), MAX_COLUMNS * lanes * sizeof(float),
            <size_t>N_SIGNALS * max_models * max_resources * sizeof(Level), 10 * lanes * sizeof(float),
            max_resources * sizeof(Load), n_blocks * sizeof(WaitBlock),
            <size_t>max_models * N_SIGNALS * max_resources * CLOSE * sizeof(float)]
        cdef size_t[20] start
        cdef size_t at = 0
        cdef int i
        for i in range(20):
            start[i] = at
            at += (size[i] + 63) // 64 * 64
        self.n_bytes = at + 64
        self.n_state = start[11]      # what follows is scratch
        self.base = <char*>calloc(1, self.n_bytes)
        if self.base == NULL:
            raise MemoryError(f"the engine's arrays need {self.n_bytes} bytes: lower its capacities")
        cdef char* p = self.base + (64 - <size_t>self.base % 64) % 64
        self.st.head = <Header*>(p + start[0])
        self.st.model = <ModelInfo*>(p + start[1])
        self.st.load = <Load*>(p + start[2])
        self.st.wait = <WaitBlock*>(p + start[3])
        self.st.profile = <Profile*>(p + start[4])
        self.st.level = <Level*>(p + start[5])
        self.st.ticket = <TicketSlot*>(p + start[6])
        self.st.served = <float*>(p + start[7])
        self.st.price = <PriceBlock*>(p + start[8])
        self.st.excluded = <int8_t*>(p + start[9])
        self.st.certificate = <Certificate*>(p + start[10])
        self.st.cost = <float*>(p + start[11])
        self.st.service = <float*>(p + start[12])
        self.st.waiting = <float*>(p + start[13])
        self.st.given = <float*>(p + start[14])
        self.st.fresh_level = <Level*>(p + start[15])
        self._lay_out_feasible(<float*>(p + start[16]), lanes)
        self.st.kept_load = <Load*>(p + start[17])
        self.st.kept_wait = <WaitBlock*>(p + start[18])
        self.st.close = <float*>(p + start[19])
        self.st.head.max_resources = max_resources
        self.st.head.max_models = max_models
        self.st.head.max_tickets = max_tickets
        self.st.head.max_classes = max_classes
        self.st.head.n_blocks = n_blocks

    cdef void _lay_out_feasible(self, float* at, size_t lanes):
        self.st.var = at
        self.st.model_var = at + lanes
        self.st.mean_s = at + 2 * lanes
        self.st.wait_sd = at + 3 * lanes
        self.st.on_time = at + 4 * lanes
        self.st.fits = at + 5 * lanes
        self.st.drawn = at + 6 * lanes
        self.st.pick = at + 7 * lanes
        self.st.pace = at + 8 * lanes
        self.st.harm = at + 9 * lanes

    cdef int64_t now(self) except? -1:
        """Reads the clock; what a ticket that is collected unsettled has ended at, at the latest. The user's clock runs Python,
        so that this is no call's part in the section; last_ns is whole whoever writes it."""
        self.last_ns = self.clock.read()
        return self.last_ns

    def __dealloc__(self):
        free(self.base)

    @cython.critical_section
    def price(self, int lane, double cost_per_s, double power_w):
        """What a second of service on the lane takes: money, watts."""
        self.set_price(lane, cost_per_s, power_w)

    cdef void set_price(self, int lane, double cost_per_s, double power_w) noexcept:
        self.st.price[lane // LANES].cost_per_s[lane % LANES] = <float>cost_per_s
        self.st.price[lane // LANES].power_w[lane % LANES] = <float>power_w

    @cython.critical_section
    def exclude(self, int model, int lane, reason):
        """Takes a lane away from a model because of a static bound (its reason id), or says that none does (None)."""
        self.shut_out(model, lane, reason)

    cdef int shut_out(self, int model, int lane, reason) except -1:
        self.st.excluded[model * self.st.head.max_resources + lane] = REASONS.index(reason)
        if reason is not None:
            set_offset(&self.st, model, lane, INFINITY)
            set_bit(self.st.model[model].untried, lane, False)
            openness_changed(&self.st, lane)
        return 0

    @cython.critical_section
    def add_resource(self, resource, int slots, bint in_order, bint soft=False, double kv_limit=0.0):
        """Takes a lane, which is no model's candidate yet (see `join`); returns its index. Raises CapacityError.

        soft: `slots` is a max_running; kv_limit: tokens, 0 = not limited.
        """
        return self.take_lane(resource, resource.name, resource.kind, slots, in_order, soft, kv_limit)

    cdef int take_lane(self, resource, name, kind, int slots, bint in_order, bint soft, double kv_limit) except -1:
        cdef int lane = vacant_lane(&self.st)
        if lane < 0:
            raise CapacityError(
                f"{len(self.lanes)} resources are there and {self.st.head.max_resources} lanes, the others wait for the"
                f" last tickets of removed ones: settle those, or build the engine with more (max_resources)")
        clear_load(&self.st, lane)
        cdef Load* load = self.st.load + lane
        load.slots = slots
        load.in_order = in_order
        load.soft = soft
        load.kv_limit = kv_limit
        load.look_ns = INT64_MAX
        load.kind = self.kinds.setdefault(kind, len(self.kinds) + 1) if kind else 0
        self.st.wait[lane // LANES].inv_slots[lane % LANES] = 1.0 / slots
        if lane == self.st.head.n_resources:
            self.st.head.n_resources += 1
            self.st.head.n_shut += 1
            self.resources.append(resource)
        self.resources[lane] = resource
        self.lanes[name] = lane
        update_open(&self.st, lane)
        return lane

    @cython.critical_section
    def add_model(self, typical, knees, columns, offsets_s, int n_signals=1, int prompt=0, double tau_s=0.0, int items=0):
        """Appends a model over all lanes; returns its index. Raises CapacityError.

        typical (n_features,), 0 = none; knees (n_features,) bool; columns: per column (kind, scale, row of Z or -1,
        has a square, index in x of the feature it is multiplied with or 0);
        offsets_s (n_resources,) seconds, +inf where the lane is no candidate; prompt: which feature is the number of
        the prompt's tokens, from 1; 0 = none; tau_s: 0 = the engine's; items: which
        feature counts a job's items, from 1; 0 = one a job.
        """
        cdef int m = self.st.head.n_models, i, lane, s
        if m >= self.st.head.max_models:
            raise CapacityError(f"{m} models are the engine's capacity: build it with more")
        cdef ModelInfo* info = self.st.model + m
        info.n_signals = n_signals
        info.tau_s = tau_s if tau_s > 0.0 else self.st.head.tau_s
        info.counts_tokens = n_signals == 2 or prompt > 0
        info.n_features = len(typical)
        info.n_request = 1 + info.n_features + sum(knees)
        for i in range(info.n_features):
            info.ln_typical[i] = log(typical[i]) if typical[i] > 0.0 else 0.0
            info.plain[i] = 0 if typical[i] > 0.0 else -1
            info.n_plain -= info.plain[i]
            info.knee[i] = knees[i]
            info.n_knees += info.knee[i]
            if i + 1 == prompt:
                info.prompt = 1 + i + sum(knees[:i])
                info.prompt_typical = typical[i]
            if i + 1 == items:
                info.items = 1 + i + sum(knees[:i])
                info.items_typical = typical[i]
        self._add_columns(info, columns)
        self.st.head.n_models += 1
        for lane in range(self.st.head.n_blocks * LANES):
            clear_served(&self.st, m, lane)
        info.n_candidates = 0       # zeroed memory looked like candidates
        for lane in range(self.st.head.n_resources):
            join_model(&self.st, m, lane, offsets_s[lane], self.last_ns)
        for s in range(n_signals):
            serve_all_cold(&self.st, m, s, self.last_ns)
        info.length.decayed_ns = self.last_ns
        serve_length(&self.st, m)
        schedule(&self.st, m)
        return m

    cdef int _add_columns(self, ModelInfo* info, columns) except -1:
        """In x the columns follow the request, then their squares and products in the order of columns."""
        cdef int i
        info.n_columns = len(columns)
        info.d = info.n_request + info.n_columns
        for i in range(info.n_columns):
            info.column_kind[i], info.column_scale[i], info.given_row[i], square, info.factor[i] = columns[i]
            info.n_given = max(info.n_given, info.given_row[i] + 1)
            info.is_load[info.n_request + i] = info.column_kind[i] != COLUMN_GIVEN
            if square:
                info.square[i] = info.d
                info.is_load[info.d] = info.is_load[info.n_request + i]
                info.d += 1
            if info.factor[i]:
                info.product[i] = info.d
                info.is_load[info.d] = info.is_load[info.n_request + i]
                info.d += 1
        info.n_terms = info.d - info.n_request - info.n_columns
        for i in range(info.n_columns):
            if info.column_kind[i] != COLUMN_GIVEN and info.column_kind[i] != COLUMN_REPORTED:
                self.st.head.n_tracking += 1
                break
        return 0

    @cython.critical_section
    def set_mode(self, mode, rollout):
        """mode: a Mode, rollout in [0, 1]; None leaves either as it is, whoever switches the other meanwhile."""
        cdef int number = MODE_ACTIVE if mode is None else mode
        cdef double share = self.st.head.rollout if rollout is None else rollout
        if mode is None:
            number = self.st.head.mode
        if number == MODE_ACTIVE or number == MODE_PART:
            number = MODE_PART if share < 1.0 else MODE_ACTIVE
        self.st.head.mode = number
        self.st.head.rollout = share

    @property
    def mode(self):
        """(Mode, rollout share)."""
        with cython.critical_section(self):
            return self.st.head.mode, self.st.head.rollout

    @cython.critical_section
    def promised(self):
        """Places of the open tickets that carry a promise, for tests."""
        cdef int t
        cdef const TicketSlot* job
        places = []
        for t in range(self.st.head.max_tickets):
            job = self.st.ticket + t
            if job.state != TICKET_FREE and job.promise.made and job.promise.binds:
                places.append(t)
        return places

    @cython.critical_section
    def snapshot(self):
        """Every byte of state (scratch aside): tests compare it before and after a refused call."""
        return PyBytes_FromStringAndSize(<char*>self.st.head, self.n_state)

    @property
    def counters(self):
        """Open tickets now; abandoned tickets, clipped values, alarms and completions by a clock that went back ever."""
        cdef const Header* head = self.st.head
        with cython.critical_section(self):
            return dict(n_open=head.n_open, n_abandoned=head.n_abandoned, n_clipped=head.n_clipped,
                        n_alarms=head.n_alarms, n_untimed=head.n_untimed)
