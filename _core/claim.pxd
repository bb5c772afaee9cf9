# The claim: what of jobs like this one ended on time lately, where P(on time) only says what the forecast expects. Queues
# do what no formula of the wait foresees (later jobs of higher classes overtake), so each class keeps a table of what
# happened. Its axes: u, by how many spreads of the service the time left exceeds wait and service, and h, how much of its
# deadline the job queued longest at that level of the lane has spent. The claim rises in u and falls in h, and so never
# falls when the deadline grows and never rises when the backlog does, which P(on time) itself cannot promise: its
# moments are matched, and a wait that is certain makes the total relatively surer.
#
# Measured on tests/world.py, claimed - observed of the lowest class: bench/README.md.
from libc.math cimport INFINITY, exp, fabs, log

from _core.layout cimport Claims, H_CELLS, MODE_SHADOW, Promise, State, U_CELLS, int64_t
from _core.student cimport student_cdf
from _core.wait cimport moment_spread

cdef enum:
    FINE = 65536        # positions are in 1 / FINE of a cell
    DUE = 64            # reports after which the values are worked out again; after a second at the latest

cdef extern from *:
    """
    #define TW_U_BEND 3.0           /* the axis is u / (3 + |u|) from u = -3 to 16: cells are closest where P changes most */
    #define TW_BENT_LEAST -0.5
    #define TW_BENT_RANGE (16.0 / 19.0 + 0.5)
    #define TW_CLAIM_TAU_S 8.0      /* with 20 s claims lag .01 more behind the start of an overload */
    #define TW_CLAIM_FLOOR 64.0     /* reports of a class that time alone does not take away */
    #define TW_CLASS_PRIOR 8.0      /* reports that the raw P of a class is worth, */
    #define TW_CELL_PRIOR 1.0       /* that a row is worth to its cells, and the class to its rows */
    #define TW_VALUE_STEP 1048576.0
    """
    const double U_BEND "TW_U_BEND"
    const double BENT_LEAST "TW_BENT_LEAST"
    const double BENT_RANGE "TW_BENT_RANGE"
    const double CLAIM_TAU_S "TW_CLAIM_TAU_S"
    const double CLAIM_FLOOR "TW_CLAIM_FLOOR"
    const double CLASS_PRIOR "TW_CLASS_PRIOR"
    const double CELL_PRIOR "TW_CELL_PRIOR"
    const double VALUE_STEP "TW_VALUE_STEP"


# --- where a forecast lies: every step rises or falls exactly in the time left and the wait, rounding included -----------

cdef inline double spreads_left(double left_s, double mean_s, double s) noexcept nogil:
    """u: of a job that waits for nothing the t of its forecast, from the median; mean_s has exp(s^2 / 2) in it.

    In float32 neighbouring ratios lie further apart than a logarithm is wrong."""
    cdef float ratio
    cdef double mean_above = moment_spread(s)
    if not left_s > 0.0:
        return -INFINITY
    ratio = <float>(left_s / mean_s)
    return log(<double>ratio) / s + 0.5 * mean_above * mean_above / s if ratio > 0.0 else -INFINITY


cdef inline int cell_u(double u) noexcept nogil:
    cdef double bent = 1.0 - U_BEND / (U_BEND + u) if u > 0.0 else U_BEND / (U_BEND - u) - 1.0
    cdef double at = (bent - BENT_LEAST) / BENT_RANGE
    return <int>((at if at < 1.0 else 1.0) * ((U_CELLS - 1) * FINE)) if at > 0.0 else 0


cdef inline double row_u(int i) noexcept nogil:
    """u at row i of the cells."""
    cdef double bent = BENT_LEAST + BENT_RANGE * i / (U_CELLS - 1)
    return U_BEND * bent / (1.0 - fabs(bent))


cdef inline int cell_h(double h) noexcept nogil:
    return <int>((h if h < 1.0 else 1.0) * ((H_CELLS - 1) * FINE)) if h > 0.0 else 0


# --- what the table says of it -----------------------------------------------------------------------------------------

