# Two bounds at once, eight lanes a step: the pace of every candidate's answer beside its time to the first token.
from libc.math cimport INFINITY
from libc.string cimport memset

from _core.harm cimport weigh_harm
from _core.layout cimport LANES, ROW_INV_AVAIL, Stake, State, served_block
from _core.score cimport candidates_of
from _core.stream cimport tightest_s
from _core.versions cimport Candidates, kernels


cdef inline void weigh_pace(
    const State* st, int model, double tpot_s, bint shared, const double* x, int first, int n_blocks
) noexcept nogil:
    """st.on_time, P(first token in time) x availability, becomes P(and the pace holds) x availability by the union bound.

    x (n_request,) encoded. A lane's tpot_s is the smaller of this job's and its open jobs', since this one slows them
    down. shared: what they lose is worked out, too. P(pace holds) is that of a completion without a wait, in units of the bound.
    """
    cdef const float* served = served_block(st, model, 1, first)
    cdef const float* row           # of both signals: their availabilities may be of different age
    cdef const float* row1
    cdef int at = first * LANES, n = n_blocks * LANES, lane
    cdef float* pace = st.pace + at
    cdef float missed
    cdef Candidates c
    cdef Stake stake
    stake.level = 0     # of no meaning: only the pace is read
    stake.left_s = INFINITY
    stake.patience = 0.0
    c = candidates_of(st, model, 1, first, n, x)
    kernels.score(&c, &stake, st.wait + first, 0.0, pace, st.wait_sd + at, st.fits + at)
    kernels.spread(&c, st.pace_var + at, st.fits + at)
    if shared:
        weigh_harm(st, model, x, first, n_blocks)
    for lane in range(at, min(at + n, st.head.n_resources)):
        st.pace[lane] /= <float>tightest_s(st, lane, tpot_s)
    memset(st.wait_sd + at, 0, n * sizeof(float))
    kernels.on_time(
        served, pace, st.wait_sd + at, st.wait_sd + at, st.pace_var + at, 0.0, n, st.fits + at, st.pace_holds + at)
    for lane in range(at, at + n):
        row = served_block(st, model, 0, lane // LANES) + lane % LANES
        row1 = served_block(st, model, 1, lane // LANES) + lane % LANES
        missed = <float>1.0 - st.pace_holds[lane] * row1[ROW_INV_AVAIL * LANES]
        st.on_time[lane] = max(<float>0.0, st.on_time[lane] - missed / row[ROW_INV_AVAIL * LANES])
