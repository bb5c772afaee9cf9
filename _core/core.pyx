"""Wires flat arrays to the kernels; all arithmetic is in the .pxd files, all validation of declarations above."""
cimport cython
cimport numpy as cnp
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.tuple cimport PyTuple_GET_ITEM
from libc.math cimport INFINITY, exp, fabs, isfinite, isnan, llround
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from _core.choose cimport mask_cost, splitmix
from _core.decide cimport (
    ADMITTED, Forecast, NO_CANDIDATE, RouteInfo, decide, favour_untried, forecast_service, forecast_total, score_all,
)
from _core.encode cimport (
    ENCODED, check_given, encode_column, encode_features, encode_given, store_column,
)
from _core.layout cimport *
from _core.learn cimport learn_failure, learn_service
from _core.posterior cimport kept, n_sums
from _core.served cimport (
    Posterior, Prior, pooled_mean, posterior_of, prior_of, profile_age_s, read_sums, serve_cold,
)
from _core.student cimport student_cdf, student_quantile
from _core.tickets cimport close_ticket, open_ticket, start_ticket, track_columns
from _core.wait cimport n_open, update_ahead, wait_mean, wait_var

import numpy as np

from tailwise._core.errors import CapacityError, InputError, TicketError

cnp.import_array()

include "clock.pxi"

LIMITS = {
    "features": MAX_D, "columns": MAX_COLUMNS, "levels": MAX_LEVELS, "resources": MASK_WORDS * 64,
    "ln_service": LN_LIMIT,
}


