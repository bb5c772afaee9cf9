# Clocks: what stamps arrivals, starts and ends. int64 nanoseconds inside, seconds at the API.
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec


cdef class Clock:
    """Base of the built-in clocks; anything with `now_ns() -> int` is accepted where a clock is."""

    cdef int64_t read(self) except? -1:
        raise NotImplementedError("use MonotonicClock() or ManualClock()")

    def now_ns(self):
        """Nanoseconds now, int."""
        return self.read()


cdef class MonotonicClock(Clock):
    """The operating system's monotonic clock, the one `time.monotonic_ns` reads. Cost: about 30 ns."""

    cdef int64_t read(self) except? -1:
        cdef timespec t
        clock_gettime(CLOCK_MONOTONIC, &t)
        return <int64_t>t.tv_sec * 1_000_000_000 + t.tv_nsec


cdef class ManualClock(Clock):
    """A clock that stands still until told: `ManualClock(start_s=0.0)`, for tests and replay."""

    cdef int64_t _now_ns

    def __init__(self, double start_s=0.0):
        self.set(start_s)

    cdef int64_t read(self) except? -1:
        return self._now_ns

    def set(self, double seconds):
        """Jumps to `seconds` (finite; going back is allowed, tests need it). Raises InputError."""
        if not isfinite(seconds) or fabs(seconds) > 9e9:
            raise InputError(f"seconds={seconds!r}: a clock reads a finite number of seconds below 9e9")
        self._now_ns = <int64_t>llround(seconds * 1e9)

    def advance(self, double seconds):
        """Moves forward by `seconds` >= 0. Raises InputError."""
        if not (0.0 <= seconds <= 9e9):
            raise InputError(f"seconds={seconds!r}: advance takes a finite number >= 0; set() may go back")
        self._now_ns += <int64_t>llround(seconds * 1e9)


cdef class ForeignClock(Clock):
    """Wraps a user's object with `now_ns() -> int`; costs a Python call a reading."""

    cdef object _now

    def __init__(self, clock):
        self._now = clock.now_ns

    cdef int64_t read(self) except? -1:
        return self._now()
