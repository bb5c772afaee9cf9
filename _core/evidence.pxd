# Data only, as all of the layout: what is stored of one profile, struct by struct.
from libc.stdint cimport int32_t

from _core.shape cimport *

cdef struct Evidence:                # sufficient statistics of one signal, data only
    double total[MAX_SUMS]           # sum w x x' (packed), sum w x y, sum w y^2; y = ln(s) - y0
    double lost[MAX_SUMS]            # what rounding took from `total` (compensated summation)

cdef struct Drift:                   # CUSUM of standardised residuals since the last alarm
    double slower, faster

cdef struct Level:                   # one profile's own data, for comparing resources with each other
    double ln_s                      # mean of ln(seconds) less slopes'x: a typical job on the idle resource
    double n                         # results behind it; 0 = none
    double told                      # n when sparse profiles last heard of it

cdef struct Offset:                  # what the resource's other models say of a profile with little data
    double shift                     # to be added to the pooled intercept
    double l0                        # precision of the sum in units of 1 / sigma^2; 0 = they say nothing

cdef struct Given:                   # a user's profile, the prior of one (model, resource)
    double ln, spread                # ln of the median seconds, sd of ln(seconds)
    double weight                    # its pseudo-observations; 0 = nothing given
    double n                         # the same before alarms discounted it
    double slope[MAX_D]              # of encoded features, where bit i of has_slope is set
    int32_t has_slope, _pad

cdef struct Work:                    # what was done in completed jobs, decayed together; zero = nothing yet
    double items, busy_s             # and the seconds from start to end that it took
    double n                         # jobs behind it

cdef struct Joint:                   # of the last runs of a model whose jobs are joined (joint.pxd); zero = none
    double run_s, alone_s            # what they took; and what their jobs were forecast to take one by one