@cython.no_gc_clear         # tickets that are collected with it still settle in it
cdef class Core:
    """The engine's state: one flat zeroed block of fixed capacity, and the kernels' entry points."""

    cdef State st
    cdef char* base
    cdef size_t n_bytes, n_state
    cdef Clock clock
    cdef int64_t last_ns
    cdef readonly list resources

    def __cinit__(self, *, int max_resources, int max_models, int max_tickets, uint64_t seed, double tau_s, clock):
        if max_resources > MASK_WORDS * 64:
            raise CapacityError(f"{max_resources} resources: an engine holds at most {MASK_WORDS * 64}; split them")
        self.clock = clock if isinstance(clock, Clock) else ForeignClock(clock)
        self.resources = []
        self._lay_out(max_resources, max_models, max_tickets)
        cdef Header* head = self.st.head
        cdef int i
        head.tau_s = tau_s
        head.start_ns = self.last_ns = self.clock.read()
        for i in range(4):
            head.rng[i] = splitmix(&seed)
        for i in range(max_tickets):
            self.st.ticket[i].next = i + 1 if i + 1 < max_tickets else -1
        for i in range(max_resources):
            self.st.load[i].first_running = self.st.load[i].first_queued = self.st.load[i].last_queued = -1

    cdef int _lay_out(self, int max_resources, int max_models, int max_tickets) except -1:
        cdef int n_blocks = (max_resources + LANES - 1) // LANES
        cdef size_t lanes = n_blocks * LANES
        cdef size_t[11] size = [
            sizeof(Header), max_models * sizeof(ModelInfo), max_resources * sizeof(Load), n_blocks * sizeof(WaitBlock),
            <size_t>max_models * max_resources * sizeof(Profile), max_tickets * sizeof(TicketSlot),
            <size_t>max_models * N_SIGNALS * SERVED_ROWS * lanes * sizeof(float),
            lanes * sizeof(float), lanes * sizeof(float), lanes * sizeof(float), MAX_COLUMNS * lanes * sizeof(float)]
        cdef size_t[11] start
        cdef size_t at = 0
        cdef int i
        for i in range(11):
            start[i] = at
            at += (size[i] + 63) // 64 * 64
        self.n_bytes = at + 64
        self.n_state = start[7]      # what follows is scratch
        self.base = <char*>calloc(1, self.n_bytes)
        if self.base == NULL:
            raise MemoryError(f"the engine's arrays need {self.n_bytes} bytes: lower its capacities")
        cdef char* p = self.base + (64 - <size_t>self.base % 64) % 64
        self.st.head = <Header*>(p + start[0])
        self.st.model = <ModelInfo*>(p + start[1])
        self.st.load = <Load*>(p + start[2])
        self.st.wait = <WaitBlock*>(p + start[3])
        self.st.profile = <Profile*>(p + start[4])
        self.st.ticket = <TicketSlot*>(p + start[5])
        self.st.served = <float*>(p + start[6])
        self.st.cost = <float*>(p + start[7])
        self.st.service = <float*>(p + start[8])
        self.st.waiting = <float*>(p + start[9])
        self.st.given = <float*>(p + start[10])
        self.st.head.max_resources = max_resources
        self.st.head.max_models = max_models
        self.st.head.max_tickets = max_tickets
        self.st.head.n_blocks = n_blocks

    def __dealloc__(self):
        free(self.base)

    def add_resource(self, resource, int slots, bint in_order):
        """Appends a lane; returns its index. Raises CapacityError."""
        cdef int lane = self.st.head.n_resources
        if lane >= self.st.head.max_resources:
            raise CapacityError(f"{lane} resources are the engine's capacity: build it with more")
        cdef Load* load = self.st.load + lane
        load.slots = slots
        load.in_order = in_order
        load.alive = 1
        self.st.wait[lane // LANES].inv_slots[lane % LANES] = 1.0 / slots
        self.st.head.n_resources += 1
        self.resources.append(resource)
        return lane

    def add_model(self, typical, knees, kinds, scales, offsets_s):
        """Appends a model over all lanes; returns its index. Raises CapacityError.

        typical (n_features,), 0 = none; knees (n_features,) bool; kinds, scales (n_columns,);
        offsets_s (n_resources,) seconds, +inf where the lane is no candidate.
        """
        cdef int m = self.st.head.n_models, i, lane, s
        if m >= self.st.head.max_models:
            raise CapacityError(f"{m} models are the engine's capacity: build it with more")
        cdef ModelInfo* info = self.st.model + m
        cdef float* row
        info.n_signals = 1
        info.n_features = len(typical)
        info.n_columns = len(kinds)
        info.d = 1 + info.n_features + sum(knees) + info.n_columns
        for i in range(info.n_features):
            info.typical[i] = typical[i]
            info.knee[i] = knees[i]
        for i in range(info.n_columns):
            info.column_kind[i] = kinds[i]
            info.column_scale[i] = scales[i]
            info.n_given += kinds[i] == COLUMN_GIVEN
        self.st.head.n_models += 1
        for s in range(N_SIGNALS):
            for lane in range(self.st.head.n_blocks * LANES):
                row = served_block(&self.st, m, s, lane // LANES) + lane % LANES
                row[ROW_OFFSET * LANES] = offsets_s[lane] if lane < len(offsets_s) else INFINITY
                for i in range(MAX_COLUMNS):
                    row[(ROW_COLUMN + i) * LANES] = np.nan
        for lane in range(self.st.head.n_resources):
            profile_at(&self.st, m, lane).decayed_ns = self.last_ns
            if isfinite(offsets_s[lane]):
                info.untried[lane >> 6] |= <uint64_t>1 << (lane & 63)
            track_columns(&self.st, lane)
        serve_cold(&self.st, m, 0, self.last_ns)
        return m

    def give(self, int model, int lane, double ln_median, double spread, double weight):
        """Installs a user's profile as prior; a lane that has one does not count as untried."""
        cdef Profile* p = profile_at(&self.st, model, lane)
        p.given_ln = ln_median
        p.given_spread = spread
        p.given_weight = weight
        self.st.model[model].untried[lane >> 6] &= ~(<uint64_t>1 << (lane & 63))
        serve_cold(&self.st, model, 0, self.last_ns)

    def store(self, int model, int column, int lane, double value):
        """Writes a reported column, raw; NaN = unknown."""
        cdef double scale = self.st.model[model].column_scale[column]
        store_column(&self.st, model, column, lane, encode_column(value, scale, &self.st.head.n_clipped))

    def sums(self, int model, int lane):
        """(n_sums,) float64: packed A, b, c of one profile, as of its last change, and the centre y0."""
        cdef cnp.ndarray[double, ndim=1] out = np.zeros(n_sums(self.st.model[model].d))
        cdef const Evidence* e = &profile_at(&self.st, model, lane).signal[0]
        cdef int i
        for i in range(out.shape[0]):
            out[i] = e.total[i] + e.lost[i]
        return out, self.st.model[model].y0[0]

    def posterior(self, int model, int lane):
        """One profile's posterior now, float64, from the sums: what the served copy is a rounding of."""
        cdef double[MAX_D] pool_mean
        cdef double[MAX_SUMS] sums
        cdef int64_t now_ns = self.clock.read()
        cdef int d = self.st.model[model].d
        cdef double n_pool = pooled_mean(&self.st, model, 0, lane, now_ns, pool_mean, sums)
        cdef Prior prior
        cdef Posterior post
        prior_of(&self.st, model, 0, lane, n_pool, pool_mean, &prior)
        memset(sums, 0, sizeof(sums))
        cdef double n = read_sums(&self.st, model, 0, lane, now_ns, sums)
        posterior_of(sums, n, &prior, d, &post)
        post.mean[0] += self.st.model[model].y0[0]
        cdef const Profile* p = profile_at(&self.st, model, lane)
        cdef double factor = kept(p.succeeded + p.failed, profile_age_s(p, now_ns), self.st.head.tau_s)
        return dict(
            mean=np.array([post.mean[i] for i in range(d)]),
            factor=np.array([post.factor[i] for i in range(d * (d + 1) // 2)]),
            scale2=post.scale2, dof=post.dof, n=n, n_pool=n_pool,
            succeeded=factor * p.succeeded, failed=factor * p.failed, n_results=p.n_results)

    def served(self, int model, int lane):
        """What select reads of one lane: the float32 copy, at most an eighth of the evidence behind the sums."""
        cdef const float* row = served_block(&self.st, model, 0, lane // LANES) + lane % LANES
        cdef int d = self.st.model[model].d, i
        return dict(
            mean=np.array([row[(ROW_MEAN + i) * LANES] for i in range(d)], dtype=np.float32),
            factor=np.array([row[(ROW_MEAN + d + i) * LANES] for i in range(d * (d + 1) // 2)], dtype=np.float32),
            scale2=row[ROW_SCALE2 * LANES], dof=row[ROW_DOF * LANES], inv_availability=row[ROW_INV_AVAIL * LANES],
            columns=np.array(
                [row[(ROW_COLUMN + i) * LANES] for i in range(self.st.model[model].n_columns)], dtype=np.float32),
            column_mean=np.array(
                [row[(ROW_COLUMN_MEAN + i) * LANES] for i in range(self.st.model[model].n_columns)],
                dtype=np.float32))

    def load(self, int lane):
        """(jobs in service, jobs queued) that tickets put on the lane."""
        cdef const Load* load = self.st.load + lane
        return load.n_running, n_open(load) - load.n_running

    def own_queue(self, int lane):
        """From now on the queue's owner says when service starts, and levels are served in order."""
        self.st.load[lane].in_order = 0
        update_ahead(&self.st, lane)

    def encode(self, int model, values):
        """Encoded features (d without columns,) of raw ones, as select sees them."""
        cdef double[MAX_D] x
        cdef cnp.ndarray[double, ndim=1] u = np.ascontiguousarray(values, dtype=np.float64)
        cdef int64_t clipped = 0
        cdef int code = encode_features(self.st.model + model, <const double*>u.data, x, &clipped)
        if code != ENCODED:
            raise InputError(f"features {values!r}: finite numbers are expected, > 0 where a typical value is declared")
        return np.array([x[i] for i in range(self.st.model[model].d - self.st.model[model].n_columns)])

    def snapshot(self):
        """Every byte of state (scratch aside): tests compare it before and after a refused call."""
        return PyBytes_FromStringAndSize(<char*>self.st.head, self.n_state)

    @property
    def counters(self):
        """Open tickets, abandoned tickets, clipped values, ever."""
        cdef const Header* head = self.st.head
        return dict(n_open=head.n_open, n_abandoned=head.n_abandoned, n_clipped=head.n_clipped)


include "ticket.pxi"
include "route.pxi"


def student_p(double t, double dof):
    """P(T <= t) as the kernels compute it."""
    return student_cdf(t, dof)


def student_q(double z, double dof):
    """The Student-t quantile at probability Phi(z), as the kernels compute it."""
    return student_quantile(z, dof)
