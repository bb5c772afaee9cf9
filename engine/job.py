"""A job as the queues' owner sees it, its places on resources, and what the owner is told to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tailwise.policy import Assignment, End
from tailwise.qos import QoS
from tailwise.queue import Queued

__all__ = ["Job", "Orders", "Run"]

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Job(Generic[T]):
    """One submitted job. `end` is None until it has ended; then `last` is the run that ended it."""

    payload: T  #: the owner's
    model: str
    qos: QoS
    features: tuple[float, ...]
    arrival_ns: int
    assignment: Assignment  #: as decided at arrival
    deadline_s: float  #: from arrival: its own, else its class's
    deadline_ns: int  #: the moment
    runs: list[Run[T]] = field(default_factory=list)  #: one; two when hedged
    n_moves: int = 0  #: how often a re-decision took it to another resource
    end: End | None = None
    end_ns: int = 0
    reason: str | None = None  #: stable id: of a refusal, or "expired" and "late_start" of a dropped job
    last: Run[T] | None = None

    @property
    def hedged(self) -> bool:
        return len(self.runs) > 1


@dataclass(slots=True, eq=False)
class Run(Generic[T]):
    """One place of a job: in the queue of a resource, then in service on it."""

    job: Job[T]
    assignment: Assignment
    entry: Queued[Run[T]] | None = None  #: its place while it is queued
    timer: int | None = None  #: of when it is looked at again
    start_ns: int | None = None
    end: End | None = None
    end_ns: int = 0

    @property
    def settled(self) -> bool:
        return self.end is not None

    @property
    def lane(self) -> int:
        return self.assignment.lane


class Orders(Generic[T]):
    """What the owner has to do now: hand these runs to their resources, tell the callers of these jobs."""

    __slots__ = ("ended", "start")

    def __init__(self) -> None:
        self.start: list[Run[T]] = []
        self.ended: list[Job[T]] = []
