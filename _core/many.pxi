# Many requests at once: each sees the claims of those before it.

@cython.no_gc_clear         # a ticket that is collected with it still needs the core
cdef class Batching(Observing):
    """A route that also takes requests by the batch."""

    def select_many(self, X, Z=None, *, mask=None, deadline_s=None, arrival_s=None, tpot_s=None):
        """Chooses for n jobs one after the other, each seeing the claims of those before it: exactly what n calls of
        `select` at one reading of the clock choose.

        X: raw features, a row a job, float64 (n, n_features) or anything that numpy makes that of.
        Z: given numbers as in select, float64 C-contiguous, (n_given, n_resources) for all jobs or
        (n, n_given, n_resources); None = all unknown.
        mask: one for all, as in select.
        deadline_s, arrival_s, tpot_s: as in select, one number for all or one for each (n,).
        Returns a list of n Tickets, in that order. In modes in which a default stands, that of each job is the open
        candidate with the fewest open jobs; in bypass mode, too, X is refused for what is wrong with it. Raises
        InputError, which names the row, or CapacityError (fewer free tickets than jobs), and then changes nothing.
        There each job is a step of its own for other threads, else the batch is one.
        Cost: six tenths of a select for each job; seven to nine tenths where jobs are not decided together: where the model
        has columns or two signals, the class bounds or prefers more than the time, resources are drained, ejected or
        untried, or all jobs compete for one. Allocates the tickets, and three arrays for all of them.
        """
        cdef int64_t now_ns = self.core.now()
        cdef cnp.ndarray rows = rows_of(self, X)
        cdef Py_ssize_t n = cnp.PyArray_DIM(rows, 0), i
        cdef list tickets = [Ticket.__new__(Ticket) for i in range(n)]    # first of all, as in decide_job
        cdef cnp.ndarray left = self._times_left(deadline_s, arrival_s, n, now_ns)
        cdef const double* left_s = <const double*>cnp.PyArray_DATA(left)
        cdef cnp.ndarray paces = self._paces(tpot_s, n)
        cdef RouteInfo own
        cdef cnp.ndarray encoded = empty_block(n, MAX_D, cnp.NPY_DOUBLE)
        cdef Request asked
        asked.clipped = 0
        self._encode_rows(rows, <double*>cnp.PyArray_DATA(encoded), &asked.clipped)
        asked.mask = self._read_words(mask, asked.words)
        cdef list blocks = blocks_of(Z, n)
        with cython.critical_section(self.core):
            self._read_all_given(Z, blocks)
            if self.core.st.head.max_tickets - self.core.st.head.n_open < n:
                raise all_open(&self.core.st)
            if n > 0 and asked.mask != NULL and not names_candidate(&self.core.st, self.info.model, asked.mask):
                raise no_candidate(self, mask)
            if self.core.st.head.mode == MODE_ACTIVE or self.core.st.head.mode == MODE_FROZEN:
                self._decide_rows(tickets, &asked, encoded, left, paces, Z, blocks, now_ns)
                return tickets
        for i in range(n):
            block = Z if blocks is None else blocks[i]
            own = self._held_to(paces, i)
            tickets[i] = stand_aside(self, &own, rows[i], block, mask, left_s[i], None, now_ns)
            if tickets[i] is None:      # the mode was switched meanwhile
                tickets[i] = decide_job(self, &own, rows[i], block, mask, left_s[i], now_ns)
        return tickets

    cdef cnp.ndarray _times_left(self, deadline_s, arrival_s, Py_ssize_t n, int64_t now_ns):
        """Seconds to each job's deadline, float64 (n,)."""
        cdef Py_ssize_t i
        cdef cnp.ndarray left = empty_block(n, 1, cnp.NPY_DOUBLE)
        cdef double* left_s = <double*>cnp.PyArray_DATA(left)
        cdef double same_s
        if (deadline_s is None or np.ndim(deadline_s) == 0) and (arrival_s is None or np.ndim(arrival_s) == 0):
            same_s = self._time_left(deadline_s, arrival_s, now_ns)
            for i in range(n):
                left_s[i] = same_s
            return left
        deadlines, arrivals = one_each("deadline_s", deadline_s, n), one_each("arrival_s", arrival_s, n)
        for i in range(n):
            try:
                left_s[i] = self._time_left(deadlines[i], arrivals[i], now_ns)
            except InputError as error:
                raise InputError(f"row {i}: {error}") from None
        return left

    cdef cnp.ndarray _paces(self, tpot_s, Py_ssize_t n):
        """What each job's seconds per token are held to, float64 (n,); None = to the class's bound."""
        cdef Py_ssize_t i
        cdef RouteInfo own
        cdef cnp.ndarray paces
        if tpot_s is None:
            return None
        paces = empty_block(n, 1, cnp.NPY_DOUBLE)
        if np.ndim(tpot_s) == 0:
            paces.fill(self._bounds(tpot_s, &own).tpot_s)
            return paces
        for i, pace in enumerate(one_each("tpot_s", tpot_s, n)):
            try:
                (<double*>cnp.PyArray_DATA(paces))[i] = self._bounds(pace, &own).tpot_s
            except InputError as error:
                raise InputError(f"row {i}: {error}") from None
        return paces

    cdef RouteInfo _held_to(self, cnp.ndarray paces, Py_ssize_t i) noexcept:
        return self.info if paces is None else paced_by(&self.info, (<const double*>cnp.PyArray_DATA(paces))[i])

    cdef int _encode_rows(self, cnp.ndarray rows, double* encoded, int64_t* clipped) except -1:
        cdef const double* data = <const double*>cnp.PyArray_DATA(rows)
        cdef double[PADDED_D] u
        cdef Py_ssize_t i
        cdef int k
        for k in range(PADDED_D):
            u[k] = 1.0
        for i in range(cnp.PyArray_DIM(rows, 0)):
            for k in range(self.n_features):
                u[k] = data[i * self.n_features + k]
            if not encode_features(self.core.st.model + self.info.model, u, encoded + i * MAX_D, clipped):
                raise InputError(f"row {i}: {self._bad_feature([u[k] for k in range(self.n_features)])}")
        return 0

    cdef int _read_all_given(self, Z, list blocks) except -1:
        """Where Z says something for each job every block is looked at, the first one last."""
        cdef Py_ssize_t i
        if blocks is None:
            return self._read_given(Z)
        for i in range(len(blocks) - 1, -1, -1):
            try:
                self._read_given(blocks[i])
            except InputError as error:
                raise InputError(f"row {i}: {error}") from None
        return 0

    cdef int _decide_rows(
        self, list tickets, Request* asked, cnp.ndarray encoded, cnp.ndarray left, cnp.ndarray paces, Z, list blocks,
        int64_t now_ns,
    ) except -1:
        cdef State* st = &self.core.st
        cdef const double* x = <const double*>cnp.PyArray_DATA(encoded)
        cdef const double* left_s = <const double*>cnp.PyArray_DATA(left)
        cdef cnp.ndarray costs = empty_block(SEVERAL, st.head.n_blocks * LANES, cnp.NPY_FLOAT)
        cdef const double* own
        cdef RouteInfo held_to = self.info
        cdef Py_ssize_t n = len(tickets), i = 0
        cdef int width = SEVERAL, together, done
        while i < n:
            together = min(n - i, width)
            if together > 1 and is_plain(st, &self.info, now_ns):
                done = self._decide_several(
                    tickets, i, together, x + i * MAX_D, asked.mask, left_s + i, now_ns, <float*>cnp.PyArray_DATA(costs))
                i += done
                if done == together:
                    width = min(2 * width, SEVERAL)
                    continue
                width = max(done, 1)    # where jobs compete for a lane, or lanes are alike, few are decided together
            block = Z if blocks is None else blocks[i]
            if i > 0 and (blocks is not None or self.adds):     # adds: to what the job before has changed
                self._read_given(block)
            own = own_in(self, block)
            if paces is not None:
                held_to = self._held_to(paces, i)
            decide_row(self, &held_to, <Ticket>tickets[i], x + i * MAX_D, asked.mask, own, left_s[i], now_ns, True)
            i += 1
            width = min(2 * width, SEVERAL)
        st.head.n_clipped += asked.clipped
        return 0

    cdef int _decide_several(
        self, list tickets, Py_ssize_t first, int n, const double* x, const uint64_t* mask, const double* left_s,
        int64_t now_ns, float* costs,
    ):
        """The jobs from `first` on, n at most, up to the one whose decision another one's claim may change. Returns how
        many they are."""
        cdef State* st = &self.core.st
        cdef Forecast* f[SEVERAL]
        cdef int[SEVERAL] crowded       # lanes where the next job waits, and so longer than foreseen
        cdef int n_crowded = 0, r, k
        cdef double wait_s
        cdef Ticket ticket
        for r in range(n):
            f[r] = &(<Ticket>tickets[first + r]).f
        n = decide_several(st, &self.info, x, mask, left_s, now_ns, n, costs, f)
        for r in range(n):
            if now_ns >= st.head.next_look_ns:      # a doubted lane has got its job
                return r
            for k in range(n_crowded):
                if crowded[k] == f[r].lane:
                    return r
            ticket = <Ticket>tickets[first + r]
            ticket.verdict = ADMITTED
            ticket.n_tied = 1
            ticket._issue(self, NULL, now_ns)
            issue(st, ticket.slot, self.info.qos, f[r], True)
            self.core.last_ns = now_ns
            wait_s = wait_mean(st, f[r].lane, self.info.level, now_ns)
            if wait_s < f[r].wait_s:    # others' jobs, or a soft capacity: what is left there was drawn anew
                return r + 1
            if wait_s > 0.0:
                crowded[n_crowded] = f[r].lane
                n_crowded += 1
        return n


