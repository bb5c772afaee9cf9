"""What is replayed: jobs, resources and events as arrays, the same whatever decides (paired)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

import tailwise as tw

__all__ = ["PATIENCE_S", "Event", "World"]

PATIENCE_S = 10.0  # after which the caller of a job in service on a hanging resource gives it up, as failed
FAILS_AFTER_S = 0.005  # a job that starts on a resource that fails fast


@dataclass(frozen=True, slots=True)
class Event:
    """What is wrong with one resource in [start_s, end_s). slow: jobs that start then take `factor` times as long;
    fails: jobs that start then fail after FAILS_AFTER_S; hangs: jobs that start then, and those in service, are not
    heard of again; absent: it has not joined yet (start_s = 0) and nobody may send it jobs."""

    kind: Literal["slow", "fails", "hangs", "absent"]
    lane: int
    start_s: float
    end_s: float
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class World:
    """n jobs in order of arrival, K resources. Policies read what a router knows: everything but `service_s`, which
    is the oracle's, and `mean_s`, which is that of the policy with given true means.

    An answer in time counts: completed within its class's deadline_s from arrival.
    """

    classes: tuple[tw.QoS, ...]  #: by priority, the most urgent first
    models: tuple[tw.Model, ...]
    resources: tuple[tw.Resource, ...]
    arrival_s: NDArray[np.float64]  #: (n,) sorted, from 0
    qos: NDArray[np.int64]  #: (n,) index of the class
    model: NDArray[np.int64]  #: (n,)
    x: NDArray[np.float64]  #: (n, n_features) raw features, the same number for every model
    service_s: NDArray[
        np.float64
    ]  #: (n, K) on an otherwise idle resource without events; inf = cannot run there
    mean_s: NDArray[np.float64]  #: (n, K) its expectation given model and features (not the job's own noise)
    interference: NDArray[
        np.float64
    ]  #: (K,) service grows by this share for each other job in service at the start
    events: tuple[Event, ...] = ()
    gateway: NDArray[np.int64] | None = None  #: (n,) who decides on the job; None = there is one
    report_every_s: float = 0.0  #: resources report running and waiting jobs so often; 0 = never
    report_age_s: float = 0.0  #: how old a report is when it is heard
    profiles: tuple[tw.Profile, ...] = ()  #: measured before, for whoever takes them

    @property
    def slots(self) -> NDArray[np.int64]:
        """(K,) jobs that each resource serves at once."""
        return np.array([resource.slots for resource in self.resources], dtype=np.int64)

    @property
    def deadline_s(self) -> NDArray[np.float64]:
        """(n,) of each job, from its arrival."""
        return np.array([q.deadline_s for q in self.classes])[self.qos]

    @property
    def n_gateways(self) -> int:
        return 1 if self.gateway is None else int(self.gateway.max(initial=0)) + 1

    def __len__(self) -> int:
        return len(self.arrival_s)
