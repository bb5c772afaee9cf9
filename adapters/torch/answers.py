"""What the callers of ended jobs get to know."""

from __future__ import annotations

import contextlib
import logging
from concurrent.futures import InvalidStateError

from tailwise.adapters.torch.job import Work
from tailwise.errors import JobExpired, JobRejected
from tailwise.job import Job, Orders

__all__ = ["answer"]

log = logging.getLogger("tailwise.torch")


def answer(orders: Orders[Work]) -> None:
    """Wakes the callers of ended jobs, not under the executor's lock: their callbacks run here."""
    interrupt: KeyboardInterrupt | None = None
    for job in orders.ended:
        try:
            _tell(job)
        except KeyboardInterrupt as error:  # Ctrl-C in a caller's thread: raised once everybody was told
            interrupt = error
        except BaseException:  # sys.exit, say, which a Future lets through: not for whoever tells it
            log.exception("the callback of a job raised")
    if interrupt is not None:
        raise interrupt


def _tell(job: Job[Work]) -> None:
    work = job.payload
    future, outcome = work.future, work.outcome
    # a run that lost holds on to its job, and a caller to its future
    work.outcome = future.withdraw = None
    with contextlib.suppress(InvalidStateError):  # cancelled by its owner at the same moment
        if job.end == "rejected":
            reason = str(job.reason)
            message = f"{job.model!r} in class {job.qos.name!r} was refused: {reason}"
            future.set_exception(JobRejected(message, reason, job.assignment.retry_after_s))
        elif job.end == "expired":
            future.set_exception(JobExpired(_why_dropped(job)))
        elif job.end == "cancelled":
            future.cancel()
        else:
            assert outcome is not None
            (result,) = outcome.results
            if result.error is None:
                future.set_result(result.value)
            else:
                future.set_exception(result.error)


def _why_dropped(job: Job[Work]) -> str:
    who, within = f"{job.model!r} in class {job.qos.name!r}", f"{job.deadline_s} s"
    if job.reason == "late_start":
        return f"{who} was dropped at its turn: it could not be expected to end within {within} any more"
    return f"{who} was still queued after {within}"
