"""What the callers of ended jobs get to know."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import InvalidStateError

from tailwise.adapters.torch.job import JobFuture, JobRecord, Work
from tailwise.adapters.torch.worker import Result
from tailwise.errors import JobExpired, JobRejected, WorkerError
from tailwise.job import Job, Orders

__all__ = ["Callbacks", "Listener", "answer"]

log = logging.getLogger("tailwise.torch")


#: Hears of every job that has ended, in whichever thread ended it; what it raises is logged.
Listener = Callable[[JobRecord], None]


class Callbacks(threading.local):
    """Entered by threads that may run callbacks of jobs meanwhile: whoever waits for all jobs to end must not be one
    of them."""

    _depth = 0

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1

    def refuse(self, call: str) -> None:
        """Raises WorkerError in such a thread."""
        if self._depth:
            raise WorkerError(
                f"{call}() may wait for the thread that runs this callback of a job: call it in another one"
            )


def answer(orders: Orders[Work], listeners: Sequence[Listener]) -> None:
    """Wakes the callers of ended jobs, not under the executor's lock: their callbacks run here."""
    interrupt: KeyboardInterrupt | None = None
    for job in orders.ended:
        try:
            _tell(job, listeners)
        except KeyboardInterrupt as error:  # Ctrl-C in a caller's thread: raised once everybody was told
            interrupt = error
        except BaseException:  # sys.exit, say, which a Future lets through: not for whoever tells it
            log.exception("the callback of a job raised")
    if interrupt is not None:
        raise interrupt


def _tell(job: Job[Work], listeners: Sequence[Listener]) -> None:
    work = job.payload
    future, result = work.future, work.result
    # a run that lost holds on to its job, and a caller to its future
    work.outcome = work.result = future.withdraw = None
    try:
        if listeners:
            hear(future, listeners)
    finally:  # sys.exit in one of them, say
        _resolve(job, result)


def hear(future: JobFuture, listeners: Sequence[Listener]) -> None:
    """Tells the listeners of a job that has ended."""
    for listener in listeners:
        try:
            assert future.record is not None
            listener(future.record)
        except Exception:
            log.exception("a listener raised")


def _resolve(job: Job[Work], result: Result | None) -> None:
    future = job.payload.future
    try:
        if job.end == "rejected":
            reason = str(job.reason)
            message = f"{job.model!r} in class {job.qos.name!r} was refused: {reason}"
            future.set_exception(JobRejected(message, reason, job.assignment.retry_after_s))
        elif job.end == "expired":
            future.set_exception(JobExpired(_why_dropped(job)))
        elif job.end == "cancelled":
            future.cancel()
        else:
            assert result is not None
            if result.error is None:
                future.set_result(result.value)
            else:
                future.set_exception(result.error)
    except InvalidStateError:  # cancelled by its owner at the same moment
        return


def _why_dropped(job: Job[Work]) -> str:
    who, within = f"{job.model!r} in class {job.qos.name!r}", f"{job.deadline_s} s"
    if job.reason == "late_start":
        return f"{who} was dropped at its turn: it could not be expected to end within {within} any more"
    return f"{who} was still queued after {within}"
