# Clocks: what stamps arrivals, starts and ends. int64 nanoseconds inside, seconds at the API.
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec


cdef double LATEST_S = 8e9     # with the longest span that is added to a reading, 1e9 s, it still fits int64 nanoseconds


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

    def __init__(self, start_s=0.0):
        self.set(start_s)

    cdef int64_t read(self) except? -1:
        return self._now_ns

    def set(self, seconds):
        """Jumps to `seconds` (finite; going back is allowed, tests need it). Raises InputError."""
        cdef double at_s = number_of("seconds", seconds, "a clock reads a number of seconds")
        if not fabs(at_s) <= LATEST_S:
            raise InputError(f"seconds={seconds!r}: a clock reads a finite number of seconds within {LATEST_S:g}")
        self._now_ns = <int64_t>llround(at_s * 1e9)

    def advance(self, seconds):
        """Moves forward by `seconds` >= 0. Raises InputError."""
        cdef double more_s = number_of("seconds", seconds, "advance takes a number of seconds")
        with cython.critical_section(self):
            if not (0.0 <= more_s and 1e-9 * self._now_ns + more_s <= LATEST_S):
                raise InputError(
                    f"seconds={seconds!r}: advance takes a number >= 0 that leaves the clock below {LATEST_S:g} s;"
                    " set() may go back")
            self._now_ns += <int64_t>llround(more_s * 1e9)


cdef class ForeignClock(Clock):
    """Wraps a user's object with `now_ns() -> int`; costs a Python call a reading. So it does with a built-in clock whose
    class overrides now_ns: its own reading would not be asked."""

    cdef object _now

    def __init__(self, clock):
        self._now = clock.now_ns

    cdef int64_t read(self) except? -1:
        now_ns = self._now()
        try:
            return index(now_ns)        # a float of seconds must not pass for nanoseconds
        except (TypeError, OverflowError):
            raise InputError(
                f"clock: now_ns() returned {now_ns!r}, but nanoseconds as an int of 64 bits are expected") from None


cdef Clock as_clock(clock):
    """The clock that is read for a user's one."""
    if isinstance(clock, Clock) and type(clock).now_ns is Clock.now_ns:
        return clock
    return ForeignClock(clock)