cdef inline double read_claim(const Claims* table, int u, int h) noexcept nogil:
    """Bilinear between four values. Exact, since values are in 1 / VALUE_STEP and weights in 1 / FINE: 52 bits."""
    cdef int i = min(u // FINE, U_CELLS - 2), j = min(h // FINE, H_CELLS - 2)
    cdef const double* v = &table.value[i * H_CELLS + j]
    cdef double fu = <double>(u - i * FINE) * (1.0 / FINE), fh = <double>(h - j * FINE) * (1.0 / FINE)
    cdef double low = v[0] + fh * (v[1] - v[0])
    cdef double high = v[H_CELLS] + fh * (v[H_CELLS + 1] - v[H_CELLS])
    return low + fu * (high - low)


# --- what it learns ------------------------------------------------------------------------------------------------------

cdef inline void pool(double* v, const double* w, int n, int step) noexcept nogil:
    """Pool adjacent violators: the nearest values (v[0], v[step], ...) that do not fall, weighted by w > 0, in place."""
    cdef double[U_CELLS] mean
    cdef double[U_CELLS] mass
    cdef int[U_CELLS] length
    cdef int i, k, top = -1
    for i in range(1, n):   # most rows are of equal or of rising values
        if v[(i - 1) * step] > v[i * step]:
            break
    else:
        return
    for i in range(n):
        top += 1
        mean[top] = v[i * step]
        mass[top] = w[i * step]
        length[top] = 1
        while top > 0 and mean[top - 1] > mean[top]:
            mean[top - 1] = (mean[top - 1] * mass[top - 1] + mean[top] * mass[top]) / (mass[top - 1] + mass[top])
            mass[top - 1] += mass[top]
            length[top - 1] += length[top]
            top -= 1
    i = 0
    for k in range(top + 1):
        while length[k] > 0:
            v[i * step] = mean[k]
            length[k] -= 1
            i += 1


cdef inline void make_monotone(double* v, const double* w) noexcept nogil:
    """v (U_CELLS, H_CELLS) in place, w > 0: pooled to fall along h, then to rise along u. Where the second undid the
    first: the middle between the largest falling values below v and the least above it, which still rise along u."""
    cdef double[H_CELLS] above
    cdef double below, most
    cdef double* row
    cdef int i, j
    for i in range(U_CELLS):    # what falls rises backwards
        pool(v + (i + 1) * H_CELLS - 1, w + (i + 1) * H_CELLS - 1, H_CELLS, -1)
    for j in range(H_CELLS):
        pool(v + j, w + j, U_CELLS, H_CELLS)
    for i in range(U_CELLS):
        row = v + i * H_CELLS
        most = row[H_CELLS - 1]
        for j in range(H_CELLS - 1, -1, -1):
            most = max(most, row[j])
            above[j] = most
        below = row[0]
        for j in range(H_CELLS):
            below = min(below, row[j])
            row[j] = 0.5 * (below + above[j])


cdef inline void fade_claims(Claims* table, int64_t now_ns) noexcept nogil:
    """Ages the reports to now. Time alone leaves CLAIM_FLOOR of a class: a quiet night says nothing."""
    cdef double age_s = <double>(now_ns - table.built_ns) * 1e-9, n = 0.0, keep
    cdef int k
    for k in range(U_CELLS * H_CELLS):
        n += table.settled[k]
    keep = exp(-(age_s if age_s > 0.0 else 0.0) / CLAIM_TAU_S)
    keep = max(keep, min(1.0, CLAIM_FLOOR / n)) if n > 0.0 else 1.0
    for k in range(U_CELLS * H_CELLS):
        table.settled[k] *= keep
        table.on_time[k] *= keep
        table.raw[k] *= keep


cdef inline double total(const double* cells, int n) noexcept nogil:
    cdef double t = 0.0
    cdef int k
    for k in range(n):
        t += cells[k]
    return t


cdef inline void build_claims(Claims* table, int64_t now_ns) noexcept nogil:
    """The values, from what was reported. Each cell leans on its row, a row on the raw P of its own jobs less what the raw
    P of the whole class is wrong by, and an empty row on the t that a profile has which is just known."""
    cdef double[U_CELLS * H_CELLS] v
    cdef double[U_CELLS * H_CELLS] w
    cdef double n, on_time, row, shift
    cdef int i, k
    fade_claims(table, now_ns)
    table.built_ns = now_ns
    table.n_new = 0
    shift = (total(table.on_time, U_CELLS * H_CELLS) - total(table.raw, U_CELLS * H_CELLS)) \
        / (total(table.settled, U_CELLS * H_CELLS) + CLASS_PRIOR)
    for i in range(U_CELLS):
        n = total(table.settled + i * H_CELLS, H_CELLS)
        row = (total(table.raw + i * H_CELLS, H_CELLS) + student_cdf(row_u(i), 12.0)) / (n + 1.0) + shift
        on_time = total(table.on_time + i * H_CELLS, H_CELLS)
        row = (on_time + CELL_PRIOR * max(0.0, min(1.0, row))) / (n + CELL_PRIOR)
        for k in range(i * H_CELLS, (i + 1) * H_CELLS):
            v[k] = (table.on_time[k] + CELL_PRIOR * row) / (table.settled[k] + CELL_PRIOR)
            w[k] = table.settled[k] + 1e-3
    make_monotone(v, w)
    for k in range(U_CELLS * H_CELLS):
        table.value[k] = <int>(min(v[k], 1.0) * VALUE_STEP + 0.5) / VALUE_STEP


cdef inline void learn_claim(State* st, const Promise* p, bint on_time, int64_t now_ns) noexcept nogil:
    """A job's end, whoever chose: in the four cells about it, by their weights. Its availability counts instead of 1, since
    the claim is multiplied with it again. Cost: 10 ns, and 2 us for each rebuild."""
    cdef Claims* table = &st.certificate[p.qos].claims
    cdef int i = min(p.u // FINE, U_CELLS - 2), j = min(p.h // FINE, H_CELLS - 2), k, cell
    cdef double fu = <double>(p.u - i * FINE) * (1.0 / FINE), fh = <double>(p.h - j * FINE) * (1.0 / FINE), weight
    if st.head.mode > MODE_SHADOW:
        return
    for k in range(4):
        cell = (i + k // 2) * H_CELLS + j + k % 2
        weight = (fu if k // 2 else 1.0 - fu) * (fh if k % 2 else 1.0 - fh)
        table.settled[cell] += weight * p.availability
        table.raw[cell] += weight * p.raw
        table.on_time[cell] += weight * on_time
    table.n_new += 1
    if table.n_new >= DUE or now_ns - table.built_ns > 1_000_000_000:
        build_claims(table, now_ns)
