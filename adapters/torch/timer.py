"""One thread for everything that the clock brings to an executor."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

__all__ = ["Timer"]

log = logging.getLogger("tailwise.torch")


#: It looks no more often: a look takes two switches of threads from the jobs that run, and quick ones would have one
#: each. So much later than due may a queued job be told that it expired.
_GRAIN_NS = 1_000_000


#: Seconds until it looks again when that raised: what is due may raise every time.
_AFTER_ERROR_S = 0.1


class Timer:
    """Sleeps until the next thing is due. lock: the owner's; nobody else is woken with it, nor it with others.

    due(now_ns): under the lock; does what is due, and returns what of it is left to do, not under the lock, or None
    when nothing was due. next_due_ns(): under the lock, None while nothing is coming.
    """

    def __init__(
        self,
        lock: threading.Lock,
        now_ns: Callable[[], int],
        due: Callable[[int], Callable[[], None] | None],
        next_due_ns: Callable[[], int | None],
    ) -> None:
        self._hurried = threading.Condition(lock)
        self._now_ns = now_ns
        self._due = due
        self._next_due_ns = next_due_ns
        self._wakes_ns: int | None = None  # when it looks next
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="tailwise-timer", daemon=True)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def hurry(self) -> None:
        """Wakes it where something is due before it looks. Under the lock."""
        due_ns = self._next_due_ns()
        if due_ns is not None and (self._wakes_ns is None or due_ns + _GRAIN_NS < self._wakes_ns):
            self._wakes_ns = due_ns
            self._hurried.notify_all()

    def close(self) -> None:
        """Idempotent."""
        with self._hurried:
            self._ended = True
            self._hurried.notify_all()
        self._thread.join()

    def _sleep(self, now_ns: int) -> None:
        due_ns = self._next_due_ns()
        self._wakes_ns = None if due_ns is None else max(due_ns, now_ns + _GRAIN_NS)
        # a wait of centuries overflows; waking once an hour costs nothing
        self._hurried.wait(None if self._wakes_ns is None else min((self._wakes_ns - now_ns) * 1e-9, 3600.0))

    def _run(self) -> None:
        while True:
            with self._hurried:
                if self._ended:
                    return
                now_ns = self._now_ns()
                try:
                    left = self._due(now_ns)
                except BaseException:  # of a policy: no later job would expire
                    log.exception("the timer goes on")
                    self._hurried.wait(_AFTER_ERROR_S)
                    continue
                if left is None:
                    self._sleep(now_ns)
                    continue
            try:
                left()
            except BaseException:  # no later job would expire
                log.exception("the timer goes on")
