# The kernels over all candidates (kernels.h), in the version that was chosen for this processor.
from libc.stdint cimport int32_t, int64_t, uint64_t

from _core.shape cimport Stake, WaitBlock

cdef extern from "versions.h" nogil:
    """
    static const tw_kernels *tw_in_use = &tw_plain;     /* the module's first act is to choose */
    """
    ctypedef struct Features "tw_features":
        int n, n_plain, n_knees
        const double* ln_typical
        const int64_t* plain
        const int32_t* knee

    ctypedef struct Candidates "tw_candidates":
        int d, n_request, n_columns, n_terms, n_lanes, stride
        const int32_t* given_row
        const int32_t* square
        const int32_t* product
        const int32_t* factor
        const int32_t* is_load
        const float* served
        const float* given
        const double* x

    ctypedef struct Bounds "tw_bounds":
        const Candidates* c
        const Candidates* second
        const WaitBlock* wait
        const float* service
        const float* waiting
        const float* wait_sd
        float ln_left, ln_tpot, tpot_s
        const float* cost
        float enough
        bint claims
        float* on_time
        float* var
        float* model_var
        float* mean_s
        float* pace

    ctypedef struct Outlook "tw_outlook":
        double m, s, dof, idle_s, wait_s, wait_var, left_s, ln_left
        double mean_s, var_s2, idle_mean_s, m_total, s_total, p, u

    ctypedef struct Stream "tw_stream":
        double m, s, dof, idle_s, ln_tokens, tokens_s
        double mean_s, var_s2, tokens, tokens_var, busy_s, busy_var

    ctypedef struct Kernels "tw_kernels":       # what each reads and writes is said in versions.h
        bint (*encode)(const Features* features, const double* u, double* x, int64_t* n_clipped) noexcept nogil
        bint (*encode_given)(const double* row, double scale, int n, const float* stored, float* z) noexcept nogil
        void (*score)(
            const Candidates* c, const Stake* stake, const WaitBlock* wait, double now_s, float* service, float* waiting,
            float* cost) noexcept nogil
        void (*mask)(float* cost, const uint64_t* words, int n_lanes) noexcept nogil
        float (*fastest)(const float* service, const float* cost, const uint64_t* words, int n_lanes) noexcept nogil
        void (*favour)(
            const Candidates* c, const Stake* stake, const WaitBlock* wait, const uint64_t* words, float service_s,
            const float* service, const float* waiting, float* cost) noexcept nogil
        bint (*narrow)(const float* cost, const float* fits, float limit, int n_lanes, float* left) noexcept nogil
        void (*narrow_to_least)(const float* value, float* cost, int n_lanes) noexcept nogil
        float (*least)(const float* cost, int n_lanes) noexcept nogil
        float (*tied)(const float* cost, int n_lanes, uint64_t* words) noexcept nogil
        void (*nearest)(
            const Candidates* c, int n, const Stake* stake, const WaitBlock* wait, double now_s, const uint64_t* words,
            float* cost, int* lane) noexcept nogil
        void (*on_time)(const Bounds* b) noexcept nogil
        double (*look)(
            const float* close, const double* x, int n, int d, const int32_t* is_load, double* location, double* idle
        ) noexcept nogil
        void (*outlook)(Outlook* o) noexcept nogil
        void (*outlooks)(Outlook* o, int n) noexcept nogil
        double (*stream)(Stream* o, double first_s, double first_var, double ln_tpot) noexcept nogil
        void (*observe)(double* total, double* lost, const double* x, int d, double y, double c) noexcept nogil
        void (*fade)(double* total, double* lost, double factor, int n) noexcept nogil

    const Kernels* kernels "tw_in_use"
    const Kernels* version_of "tw_version"(const char* name)
    double clip "tw_clip"(double v, double limit, int64_t* n_clipped)
    float tie_limit "tw_tie_limit"(float least)
    bint any_below "tw_any_below"(const float* v, float limit)
    bint any_above "tw_any_above"(const float* v, float limit)