cdef cnp.ndarray empty_block(Py_ssize_t n, Py_ssize_t each, int kind):
    """(n, each), with nothing in it yet. Called by name, numpy takes as long as for two jobs."""
    cdef cnp.npy_intp[2] shape = [n, each]
    return cnp.PyArray_SimpleNew(2, shape, kind)


cdef list blocks_of(Z, Py_ssize_t n):
    """Each job's own Z; None where one is for all."""
    if Z is None or np.ndim(Z) != 3:
        return None
    if len(Z) != n:
        raise InputError(f"Z has {len(Z)} blocks for {n} jobs: one each, or one for all, is expected")
    return list(Z)


cdef cnp.ndarray rows_of(RouteCore route, X):
    """X as C-contiguous float64 (n, n_features)."""
    cdef cnp.ndarray rows
    if type(X) is cnp.ndarray and is_float64_block(X):
        rows = X
    else:
        try:
            rows = np.asarray(X)
        except (TypeError, ValueError):
            rows = np.asarray("?")
        if rows.size == 0 and cnp.PyArray_NDIM(rows) == 1:      # no job at all
            rows = np.empty((0, route.n_features))
        if rows.dtype.kind not in "biuf" or cnp.PyArray_NDIM(rows) != 2:
            raise InputError(f"X: rows of {route.n_features} numbers, float64 (n, {route.n_features}), are expected")
        rows = np.ascontiguousarray(rows, dtype=np.float64)
    if cnp.PyArray_DIM(rows, 1) != route.n_features:
        raise route._wrong_features(rows, cnp.PyArray_DIM(rows, 1))
    return rows


cdef one_each(str name, value, Py_ssize_t n):
    """A value for each of n jobs."""
    if np.ndim(value) == 0:
        return [value] * n
    if len(value) != n:
        raise InputError(f"{name} has {len(value)} numbers for {n} jobs: one each, or one for all, is expected")
    return list(value)
