# What is believed of each (model, lane), for people and tests; decisions read the served copy.

@cython.no_gc_clear
cdef class Beliefs(Breakers):
    """Priors in, sums, posteriors and served copies out."""

    @cython.critical_section
    def give(self, int model, int lane, double ln_median, double spread, double weight, slopes):
        """Installs a user's profile as prior; a lane that has one does not count as untried.
        slopes: by index in x."""
        self.install(model, lane, ln_median, spread, weight, slopes)

    cdef int install(self, int model, int lane, double ln_median, double spread, double weight, slopes) except -1:
        cdef Profile* p = profile_at(&self.st, model, lane)
        p.given.ln = ln_median
        p.given.spread = spread
        p.given.weight = p.given.n = weight
        p.given.has_slope = 0
        for i, slope in slopes.items():
            p.given.slope[<int>i] = slope
            p.given.has_slope |= 1 << <int>i
        self.st.model[model].untried[lane >> 6] &= ~(<uint64_t>1 << (lane & 63))
        serve_newcomer(&self.st, model, lane, self.last_ns)
        return 0

    @cython.critical_section
    def sums(self, int model, int lane, int signal=0):
        """(n_sums,) float64: packed A, b, c of one profile, as of its last change, and the centre y0."""
        cdef cnp.ndarray[double, ndim=1] out = np.zeros(n_sums(self.st.model[model].d))
        cdef const Evidence* e = &profile_at(&self.st, model, lane).signal[signal]
        cdef int i
        for i in range(out.shape[0]):
            out[i] = e.total[i] + e.lost[i]
        return out, self.st.model[model].y0[signal]

    @cython.critical_section
    def is_given(self, int model, int lane):
        """Whether the profile has a user's one as prior."""
        return profile_at(&self.st, model, lane).given.n > 0.0

    def seen(self, int model, int lane):
        """What was seen of one profile, all of it as of one moment, the weights as of now: (resource, sums and y0 (n_signals,)
        as `sums` gives them, decayed counts of successes and failures behind availability, results ever, work as `work`
        gives it); None where nothing was."""
        cdef int64_t now_ns = self.clock.read()
        cdef const ModelInfo* info = self.st.model + model
        cdef int n_signals = info.n_signals, s
        cdef cnp.ndarray[double, ndim=2] out = np.zeros((n_signals, MAX_SUMS))
        cdef Profile p
        cdef Work work
        cdef double factor
        cdef double[N_SIGNALS] y0
        with cython.critical_section(self):
            p = profile_at(&self.st, model, lane)[0]
            work = work_now(&self.st, model, lane, now_ns)
            y0 = info.y0
            resource = resource_at(<Core>self, lane)
            for s in range(n_signals):
                read_sums(&self.st, model, s, lane, now_ns, &out[s, 0])
        factor = kept(p.succeeded + p.failed, profile_age_s(&p, now_ns), info.tau_s)
        # jobs that were only given up are no results, but they teach
        if resource is None or (p.n_results == 0 and not out.any()):
            return None
        return (
            resource, tuple([out[s, :n_sums(info.d)].copy() for s in range(n_signals)]),
            tuple([y0[s] for s in range(n_signals)]), factor * p.succeeded, factor * p.failed, p.n_results,
            (work.items, work.busy_s, work.n))

    def work(self, int model, int lane):
        """(items, busy seconds, jobs) behind throughput, as of now."""
        cdef Work work
        cdef int64_t now_ns = self.clock.read()
        with cython.critical_section(self):
            work = work_now(&self.st, model, lane, now_ns)
        return work.items, work.busy_s, work.n

    def throughput(self, int model, int lane, x, double service_s):
        """Items per busy second as of now, an encoded request x (d,) of service_s seconds counted as one job more."""
        cdef cnp.ndarray[double, ndim=1] row = np.ascontiguousarray(x, dtype=np.float64)
        cdef double items = items_of(self.st.model + model, <const double*>row.data)
        cdef int64_t now_ns = self.clock.read()
        with cython.critical_section(self):
            return throughput_of(&self.st, model, lane, items, service_s, now_ns)

    def merge(self, int model, resource, sums, y0, work, double succeeded, double failed, int64_t n_results):
        """Adds what another engine saw: sums and y0 (n_signals,) as `sums` gives them, work as `work` does, of the same
        model. Nothing to be done where the resource was removed meanwhile."""
        cdef int64_t now_ns = self.clock.read()
        cdef ModelInfo* info = self.st.model + model
        cdef Profile* p
        cdef double[N_SIGNALS * MAX_SUMS] rows
        cdef double[N_SIGNALS] centre
        cdef double items, busy_s, jobs
        cdef int s, i, lane, n = n_sums(info.d)
        for s in range(info.n_signals):
            centre[s] = y0[s]
            for i in range(n):
                rows[s * MAX_SUMS + i] = sums[s][i]
        items, busy_s, jobs = work
        with cython.critical_section(self):
            lane = self.lanes.get(resource, -1)
            if lane < 0 or not is_candidate(&self.st, model, lane):
                return
            p = profile_at(&self.st, model, lane)
            fade_profile(&self.st, p, model, now_ns)
            for s in range(info.n_signals):
                if rows[s * MAX_SUMS] <= 0.0:
                    continue
                if not info.has_y0[s]:
                    info.has_y0[s] = 1
                    info.y0[s] = centre[s]
                set_bit(info.untried, lane, False)
                set_bit(info.seen + s * MASK_WORDS, lane, True)
                join_pool(&info.pool, lane)
                merge_sums(&p.signal[s], rows + s * MAX_SUMS, info.d, centre[s] - info.y0[s])
            p.work.items += items
            p.work.busy_s += busy_s
            p.work.n += jobs
            p.succeeded += succeeded
            p.failed += failed
            p.n_results += n_results
            if n_results > 0:
                set_bit(info.untried, lane, False)
            for s in range(info.n_signals):
                serve(&self.st, model, s, lane, now_ns)
                serve_some_cold(&self.st, model, s, now_ns)

    def posterior(self, int model, int lane, int signal=0):
        """One profile's posterior now, float64, from the sums: what the served copy is a rounding of."""
        cdef double[MAX_D] pool_mean
        cdef double[MAX_SUMS] sums
        cdef int64_t now_ns = self.clock.read()
        cdef int d = self.st.model[model].d
        cdef double n_pool, n, factor
        cdef Offset offset
        cdef Prior prior
        cdef Posterior post
        cdef const Profile* p = profile_at(&self.st, model, lane)
        with cython.critical_section(self):
            n_pool = pooled_mean(&self.st, model, signal, lane, now_ns, pool_mean, sums)
            fresh_offset(&self.st, model, signal, lane, now_ns, pool_mean[0], &offset)
            prior_of(&self.st, model, signal, lane, n_pool, pool_mean, &offset, &prior)
            memset(sums, 0, sizeof(sums))
            n = read_sums(&self.st, model, signal, lane, now_ns, sums)
            posterior_of(sums, n, &prior, d, &post)
            post.mean[0] += self.st.model[model].y0[signal]
            factor = kept(p.succeeded + p.failed, profile_age_s(p, now_ns), self.st.model[model].tau_s)
            succeeded, failed, n_results = factor * p.succeeded, factor * p.failed, p.n_results
        return dict(
            mean=np.array([post.mean[i] for i in range(d)]),
            factor=np.array([post.factor[i] for i in range(d * (d + 1) // 2)]),
            scale2=post.scale2, dof=post.dof, n=n, n_pool=n_pool,
            succeeded=succeeded, failed=failed, n_results=n_results)

    @cython.critical_section
    def served(self, int model, int lane, int signal=0):
        """What select reads of one lane: the float32 copy, at most an eighth of the evidence behind the sums."""
        cdef const float* row = served_block(&self.st, model, signal, lane // LANES) + lane % LANES
        cdef int d = self.st.model[model].d, i
        return dict(
            mean=np.array([row[(ROW_MEAN + i) * LANES] for i in range(d)], dtype=np.float32),
            factor=np.array([row[(ROW_MEAN + d + i) * LANES] for i in range(d * (d + 1) // 2)], dtype=np.float32),
            scale2=row[ROW_SCALE2 * LANES], dof=row[ROW_DOF * LANES], inv_availability=row[ROW_INV_AVAIL * LANES],
            columns=np.array(
                [row[(ROW_COLUMN + i) * LANES] for i in range(self.st.model[model].n_columns)], dtype=np.float32),
            column_mean=np.array(
                [row[(ROW_COLUMN_MEAN + i) * LANES] for i in range(self.st.model[model].n_columns)],
                dtype=np.float32),
            column_var=np.array(
                [row[(ROW_COLUMN_VAR + i) * LANES] for i in range(self.st.model[model].n_columns)],
                dtype=np.float32))

    @cython.critical_section
    def length(self, int model, x):
        """ln(tokens) of answers of a model with two signals at an encoded request x (n_request,): location, scale,
        degrees of freedom, n."""
        cdef cnp.ndarray[double, ndim=1] row = np.ascontiguousarray(x, dtype=np.float64)
        cdef const Length* length = &self.st.model[model].length
        cdef double m, s
        forecast_length(&self.st, model, <const double*>row.data, &m, &s)
        return m, s, length.dof, length.data.total[0]

    def encode(self, int model, values):
        """Encoded features (d without columns,) of raw ones, as select sees them."""
        cdef double[MAX_D] x
        cdef double[PADDED_D] u
        cdef int64_t clipped = 0
        cdef int i
        for i in range(PADDED_D):
            u[i] = values[i] if i < len(values) else 1.0
        if not encode_features(self.st.model + model, u, x, &clipped):
            raise InputError(f"features {values!r}: finite numbers are expected, > 0 where a typical value is declared")
        return np.array([x[i] for i in range(self.st.model[model].n_request)])
