# What a job takes from those who are there already: where jobs are batched, each token that is read for it and each
# sequence more slows all of them down.
from libc.math cimport expm1, isnan, log1p

from _core.layout cimport (
    COLUMN_IN_FLIGHT, COLUMN_KV, COLUMN_PREFILL, COLUMN_RUNNING, LANES, ModelInfo, ROW_COLUMN, ROW_COLUMN_MEAN,
    ROW_MEAN, State, served_block,
)
from _core.length cimport length_moments
from _core.stream cimport prompt_of
from _core.wait cimport n_open


cdef inline double part(const ModelInfo* info, const float* row, const double* x, int column, double z) noexcept nogil:
    """What a column at z adds to ln(seconds), bent as in kernels.h."""
    cdef double slope = row[(ROW_MEAN + info.n_request + column) * LANES]
    if info.square[column]:
        slope += z * row[(ROW_MEAN + info.square[column]) * LANES]
    if info.product[column]:
        slope += x[info.factor[column]] * row[(ROW_MEAN + info.product[column]) * LANES]
    return 0.0 if info.is_load[info.n_request + column] and slope < 0.0 else z * slope


cdef inline double column_at(const State* st, const ModelInfo* info, const float* row, int column, int lane) noexcept nogil:
    """The encoded column as a decision reads it: the profile's mean of it where it is unknown."""
    cdef double z = row[(ROW_COLUMN + column) * LANES] if info.given_row[column] < 0 \
        else st.given[column * st.head.n_blocks * LANES + lane]
    return row[(ROW_COLUMN_MEAN + column) * LANES] if isnan(z) else z


cdef inline double harm_at(
    const State* st, int model, const double* x, int lane, double half, double prompt
) noexcept nogil:
    """Seconds that the jobs on one lane lose, after st.service and st.pace were worked out. half: E[tokens] / 2.

    jobs there x (what reading this job's own tokens takes + half x (pace with one job more - pace))

    since a job that is there has half of its answer before it in the mean. What reading takes: the time to the first
    token less what it would be without own tokens. One job more: in the columns that count jobs and the tokens in
    their cache. A model without such columns tells of no harm.
    """
    cdef const ModelInfo* info = st.model + model
    cdef const float* ttft = served_block(st, model, 0, lane // LANES) + lane % LANES
    cdef const float* tpot = served_block(st, model, 1, lane // LANES) + lane % LANES
    cdef double own = 0.0, slower = 0.0, z, more
    cdef int i, kind
    for i in range(info.n_columns):
        kind, z = info.column_kind[i], column_at(st, info, ttft, i, lane)
        if kind == COLUMN_PREFILL and info.given_row[i] >= 0:
            own += part(info, ttft, x, i, z) - part(info, ttft, x, i, min(log1p(ttft[(ROW_COLUMN + i) * LANES]), 6.0))
        elif kind == COLUMN_RUNNING or kind == COLUMN_IN_FLIGHT or kind == COLUMN_KV:
            more = (prompt + half if kind == COLUMN_KV else 1.0) / info.column_scale[i]
            slower += part(info, tpot, x, i, min(log1p(expm1(z) + more), 6.0)) - part(info, tpot, x, i, z)
    return n_open(st.load + lane) * (
        max(0.0, -st.service[lane] * expm1(-own)) + half * max(0.0, st.pace[lane] * expm1(min(slower, 10.0))))


cdef inline void weigh_harm(const State* st, int model, const double* x, int first, int n_blocks) noexcept nogil:
    """st.harm of `n_blocks` blocks; at most 1e30, so that hopeless forecasts compare, too. x (n_request,) encoded.
    Cost: a few logarithms for each lane that has jobs."""
    cdef const ModelInfo* info = st.model + model
    cdef double var, half = 0.5 * length_moments(st, model, x, &var), prompt = prompt_of(info, x) if info.prompt else 0.0
    cdef int lane
    for lane in range(first * LANES, min((first + n_blocks) * LANES, st.head.n_resources)):
        st.harm[lane] = 0.0
        if n_open(st.load + lane):
            st.harm[lane] = <float>min(harm_at(st, model, x, lane, half, prompt), 1e30)
