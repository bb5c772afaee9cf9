"""Queues, timers and `Dispatch`, compiled: they stand between every job and the engine, several times a job.

No thread, no lock, no clock reading. Moments are int64 nanoseconds; what is on the lanes are Python objects, so that
whoever owns the queues hands in payloads and policies of any kind.
"""
cimport cython
from libc.math cimport llrint
from libc.stdint cimport int64_t

from types import GenericAlias

from tailwise.batching import Batching, items_at, joined, one_more
from tailwise.errors import ConfigError, InputError, TicketError
from tailwise.policy import Forecasting, Joining
from tailwise.rules import Rules
from tailwise.validate import as_number, is_positive, is_whole, require

include "heap.pxi"
include "timers.pxi"
include "shares.pxi"
include "queue.pxi"
include "job.pxi"
include "places.pxi"
include "joining.pxi"
include "batches.pxi"
include "dispatch.pxi"
