"""The public name of the error tree."""

from tailwise._core.errors import (
    CapacityError,
    ConfigError,
    InputError,
    JobExpired,
    JobRejected,
    MissingExtra,
    TailwiseError,
    TicketError,
    UnknownName,
    WorkerError,
)

__all__ = [
    "CapacityError",
    "ConfigError",
    "InputError",
    "JobExpired",
    "JobRejected",
    "MissingExtra",
    "TailwiseError",
    "TicketError",
    "UnknownName",
    "WorkerError",
]
