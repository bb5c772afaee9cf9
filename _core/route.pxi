# A (model, class) resolved once: what the hot path runs on.

cdef dict OBJECTIVES = dict(completion=COMPLETION, cost=MONEY, energy=ENERGY, accuracy=BEST_ACCURACY, shared=SHARED)
cdef dict POLICIES = dict(greedy=GREEDY, thompson=THOMPSON, ucb=UCB)


@cython.no_gc_clear         # a ticket that is collected with it still needs the core
cdef class RouteCore:
    """The compiled half of `tailwise.Route`: its constants and the hot path."""

    cdef Core core
    cdef readonly object model, qos     #: as declared
    cdef RouteInfo info
    cdef int n_features, n_given, own_row
    cdef bint streams, adds     # two signals; a given number is added to one that is stored

    def __cinit__(self, Core core=None, model=None, qos=None, int model_index=-1, int qos_index=-1):
        # not __init__, without which an object could be had whose route to the core leads nowhere
        if core is None or not (
                0 <= model_index < core.st.head.n_models and 0 <= qos_index < core.st.head.n_classes):
            raise InputError("routes are made by engine.route(model, qos), not by hand")
        self.core = core
        self.model = model
        self.qos = qos
        self.info.model = model_index
        self.info.level = qos.priority
        self.streams = core.st.model[model_index].n_signals == 2
        self.info.first = self.streams and isfinite(qos.ttft_s)
        self.info.deadline_s = qos.ttft_s if self.info.first else qos.deadline_s
        self.info.end_after_s = qos.deadline_s - qos.ttft_s if self.info.first else 0.0
        self.info.ln_deadline = log(self.info.deadline_s)
        self.info.patience = patience(self.info.deadline_s)
        self.info.tpot_s = qos.tpot_s
        self.info.ln_tpot = log(self.info.tpot_s)
        self.info.on_time = qos.on_time
        self.info.reject_below = qos.reject_below
        self.info.qos = qos_index
        self.info.explore = qos.explore
        self.info.guaranteed = qos.contract == "guaranteed"
        self.info.max_cost = qos.max_cost
        self.info.min_throughput = qos.min_throughput
        self.info.refuse = ACCURACY if qos.min_accuracy > 0.0 and model.accuracy < qos.min_accuracy else 0
        self.info.bounded = qos.max_cost < INFINITY or qos.min_throughput > 0.0 or self.info.refuse != 0
        self.info.objective = OBJECTIVES[qos.objective]
        self.info.policy = POLICIES[qos.policy]
        self.info.kappa = qos.kappa
        self.info.paced = self.info.tpot_s < INFINITY
        self.info.among = (
            self.info.guaranteed or self.info.bounded or self.info.objective != COMPLETION
            or self.info.policy != GREEDY or self.info.paced)
        # money, energy and bounds have other reasons to pass a resource over; policies explore by themselves
        self.info.asks = (
            qos.explore and not self.info.bounded and self.info.objective in (COMPLETION, SHARED) and self.info.policy == GREEDY)
        self.n_features = core.st.model[model_index].n_features
        self.n_given = core.st.model[model_index].n_given
        self.own_row = own_row(core.st.model + model_index)
        self.adds = adds_to_stored(core.st.model + model_index)

    @property
    def _resources(self):
        """By lane, None where one was removed."""
        return self.core.resources

    def buffer(self):
        """A float64 array (n_given, n_resources) of NaN (unknown), to be written in place and handed to select."""
        return np.full((self.n_given, self.core.st.head.n_resources), np.nan)

    def select(
        self, x, Z=None, *, mask=None, deadline_s=None, arrival_s=None, default=None, bint explain=False, tpot_s=None
    ):
        """Chooses a resource for one job and counts the job on it at once.

        x: the request's raw features in declared order, a tuple of floats or a float64 array (n_features,).
        Z: given numbers, float64 C-contiguous (n_given, n_resources), >= 0, NaN = unknown; None = all unknown;
        its rows are `model.given`.
        mask: which candidates this call may use: bool (n_resources,) or an int bit set (bit i = lane i).
        deadline_s: this job's own budget from its arrival, > 0; None = the class's. Where the class has a ttft_s it is
        the budget to the first token, and the end's moves with it.
        arrival_s: when it arrived, seconds of the engine's clock, not in the future; None = now. What has passed
        since is gone from the budget; when nothing is left, the job is refused as 'late' under every contract.
        default: name of the resource that the caller's own router chose; it stands where the mode says so (see
        `engine.mode`). None there means the open candidate with the fewest open jobs.
        tpot_s: this job's own bound on seconds per token after the first, > 0, where the class has one; None = the class's.
        explain: keeps every candidate's numbers for `ticket.explain()`; costs tens of microseconds.
        Returns a Ticket; `admitted` may be False ('late'; 'no_resource' when no candidate takes jobs). Raises
        InputError (wrong shape, not finite, a mask without any candidate, a tpot_s of a class without one) or
        CapacityError (too many open tickets) and then changes nothing.
        Cost: well below a microsecond up to 64 resources; linear in resources. Allocates the ticket only.
        """
        cdef double left_s = self.info.deadline_s
        cdef RouteInfo own
        cdef const RouteInfo* info = &self.info
        cdef int64_t now_ns = self.core.now()
        if deadline_s is not None or arrival_s is not None:
            left_s = self._time_left(deadline_s, arrival_s, now_ns)
        if tpot_s is not None:
            info = self._bounds(tpot_s, &own)
        if explain:
            return self._remember(self._see(info, x, Z, mask, left_s, now_ns), info, x, Z, mask, left_s, default, now_ns)
        if self.core.st.head.mode | (default is not None):
            ticket = stand_aside(self, info, x, Z, mask, left_s, default, now_ns)
            if ticket is not None:
                return ticket
        return decide_job(self, info, x, Z, mask, left_s, now_ns)

    cdef list _see(self, const RouteInfo* info, x, Z, mask, double left_s, int64_t now_ns):
        raise NotImplementedError("made by engine.route()")

    cdef Ticket _remember(
        self, list seen, const RouteInfo* info, x, Z, mask, double left_s, default, int64_t now_ns
    ):
        """select, once what it will see was written down."""
        cdef Ticket ticket = stand_aside(self, info, x, Z, mask, left_s, default, now_ns)
        if ticket is None:
            ticket = decide_job(self, info, x, Z, mask, left_s, now_ns)
        ticket.seen = seen
        return ticket

    cdef double _time_left(self, deadline_s, arrival_s, int64_t now_ns) except? -1.0:
        """Seconds to the deadline: its budget less what has passed since arrival; <= 0 when it is over."""
        cdef double left = self.info.deadline_s, waited
        if deadline_s is not None:
            left = as_seconds("deadline_s", deadline_s)
            if not left > 0.0:
                raise InputError(f"deadline_s={deadline_s!r}: a job's budget is > 0 seconds from its arrival")
        if arrival_s is not None:
            waited = 1e-9 * now_ns - as_seconds("arrival_s", arrival_s)
            if waited < -1e-6:  # a float of seconds since 1970 resolves a quarter of that
                raise InputError(
                    f"arrival_s={arrival_s!r} lies {-waited:.3g} s ahead of the engine's clock: give its reading at arrival")
            left -= max(waited, 0.0)
        return left

    cdef const RouteInfo* _bounds(self, tpot_s, RouteInfo* own) except NULL:
        """What a job is held to: the class's bounds; of one that brings a pace of its own `own`, which has it  # OUT."""
        cdef double seconds
        if tpot_s is None:
            return &self.info
        seconds = as_seconds("tpot_s", tpot_s)
        if not seconds > 0.0:
            raise InputError(f"tpot_s={tpot_s!r}: a job's bound on its seconds per token is > 0")
        if not self.info.paced:
            raise InputError(
                f"tpot_s={tpot_s!r}: class {self.qos.name!r} has no tpot_s in whose place one could stand; declare it with one")
        own[0] = paced_by(&self.info, seconds)
        return own

    cdef int _read_features(self, x, double* encoded, int64_t* clipped) except -1:
        cdef double[PADDED_D] u
        cdef int i, n = self.n_features
        for i in range(PADDED_D):
            u[i] = 1.0
        if type(x) is tuple:
            if len(<tuple>x) != n:
                raise self._wrong_features(x, len(<tuple>x))
            if not floats_in(<PyObject*>x, n, u):
                for i in range(n):
                    u[i] = as_float(<object>PyTuple_GET_ITEM(x, i))
        else:
            if not (type(x) is cnp.ndarray and is_float64_row(x)):
                x = as_float64(x, n)
            if cnp.PyArray_NDIM(x) != 1 or cnp.PyArray_DIM(x, 0) != n:
                raise self._wrong_features(x, x.shape)
            memcpy(u, cnp.PyArray_DATA(x), n * sizeof(double))
        if not encode_features(self.core.st.model + self.info.model, u, encoded, clipped):
            raise self._bad_feature([u[i] for i in range(n)])
        return 0

    cdef int _read_given(self, Z) except -1:
        """Into the engine's scratch, where the next decision of any thread finds it: nothing may run Python in between.
        None leaves all unknown."""
        cdef State* st = &self.core.st
        cdef const ModelInfo* model = st.model + self.info.model
        cdef int n = st.head.n_resources, stride = st.head.n_blocks * LANES, i, j
        cdef const double* data = NULL
        cdef const float* stored
        if Z is None and not self.n_given:
            return 0
        if Z is not None:
            if not (type(Z) is cnp.ndarray and is_float64_block(Z) and cnp.PyArray_DIM(Z, 0) == self.n_given
                    and cnp.PyArray_DIM(Z, 1) == n):
                raise InputError(
                    f"Z must be a C-contiguous float64 array ({self.n_given}, {n}): one row per given number of model "
                    f"{self.model.name!r} {self.model.given!r}, one entry per resource; route.buffer() makes it")
            data = <const double*>cnp.PyArray_DATA(Z)
        for j in range(model.n_columns):
            if model.given_row[j] < 0:
                continue
            if data == NULL:
                for i in range(n):
                    st.given[j * stride + i] = <float>NAN
                continue
            stored = NULL
            if model.column_kind[j] != COLUMN_GIVEN:
                stored = served_block(st, self.info.model, 0, 0) + (ROW_COLUMN + j) * LANES
            if not kernels.encode_given(
                    data + model.given_row[j] * n, model.column_scale[j], n, stored, st.given + j * stride):
                raise InputError("Z has an entry that is negative or above 1e30: columns are >= 0, and NaN where unknown")
        return 0

    cdef const uint64_t* _read_words(self, mask, uint64_t* words) except? NULL:
        """words (MASK_WORDS,), of which those of lanes are written, or NULL (all candidates) for None."""
        if mask is None:
            return NULL
        read_mask(mask, self.core.st.head.n_resources, words)
        return words

    def _wrong_features(self, x, got):
        return InputError(
            f"x has {got} numbers, model {self.model.name!r} declares {self.n_features} features: "
            f"{', '.join(f.name for f in self.model.features)}")

    def _bad_feature(self, values):
        for feature, value in zip(self.model.features, values):
            if not isfinite(value):
                return InputError(f"feature {feature.name!r} is {value!r}: it must be finite")
            if value < 0 or (feature.typical is not None and value == 0):
                least = "> 0, since it has a typical value" if feature.typical is not None else ">= 0"
                return InputError(f"feature {feature.name!r} is {value!r}: it must be {least}")


cdef int own_row(const ModelInfo* model):
    """Row of Z that adds a job's own tokens to what is tracked as prefill_tokens; -1 = none."""
    cdef int j
    for j in range(model.n_columns):
        if model.column_kind[j] == COLUMN_PREFILL and model.given_row[j] >= 0:
            return model.given_row[j]
    return -1


cdef bint adds_to_stored(const ModelInfo* model):
    cdef int j
    for j in range(model.n_columns):
        if model.column_kind[j] != COLUMN_GIVEN and model.given_row[j] >= 0:
            return True
    return False


cdef inline const double* own_in(RouteCore route, Z):
    """A job's own tokens on each lane (n_resources,) in a Z that was read; NULL = the call does not say them."""
    if route.own_row < 0 or Z is None:
        return NULL
    return <const double*>cnp.PyArray_DATA(Z) + route.own_row * route.core.st.head.n_resources
