# One pass over all candidates: median service exp(m), wait W, cost = what the job costs all / availability + offset.
#
# A job that holds a slot for S makes each of the jobs that wait for that slot wait for S more: W + S (1 + Q), where Q
# counts each by how urgent it is against this one (urgency.pxd). Where all resources are busy the queues so become the
# prices of their slots, and each job goes where it is relatively fast, not where the queue happens to be short; MaxWeight
# (Stolyar, Annals of Applied Probability 14, 2004) and the weighted-workload rule of Balanced-PANDAS (Xie, Yekkehkhany,
# Lu, INFOCOM 2016) are known to use the whole capacity for that reason. Against W + S in the replay (true means given, 4
# seeds): goodput at .8 / .95 / 1.2 of the capacity .982 / .948 / .882, with all waiting jobs counted alike
# .992 / .984 / .937; Q capped at 4 jobs .993 / .961 / .900; the mean of all queues in place of the lane's own no gain.
from libc.math cimport INFINITY

from _core.encode cimport cloned_void, known8, load8, max8, min8, splat8, store8, v8
from _core.forecast cimport RouteInfo
from _core.layout cimport (
    LANES, MAX_COLUMNS, ModelInfo, ROW_COLUMN, ROW_COLUMN_MEAN, ROW_INV_AVAIL, ROW_MEAN, ROW_OFFSET,
    SERVED_ROWS, State, WaitBlock, int64_t, seconds_at, served_block,
)
from _core.urgency cimport patience

cdef extern from "simd.h" nogil:
    v8 exp8 "tw_exp"(v8 x)
    ctypedef float cloned_float "TW_CLONES float"


cdef struct Stake:           # what the rank of a job's candidates depends on beside their times
    int model, level
    float left_s            # to the deadline that it heeds; +inf = none
    float patience          # what it counts for: others' urgency times this


cdef inline Stake stake_of(const RouteInfo* route, double left_s) noexcept nogil:
    cdef Stake stake
    stake.model = route.model
    stake.level = route.level
    # what a late job would save itself by a move, those lose that it then passes: +1.4 / +.4 / +1.4 points at .95 with
    # events, 1.2, 1.2 with events. Not so the most urgent, who would move to where they cannot be in time: +.2 / +.3 / +.6
    stake.left_s = <float>(INFINITY if route.placed and route.level > 0 else left_s)
    # a budget that nobody gave is the class's to the last bit
    stake.patience = <float>(route.patience if route.placed or left_s == route.deadline_s else patience(left_s))
    return stake


cdef inline float cost_of(const Stake* stake, float wait_s, float service_s, float crowd) noexcept nogil:
    """Seconds of all jobs; ten times as many where it is not going to be in time, which a service of twice the median
    stands for: prices alone would send urgent jobs where others lose least (-1.4 points of theirs at 1.2; any factor
    from 10 up and 1.5 to 3 medians did alike)."""
    cdef float cost = wait_s + service_s * (<float>1.0 + stake.patience * crowd)
    return cost * <float>10.0 if wait_s + <float>2.0 * service_s > stake.left_s else cost


cdef inline v8 bend(const ModelInfo* info, const float* row, const float* x, int column, v8 z, v8 slope) noexcept nogil:
    """What the column's square and product make of its slope at z: slope + slope_2 z + slope_x x. On a load column
    it is floored at 0 once more, since x may be negative."""
    if info.square[column]:
        slope = slope + z * load8(row + (ROW_MEAN + info.square[column]) * LANES)
    if info.product[column]:
        slope = slope + splat8(x[info.factor[column]]) * load8(row + (ROW_MEAN + info.product[column]) * LANES)
    return max8(slope, splat8(0.0)) if info.is_load[info.n_request + column] else slope


cdef inline cloned_void score_blocks(
    const ModelInfo* info, const float* served, const WaitBlock* wait, const float* given, const float* x,
    int n_blocks, int stride, const Stake* stake, double now_s, float* service, float* waiting, float* cost,
) noexcept nogil:
    """served [n_blocks, SERVED_ROWS, LANES], wait [n_blocks], given [n_columns, stride], x (n_request,) encoded  # IN
    service, waiting, cost (n_blocks LANES,) seconds  # OUT.
    An unknown column is the profile's mean of it.
    """
    cdef const float* row
    cdef const float* column
    cdef const WaitBlock* w
    cdef v8 low, high, xi, z_low, z_high, slope_low, slope_high
    cdef int n_request = info.n_request
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
        for i in range(info.n_columns):
            if info.given_row[i] < 0:
                column = row + (ROW_COLUMN + i) * LANES
            else:
                column = given + i * stride + b * LANES
            z_low = known8(load8(column), load8(row + (ROW_COLUMN_MEAN + i) * LANES))
            z_high = known8(load8(column + 8), load8(row + (ROW_COLUMN_MEAN + i) * LANES + 8))
            slope_low = load8(row + (ROW_MEAN + n_request + i) * LANES)
            slope_high = load8(row + (ROW_MEAN + n_request + i) * LANES + 8)
            if info.n_terms:
                slope_low = bend(info, row, x, i, z_low, slope_low)
                slope_high = bend(info, row + 8, x, i, z_high, slope_high)
            low = low + z_low * slope_low
            high = high + z_high * slope_high
        store8(service + b * LANES, exp8(low))
        store8(service + b * LANES + 8, exp8(high))
        w = wait + b
        for l in range(LANES):
            left = w.residual_s[l] + w.slope[l] * max(now_s - w.since_s[l], 0.0)
            left = left if left > 0.0 else 0.0
            waiting[b * LANES + l] = <float>((left + w.ahead_s[stake.level * LANES + l]) * w.inv_slots[l])
        for l in range(LANES):
            cost[b * LANES + l] = cost_of(stake, waiting[b * LANES + l], service[b * LANES + l], w.crowd[l]) \
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


cdef inline void score_lane(const State* st, const Stake* stake, int lane, double wait_s, float service_s) noexcept nogil:
    """One lane's cost again, after its wait or its service was looked at more closely."""
    cdef const float* row = served_block(st, stake.model, 0, lane // LANES) + lane % LANES
    st.waiting[lane] = <float>wait_s
    st.cost[lane] = cost_of(stake, st.waiting[lane], service_s, st.wait[lane // LANES].crowd[lane % LANES]) \
        * row[ROW_INV_AVAIL * LANES] + row[ROW_OFFSET * LANES]
