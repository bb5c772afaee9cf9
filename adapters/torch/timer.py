"""One thread for everything that the clock brings to an executor."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

__all__ = ["Timer"]

log = logging.getLogger("tailwise.torch")


class Timer:
    """Sleeps until the next thing is due, under the owner's condition.

    due(now_ns): under the lock; does what is due, and returns what of it is left to do, not under the lock, or None
    when nothing was due. next_due_ns(): under the lock, None while nothing is coming.
    """

    def __init__(
        self,
        changed: threading.Condition,
        now_ns: Callable[[], int],
        due: Callable[[int], Callable[[], None] | None],
        next_due_ns: Callable[[], int | None],
    ) -> None:
        self._changed = changed
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

    def is_late(self) -> bool:
        """Something is due before it looks: wake it. Under the lock."""
        due_ns = self._next_due_ns()
        return due_ns is not None and (self._wakes_ns is None or due_ns < self._wakes_ns)

    def close(self) -> None:
        """Idempotent."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._ended:
                    return
                now_ns = self._now_ns()
                left = self._due(now_ns)
                if left is None:
                    due_ns = self._wakes_ns = self._next_due_ns()
                    # a wait of centuries overflows; waking once an hour costs nothing
                    self._changed.wait(
                        None if due_ns is None else min(max(due_ns - now_ns, 0) * 1e-9, 3600.0)
                    )
                    continue
            try:
                left()
            except BaseException:  # no later job would expire
                log.exception("the timer goes on")
