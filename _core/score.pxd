# One pass over all candidates: median service exp(m), wait W, cost (W + exp(m)) / availability + offset.
from _core.encode cimport cloned_void, known8, load8, min8, splat8, store8, v8
from _core.layout cimport (
    LANES, MAX_COLUMNS, ModelInfo, ROW_COLUMN, ROW_COLUMN_MEAN, ROW_INV_AVAIL, ROW_MEAN, ROW_OFFSET,
    SERVED_ROWS, State, WaitBlock, int64_t, seconds_at, served_block,
)

cdef extern from "simd.h" nogil:
    v8 exp8 "tw_exp"(v8 x)
    ctypedef float cloned_float "TW_CLONES float"


cdef inline cloned_void score_blocks(
    const float* served, const WaitBlock* wait, const float* given, const int* given_row,
    const float* x, int n_request, int n_columns, int n_blocks, int stride, int level, double now_s,
    float* service, float* waiting, float* cost,
) noexcept nogil:
    """served [n_blocks, SERVED_ROWS, LANES], wait [n_blocks], given [n_given, stride]  # IN
    x (n_request,) encoded; given_row (n_columns,): row of `given`, -1 = stored in the served copy  # IN
    service, waiting, cost (n_blocks LANES,) seconds  # OUT. An unknown column is the profile's mean of it.
    """
    cdef const float* row
    cdef const float* column
    cdef const WaitBlock* w
    cdef v8 low, high, xi
    cdef double left
    cdef int b, i, l
    for b in range(n_blocks):
        row = served + b * SERVED_ROWS * LANES
        low = load8(row + ROW_MEAN * LANES)
        high = load8(row + ROW_MEAN * LANES + 8)
        for i in range(1, n_request):
            xi = splat8(x[i])
            low = low + xi * load8(row + (ROW_MEAN + i) * LANES)
            high = high + xi * load8(row + (ROW_MEAN + i) * LANES + 8)
        for i in range(n_columns):
            if given_row[i] < 0:
                column = row + (ROW_COLUMN + i) * LANES
            else:
                column = given + given_row[i] * stride + b * LANES
            low = low + known8(load8(column), load8(row + (ROW_COLUMN_MEAN + i) * LANES)) \
                * load8(row + (ROW_MEAN + n_request + i) * LANES)
            high = high + known8(load8(column + 8), load8(row + (ROW_COLUMN_MEAN + i) * LANES + 8)) \
                * load8(row + (ROW_MEAN + n_request + i) * LANES + 8)
        store8(service + b * LANES, exp8(low))
        store8(service + b * LANES + 8, exp8(high))
        w = wait + b
        for l in range(LANES):
            left = w.residual_s[l] + w.slope[l] * (now_s - w.since_s[l])
            left = left if left > 0.0 else 0.0
            waiting[b * LANES + l] = <float>((left + w.ahead_s[level * LANES + l]) * w.inv_slots[l])
        for l in range(LANES):
            cost[b * LANES + l] = (waiting[b * LANES + l] + service[b * LANES + l]) \
                * row[ROW_INV_AVAIL * LANES + l] + row[ROW_OFFSET * LANES + l]


cdef inline cloned_float least_of(const float* cost, int n_blocks) noexcept nogil:
    """The least cost. Two running minima of eight lanes each: one alone would wait for itself."""
    cdef float[8] lanes
    cdef v8 low = load8(cost)
    cdef v8 high = load8(cost + 8)
    cdef int b, i
    for b in range(1, n_blocks):
        low = min8(load8(cost + b * LANES), low)
        high = min8(load8(cost + b * LANES + 8), high)
    store8(lanes, min8(low, high))
    for i in range(1, 8):
        lanes[0] = lanes[i] if lanes[i] < lanes[0] else lanes[0]
    return lanes[0]


cdef inline void score_lane(const State* st, int model, int lane, double wait_s, float service_s) noexcept nogil:
    """One lane's cost again, after its wait or its service was looked at more closely."""
    cdef const float* row = served_block(st, model, 0, lane // LANES) + lane % LANES
    st.waiting[lane] = <float>wait_s
    st.cost[lane] = (st.waiting[lane] + service_s) * row[ROW_INV_AVAIL * LANES] + row[ROW_OFFSET * LANES]
