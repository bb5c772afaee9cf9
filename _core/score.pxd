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

from _core.forecast cimport RouteInfo
from _core.layout cimport (
    LANES, ModelInfo, ROW_INV_AVAIL, ROW_OFFSET, Stake, State, served_block,
)
from _core.urgency cimport patience
from _core.versions cimport Candidates


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


cdef inline Candidates candidates_of(
    const State* st, int model, int signal, int first, int n_lanes, const double* x
) noexcept nogil:
    """n_lanes lanes from block `first` on, for the kernels. x (n_request,) encoded."""
    cdef const ModelInfo* info = st.model + model
    return Candidates(
        d=info.d, n_request=info.n_request, n_columns=info.n_columns, n_terms=info.n_terms, n_lanes=n_lanes,
        stride=st.head.n_blocks * LANES, given_row=&info.given_row[0], square=&info.square[0],
        product=&info.product[0], factor=&info.factor[0], is_load=&info.is_load[0], served=served_block(st, model, signal, first),
        given=st.given + first * LANES, x=x)


cdef inline void score_lane(const State* st, const Stake* stake, int lane, double wait_s, float service_s) noexcept nogil:
    """One lane's cost again, after its wait or its service was looked at more closely."""
    cdef const float* row = served_block(st, stake.model, 0, lane // LANES) + lane % LANES
    st.waiting[lane] = <float>wait_s
    st.cost[lane] = cost_of(stake, st.waiting[lane], service_s, st.wait[lane // LANES].crowd[lane % LANES]) \
        * row[ROW_INV_AVAIL * LANES] + row[ROW_OFFSET * LANES]
