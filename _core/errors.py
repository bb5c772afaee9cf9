"""The one error tree; every message says what was wrong, what was expected and what to do."""

__all__ = [
    "CapacityError",
    "ConfigError",
    "InputError",
    "JobExpired",
    "JobRejected",
    "JobTimedOut",
    "MissingExtra",
    "QueueFull",
    "TailwiseError",
    "TicketError",
    "UnknownName",
    "WorkerError",
]


class TailwiseError(Exception):
    """Base of everything that tailwise raises on purpose."""


class ConfigError(TailwiseError, ValueError):
    """A resource, model, class or option was declared with a value out of range."""


class UnknownName(TailwiseError, KeyError):
    """A resource, model or class that the engine was not built with."""

    # KeyError prints repr(message); a sentence should read as a sentence.
    __str__ = Exception.__str__


class InputError(TailwiseError, ValueError):
    """A number or array handed to a call is unusable; the call changed nothing."""


class TicketError(TailwiseError, RuntimeError):
    """A ticket was settled twice, or was never admitted."""


class CapacityError(TailwiseError, RuntimeError):
    """A fixed capacity (resources, models, open tickets) is exhausted."""


class MissingExtra(TailwiseError, ImportError):
    """An adapter's framework is not installed; the message names the extra."""


class WorkerError(TailwiseError, RuntimeError):
    """A worker died, was killed, or could not load a model."""


class JobExpired(TailwiseError, TimeoutError):
    """A queued job reached its deadline before it started."""


class JobTimedOut(TailwiseError, TimeoutError):
    """A job was given up in service: it took longer than its model may."""


class QueueFull(TailwiseError, RuntimeError):
    """As many jobs are queued as may be; submit again when some have left, or send the job elsewhere."""


class JobRejected(TailwiseError, RuntimeError):
    """Admission refused the job; `reason` is the stable reason id, `retry_after_s` when a job like it would be taken
    if no more work came (None: waiting does not help)."""

    def __init__(self, message: str, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(message, reason, retry_after_s)
        self.reason = reason
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return str(self.args[0])
