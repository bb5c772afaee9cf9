"""Wires flat arrays to the kernels; all arithmetic is in the .pxd files, all validation of declarations above."""
cimport cython
cimport numpy as cnp
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.object cimport PyObject, PyTypeObject, newfunc
from cpython.tuple cimport PyTuple_GET_ITEM
from libc.math cimport INFINITY, NAN, exp, expm1, fabs, isfinite, isnan, llround, log
from libc.stdint cimport INT64_MAX
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from _core.among cimport decide_any, foresee
from _core.censor cimport beyond, learn_censored
from _core.certificate cimport (
    certify, error_level, issue, lose, report_cancel, report_failure, report_result, report_stream,
)
from _core.claim cimport FINE, build_claims, cell_h, cell_u, read_claim, spreads_left
from _core.change cimport discount_availability, raise_alarm, rebuild_lane
from _core.choose cimport draw, mask_cost, splitmix
from _core.decide cimport (
    ACCURACY, ADMITTED, BEST_ACCURACY, COMPLETION, ENERGY, GREEDY, GUARANTEE, LATE, MONEY, NO_RESOURCE, SHARED,
    THOMPSON, UCB, names_candidate, score_all,
)
from _core.encode cimport encode_features, store_column
from _core.fit cimport Posterior, Prior, posterior_of
from _core.fleet cimport clear_load, clear_served, join_model, remove_lane, reset_belief, set_offset, vacant_lane
from _core.forecast cimport (
    Forecast, RouteInfo, forecast_lane, forecast_nothing, forecast_service, forecast_total, occupied_s, paced_by,
)
from _core.foreign cimport note_report, worth
from _core.health cimport forgive, has_ended, note_failure, note_success, openness_changed, schedule
from _core.hedge cimport find_copy, mean_residual
from _core.lanes cimport clear_lines, get_bit, is_candidate, set_bit, update_open
from _core.layout cimport *
from _core.learn cimport learn_failure, learn_first, learn_service, learn_stream
from _core.length cimport forecast_length, serve_length
from _core.loading cimport set_load
from _core.moves cimport keep_given, reconsider, unrefusing
from _core.objective cimport narrow_to_best, value_of
from _core.observe cimport Wish, forecast_theirs, least_loaded, may_take, prefer
from _core.overdue cimport refute
from _core.forget cimport fade_profile
from _core.pool cimport join_pool, pooled_mean, profile_age_s, read_sums
from _core.posterior cimport kept, merge_sums, n_sums
from _core.probe cimport doubt_slowness, may_start
from _core.promise cimport join_job, leave_out_job, set_aside
from _core.served cimport fresh_offset, prior_of, serve, serve_all_cold, serve_newcomer, serve_some_cold
from _core.several cimport decide_several, is_plain
from _core.stream cimport count_produced, tightest_s
from _core.student cimport normal_quantile, student_cdf, student_quantile
from _core.together cimport lead_out, set_out, share_forecast, take_along
from _core.throughput cimport items_of, throughput_of, work_now
from _core.tickets cimport close_ticket, lane_changed, open_ticket, split_line, start_of, start_ticket, track_columns
from _core.untried cimport learns
from _core.urgency cimport patience
from _core.versions cimport Kernels, kernels, version_of
from _core.weigh cimport weigh_all
from _core.warmup cimport first_after_gap, is_cold, learn_warmup
from _core.wait cimport n_open, refresh, service_var, update_ahead, wait_mean

from operator import index

import numpy as np

from tailwise._core.errors import CapacityError, ConfigError, InputError, TicketError, UnknownName

cnp.import_array()

include "versions.pxi"
include "input.pxi"
include "clock.pxi"
include "collector.pxi"

LIMITS = {
    "features": MAX_D, "columns": MAX_COLUMNS, "levels": MAX_LEVELS, "resources": MASK_WORDS * 64,
    "ln_service": LN_LIMIT,
}


include "block.pxi"
include "lanes.pxi"
include "health.pxi"
include "belief.pxi"
include "change.pxi"
include "promise.pxi"


@cython.no_gc_clear         # tickets that are collected with it still settle in it
cdef class Core(Promises):
    """All of the engine's arithmetic state behind one object, in the order block, lanes, breakers, beliefs, changes,
    promises."""


include "decision.pxi"
include "together.pxi"
include "ticket.pxi"
include "stream.pxi"
include "mask.pxi"
include "route.pxi"
include "request.pxi"
include "explain.pxi"
include "modes.pxi"
include "many.pxi"
include "again.pxi"


def normal_q(double p):
    """The normal quantile as the kernels compute it, p in (0, 1)."""
    return normal_quantile(p)


def student_p(double t, double dof):
    """P(T <= t) as the kernels compute it."""
    return student_cdf(t, dof)


def student_beyond(double t, double dof):
    """Mean and variance of a Student-t given that it exceeds t, as the kernels compute it."""
    cdef double var
    cdef double mean = beyond(t, dof, &var)
    return mean, var


def student_q(double z, double dof):
    """The Student-t quantile at probability Phi(z), as the kernels compute it."""
    return student_quantile(z, dof)
