"""One decision of an adapter and what became of it, the verdict on its job, and what an end is, in all adapters:

what happened                                            ticket        end        on time  breaker  learned
-------------------------------------------------------  ------------  ---------  -------  -------  --------
answered: the last byte of a 2xx, the end of a block     complete      completed  bounds   success  times
a backend's 429, any 5xx, an exception, half an answer   fail, retry   failed     late     failure  nothing
3xx, other 4xx; a request that was not fit to be sent    cancel        cancelled  (1)      -        (2)
caller gone, task cancelled, beaten by a copy, dropped   cancel        cancelled  (1)      -        (2)
what it asked for in turn was refused, or its headers    cancel        cancelled  (1)      -        (2)
given up beyond its forecast, or with none               timeout       timed_out  late     failure  at least
given up within its forecast: its time was short         cancel, drop  timed_out  late     -        (2)
left a queue of ours unserved                            drop          timed_out  late     -        nothing
refused                                                  -             -          late     -        nothing
no ticket was free                                       -             nothing is written down

(1) not known before its deadline, late from then on. (2) That it takes at least so long, past its median forecast.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol, TypeAlias

from tailwise.explanation import Explanation
from tailwise.qos import QoS

__all__ = ["Decision", "End", "Job", "Listener", "verdict"]

End: TypeAlias = Literal["completed", "failed", "timed_out", "cancelled"]


@dataclass(slots=True)
class Decision:
    """One decision and what became of it. Seconds; probabilities in [0, 1]; None = not known, or not yet.

    job: number of its first decision, itself unless it is a retry or a copy. at_s: seconds since 1970.
    preferred: what we would have chosen, where somebody else's choice stood. left_s: to the deadline (where the class
    has a ttft_s: to the first token). completion_s, ttft_s: from the job's arrival on, where that was not given its
    first decision. on_time: the job's verdict, written on the decision that brought it.
    """

    number: int
    job: int
    at_s: float
    model: str
    qos: str
    request_id: str | None
    resource: str | None
    preferred: str | None
    regret_s: float | None
    reason: str | None
    retry_after_s: float | None
    attempt: int
    copied: bool
    probe: bool
    p_on_time: float | None
    wait_s: float | None
    service_s: float | None
    expected_s: float | None
    bound_s: float | None
    left_s: float
    explanation: Explanation | None = None
    end: End | None = None
    on_time: bool | None = None
    completion_s: float | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None
    tokens: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and texts; what is not finite is None, the explanation a table of texts."""
        told = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "explanation"}
        out = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in told.items()}
        if self.explanation is not None:
            out["explanation"] = {"title": self.explanation.title, "cells": self.explanation.cells()}
        return out


class Listener(Protocol):
    """Hears of every decision and of every end, in whichever thread it came; must be quick. What it raises is
    logged, and harms no job."""

    def decided(self, decision: Decision) -> None: ...
    def ended(self, decision: Decision) -> None: ...


@dataclass(slots=True)
class Job:
    """What the entries of one job share. start_ns: the engine's clock at its arrival, left_s from there."""

    number: int
    qos: QoS
    start_ns: int
    left_s: float
    tpot_bound_s: float
    n_open: int = 0
    end: End | None = None


def verdict(decision: Decision, job: Job, end: End) -> bool | None:
    """Whether the job kept every bound, by the rule of `Certificate`: None of one that was cancelled before its
    deadline, and where nobody said what tells."""
    completion_s, ttft_s, qos = decision.completion_s, decision.ttft_s, job.qos
    if completion_s is None:  # nobody knows when it ended; or it failed, and was refused elsewhere
        return None if end == "cancelled" else False
    of_first = qos.ttft_s < math.inf
    due_s = job.left_s + (qos.deadline_s - qos.ttft_s) if of_first else job.left_s
    if end == "cancelled":  # whoever has read enough of an answer breaks no promise
        in_time = ttft_s is not None and ttft_s <= job.left_s
        return False if completion_s >= (due_s if in_time else job.left_s) else None
    if end != "completed":
        return False
    if not of_first:
        return completion_s <= due_s
    if ttft_s is None:
        return None
    if ttft_s > job.left_s or completion_s > due_s:
        return False
    if job.tpot_bound_s == math.inf or decision.tokens == 1:
        return True
    return None if decision.tpot_s is None else decision.tpot_s <= job.tpot_bound_s
