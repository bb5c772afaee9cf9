# The one place where raw numbers become encoded ones; select and complete both read its result.
from libc.math cimport isnan, log1p

from _core.layout cimport LANES, ModelInfo, ROW_COLUMN, State, int64_t, served_block
from _core.versions cimport Features, clip, kernels

cdef inline bint encode_features(const ModelInfo* model, const double* u, double* x, int64_t* n_clipped) noexcept nogil:
    """u (PADDED_D,) raw, 1 beyond n_features  # IN;  x (n_request,)  # OUT. False when a value cannot be encoded."""
    cdef Features features = Features(
        model.n_features, model.n_plain, model.n_knees, &model.ln_typical[0], &model.plain[0], &model.knee[0])
    return kernels.encode(&features, u, x, n_clipped)


cdef inline double encode_column(double value, double scale, int64_t* n_clipped) noexcept nogil:
    """ln(1 + value / scale) clipped at 6; NaN (unknown) stays NaN."""
    if isnan(value):
        return value
    return clip(log1p(value / scale), 6.0, n_clipped)


cdef inline void store_column(State* st, int model, int column, int lane, double value) noexcept nogil:
    """Writes one stored column of one lane, raw value in, for both signals. What a call adds to is kept in units of
    its scale, to be encoded with the sum."""
    cdef const ModelInfo* info = st.model + model
    cdef double scale = info.column_scale[column]
    cdef int s
    if info.given_row[column] >= 0:
        value = value / scale if not value / scale > 1e30 else 1e30
    else:
        value = encode_column(value, scale, &st.head.n_clipped)
    for s in range(info.n_signals):
        served_block(st, model, s, lane // LANES)[(ROW_COLUMN + column) * LANES + lane % LANES] = <float>value
